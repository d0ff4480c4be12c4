"""What answers rest on: integrated gradients against a plain sum, kept with each run, and shown side by side."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from small_studies import TINY, cli, tiny_study, write_study, write_tiny
from whichloss.core import Task, parse
from whichloss.study.attribution import attributions, chosen
from whichloss.study.conduct import prepare
from whichloss.study.precision import Precision
from whichloss.study.predict import Predictor
from whichloss.study.study import Attribution

ASKED = {"cases": 4, "steps": 8}


class Curved(nn.Module):
    """Two numbers of an image, neither linear in it."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(12, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.linear(x.flatten(1)))


def predictor(loss: str, task: Task, outputs: int, images: Tensor, labels: Tensor) -> Predictor:
    network = Curved(outputs)
    precision = Precision("float32", torch.device("cpu"))
    return Predictor(network, parse(loss), precision, torch.contiguous_format, None, task, images, labels)


@pytest.mark.parametrize(
    ("loss", "classes", "outputs"),
    [("Logistic()", 2, 1), ("CrossEntropy(classes='exclusive')", 2, 2), ("CrossEntropy()", 3, 3), ("Triplet()", 2, 4),
     ("SupervisedContrastive()", 3, 4)],
)  # fmt: skip
def test_the_sum_over_pixels_is_what_the_answer_gains(loss: str, classes: int, outputs: int) -> None:
    random = torch.Generator().manual_seed(1)
    images, labels = torch.rand(30, 1, 3, 4, generator=random), torch.arange(30) % classes
    task = Task(kind="classification", classes=("a", "b", "c")[:classes], size=(3, 4))
    predict = predictor(loss, task, outputs, images, labels)
    found = attributions(Attribution(cases=5, steps=200), predict, images[:5], labels[:5], 8)
    assert found.shape == (5, 3, 4)

    def answer(shown: Tensor) -> Tensor:  # by the scores that a run is judged by
        scores = predict(shown, 8)
        if classes == 2:
            return scores[:, 0]
        each = scores.tolist()
        return torch.tensor([
            each[at][y] - np.mean([x for k, x in enumerate(each[at]) if k != y]) for at, y in enumerate(labels[:5])
        ])  # fmt: skip

    grey = torch.full_like(images[:5], float(images.mean()))
    gain = answer(images[:5]) - answer(grey)
    torch.testing.assert_close(found.sum((1, 2)), gain.float(), rtol=2e-3, atol=2e-3)


def test_each_pixel_has_the_integral_of_its_slope() -> None:
    images = torch.rand(6, 1, 3, 4, generator=torch.Generator().manual_seed(2))
    task = Task(kind="classification", classes=("a", "b"), size=(3, 4))
    predict = predictor("Logistic()", task, 1, images, torch.zeros(6))
    found = attributions(Attribution(cases=1, steps=100), predict, images[:1], torch.zeros(1), 8)
    weight, bias = (one.detach().double().numpy().ravel() for one in predict.network.parameters())
    x, grey, expected = images[0].double().numpy().ravel(), float(images.mean()), np.zeros(12)
    for t in (np.arange(4000) + 0.5) / 4000:
        at = grey + t * (x - grey)
        expected += (x - grey) * weight * (1 - np.tanh(at @ weight + bias) ** 2) / 4000
    np.testing.assert_allclose(found[0].numpy().ravel(), expected, atol=1e-5)


def test_cases_are_of_every_class_and_the_same_for_all_losses(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    prepared = prepare(tiny_study(), tmp_path / "store", [tmp_path])
    cases = prepared.shelf.of(prepared.runs[0])
    test = prepared.runs[0].split(cases).fold.test
    some = chosen(cases, test, 4)
    assert len(set(some)) == 4 and set(some) <= set(test)
    assert sorted(cases.labels[some].tolist()) == [0, 0, 1, 1]
    assert set(chosen(cases, test, 10_000)) == set(test)


def test_a_study_keeps_and_shows_them(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    file = write_study(tmp_path, attribution=ASKED)
    assert cli("run", file, "--store", tmp_path / "store", here=tmp_path).code == 0
    files = list(tmp_path.glob("store/runs/*/*/outputs.safetensors"))
    assert files
    for one in files:
        kept = load_file(one)
        assert kept["attribution"].shape[0] == 4 and np.abs(kept["attribution"]).sum() > 0
        assert set(kept["attribution_cases"]) <= set(kept["test_cases"])
    page = (tmp_path / "store/studies" / file.stem / "report.html").read_text()
    assert page.count("each picture has shades of its own") == 2 * 4  # as a caption, and instead of the picture
    assert "What the answers rest on" in page


def test_it_changes_no_result_and_is_no_part_of_a_key_where_it_is_not_asked_for(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    told = []
    for name, asked in (("without", None), ("with", ASKED)):
        file = write_study(tmp_path, attribution=asked)
        assert cli("run", file, "--store", tmp_path / name, here=tmp_path).code == 0
        with (tmp_path / name / "studies" / file.stem / "results.csv").open() as table:
            told.append([{**row, "run": ""} for row in csv.DictReader(table)])  # the key is another
    assert told[0] == told[1]
    assert "attribution" not in prepare(tiny_study(), tmp_path / "x", [tmp_path]).runs[0].spec
    with_it = prepare(tiny_study(attribution=ASKED), tmp_path / "y", [tmp_path]).runs[0]
    assert with_it.spec["attribution"] == ASKED


def test_masks_are_refused_before_anything_starts(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    data = 'Arrays("tiny.npz", target="masks", group="patients")'
    file = write_study(
        tmp_path, losses=["Dice()", "CrossEntropy()"], baseline="Dice()", data=data, network="UNet(width=2, depth=2)",
        primary="Dice()", attribution=ASKED,
    )  # fmt: skip
    answer = cli("run", file, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 2 and "attribution" in answer.err and "leave attribution out" in answer.err


def test_without_captum_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    write_tiny(tmp_path)
    answer = cli("run", write_study(tmp_path, attribution=ASKED), "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 2 and "pip install 'whichloss[attribution]'" in answer.err


def test_trials_that_are_chosen_have_them_too(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    tune = {"trials": 2, "over": {"training.lr": "loguniform(1e-3, 1e-1)"}}
    file = write_study(tmp_path, tune=tune, losses=TINY["losses"], attribution=ASKED)
    assert cli("run", file, "--store", tmp_path / "store", here=tmp_path).code == 0
    assert "What the answers rest on" in (tmp_path / "store/studies" / file.stem / "report.html").read_text()
