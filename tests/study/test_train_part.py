"""How a run does on what it was fitted to, and how many cases still teach it."""

import csv
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score

from small_studies import cli, write_study, write_tiny
from whichloss import parse
from whichloss.study.train import no_gradient


def test_the_gap_is_that_of_true_labels(tmp_path: Path) -> None:
    write_tiny(tmp_path, cases=48)
    file = write_study(tmp_path, stress={"label_noise": [0.3]}, training={"stages": [{"epochs": 3, "batch": 8}]})
    answer = cli("run", file, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 0, answer.err
    with (tmp_path / "store" / "studies" / "tiny" / "results.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == "train" and row["metric"] == "RocAuc()"]
    truth = torch.arange(48) // 2 % 2
    assert len(rows) == 4
    for row in rows:
        folder = tmp_path / "store" / "runs" / row["run"][:2] / row["run"]
        outputs, record = load_file(folder / "outputs.safetensors"), json.loads((folder / "record.json").read_text())
        at = outputs["train_cases"]
        assert record["stress"]["flipped"]
        assert not set(at.tolist()) & {*outputs["test_cases"].tolist(), *outputs["inner_cases"].tolist()}
        assert outputs["train_labels"].tolist() == truth[at].tolist()
        assert float(row["value"]) == pytest.approx(roc_auc_score(truth[at], outputs["train"][:, 0].float()))


@pytest.mark.parametrize("text", ["Hinge()", "Lorenz()", "Logistic()", "SmoothHinge(half_width=0.5)"])
def test_a_case_without_gradient_is_counted(text: str) -> None:
    logits = torch.linspace(-3.01, 3, 25, requires_grad=True)[:, None] * 1.0
    logits.retain_grad()
    parse(text)(logits, torch.ones(25, 1)).backward()
    flat = {"Hinge()": 1.0, "Lorenz()": 1.0, "SmoothHinge(half_width=0.5)": 1.5}.get(text, float("inf"))
    assert int(no_gradient(logits)) == int((logits > flat).sum())


def test_the_share_is_kept_for_each_epoch(tmp_path: Path) -> None:
    """The logistic loss is flat nowhere."""
    write_tiny(tmp_path, cases=24)
    file = write_study(tmp_path, losses=["Logistic()", "Hinge()"], baseline="Logistic()")
    assert cli("run", file, "--store", tmp_path / "store", here=tmp_path).code == 0
    for folder in (tmp_path / "store" / "runs").glob("*/*"):
        record = json.loads((folder / "record.json").read_text())
        assert all(0 <= epoch["idle"] <= 1 for epoch in record["curve"])
        assert "Hinge" in record["spec"]["loss"] or not any(epoch["idle"] for epoch in record["curve"])
