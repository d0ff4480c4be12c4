"""A detection study from end to end, its numbers counted again from the outputs it kept."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from small_studies import cli, write_study
from whichloss.data.lymph_node_phantom import LymphNodePhantom

TINY: dict[str, Any] = {
    "losses": ["Logistic()", "Lorenz()"],
    "data": "LymphNodePhantom(volumes=6, test_volumes=5, views=2, size=12, negatives=6, lesions=3)",
    "network": "ViewNet(width=2, deeper=2, units=4)",
    "design": {"draws": 2, "inner": 0.3},
    "training": {"optimizer": "SGD(lr=0.05)", "stages": [{"epochs": 2, "batch": 16}], "device": "cpu"},
    "primary": "FrocArea()",
    "secondary": ["SensitivityAt(fp_per_volume=3)", 'FrocArea(views="median")'],
}


def rows(home: Path, split: str) -> list[dict[str, str]]:
    with (home / "store" / "studies" / "tiny" / "results.csv").open() as table:
        return [row for row in csv.DictReader(table) if row["split"] == split]


def kept(home: Path) -> Iterator[tuple[dict[str, Any], dict[str, torch.Tensor]]]:
    for folder in (home / "store" / "runs").glob("*/*"):
        yield json.loads((folder / "record.json").read_text()), load_file(folder / "outputs.safetensors")


def area(logits: list[float], truth: list[list[int]], up_to: float = 10.0) -> float:
    """By steps, one threshold after the other."""
    views: dict[int, list[float]] = {}
    facts = {}
    for score, (_, candidate, volume, lesion) in zip(logits, truth, strict=True):
        views.setdefault(candidate, []).append(score)
        facts[candidate] = (volume, lesion)
    scores = {candidate: sum(one) / len(one) for candidate, one in views.items()}
    volumes, lesions = {v for v, _ in facts.values()}, {one for _, one in facts.values() if one >= 0}
    points = [(0.0, 0.0)]
    for bar in sorted(set(scores.values()), reverse=True):
        marked = [facts[candidate][1] for candidate, score in scores.items() if score >= bar]
        false = sum(one < 0 for one in marked) / len(volumes)
        points.append((false, len({one for one in marked if one >= 0}) / len(lesions)))
    total = 0.0
    for (left, height), (right, _) in zip(points, [*points[1:], (up_to, 0.0)], strict=True):
        total += height * max(0.0, min(right, up_to) - min(left, up_to))
    return total / up_to


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detection")
    file = write_study(folder, **TINY, stress={"label_noise": [0.0, 0.25]})
    answer = cli("run", file, "--store", folder / "store", here=folder)
    assert answer.code == 0, answer.err
    return folder


def test_areas_are_those_of_a_sweep(home: Path) -> None:
    found = {record["key"]: outputs for record, outputs in kept(home)}
    compared = 0
    for split in ("test", "train"):
        for row in rows(home, split):
            if row["metric"].startswith("FrocArea") and "mean" in row["metric"]:
                outputs = found[row["run"]]
                counted = area(outputs[split][:, 0].tolist(), outputs[f"{split}_labels"].tolist())
                assert float(row["value"]) == pytest.approx(counted, abs=1e-9)
                compared += 1
    assert compared == 2 * 2 * 2 * 2


def test_the_test_set_is_that_of_the_phantom(home: Path) -> None:
    cases = LymphNodePhantom(volumes=6, test_volumes=5, views=2, size=12, negatives=6, lesions=3).load_draw(0)
    at = [i for i, side in enumerate(cases.sides) if side == "test"]
    tables = [outputs["test_labels"].tolist() for _, outputs in kept(home)]
    assert all(table == cases.truth(at).tolist() for table in tables)


def test_noise_flips_candidates_in_training_alone(home: Path) -> None:
    noisy = [(record, outputs) for record, outputs in kept(home) if record["stress"]]
    assert len(noisy) == 4
    by_draw: dict[int, set[tuple[str, ...]]] = {}
    for record, outputs in noisy:
        flipped = [name for name, _, _ in record["stress"]["flipped"]]
        candidates = {name.rpartition("-")[0] for name in flipped}
        assert len(flipped) == 2 * len(candidates)
        by_draw.setdefault(record["spec"]["seed"], set()).add(tuple(sorted(flipped)))
        fitted = outputs["train_labels"]
        assert ((fitted[:, 0] == 1) == (fitted[:, 3] >= 0)).all()
    assert all(len(sets) == 1 for sets in by_draw.values())


def test_the_page_has_curves_and_candidates(home: Path) -> None:
    page = (home / "store" / "studies" / "tiny" / "report.html").read_text()
    for told in ("FROC curves", "of what was trained on", "What the networks look at", "data:image/png;base64,",
                 "FROC area, median of the views", "Sensitivity at 3 FP/volume"):  # fmt: skip
        assert told in page


def test_protocol_a_of_paper_000(tmp_path: Path) -> None:
    """Epochs and rate are chosen with the baseline alone on patients who are then in no test part."""
    protocol = {
        "tune": {"trials": 3, "over": {"training.lr": "loguniform(1e-3, 1)", "training.length": "uniform(0.5, 2)"},
                 "where": "once", "share": 0.34, "losses": "baseline"},
        "design": {"folds": 2, "inner": 0.5},
        "data": "LymphNodePhantom(volumes=12, views=1, size=12, negatives=6, lesions=4)",
    }  # fmt: skip
    file = write_study(tmp_path, **(TINY | protocol | {"secondary": []}))
    answer = cli("run", file, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 0, answer.err
    runs = list(kept(tmp_path))
    tuned = {json.dumps(record["spec"]["tuned"]) for record, outputs in runs if len(outputs["test"])}
    assert len(tuned) == 1
    tried = [outputs for _, outputs in runs if not len(outputs["test"])]
    assert len(tried) == 3
    chosen = {one for outputs in tried for part in ("inner", "train") for one in outputs[f"{part}_cases"].tolist()}
    for _, outputs in runs:
        assert not chosen & set(outputs["test_cases"].tolist())


def test_embeddings_are_not_for_candidates(tmp_path: Path) -> None:
    file = write_study(tmp_path, **(TINY | {"losses": ["Logistic()", "Triplet()"]}))
    answer = cli("run", file, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 2 and "Triplet" in answer.err
