"""Losses of embeddings in a study: a linear classifier is fitted on what the network has learned."""

import csv
from pathlib import Path

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from small_studies import cli, write_study, write_tiny
from whichloss import parse
from whichloss.core import Task
from whichloss.study.readout import readout


def never() -> torch.Tensor:
    raise AssertionError("a loss of answers needs no classifier")


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_those_of_a_logistic_regression_on_unit_embeddings(classes: int):
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % classes
    embeddings = torch.randn(60, 5, generator=random) + 2 * torch.eye(5)[labels]
    task = Task(kind="classification", classes=tuple("abc"[:classes]), size=(8, 8))
    read = readout(parse("SupervisedContrastive()"), task, lambda: embeddings, labels)
    new = torch.randn(7, 5, generator=random)
    model = LogisticRegression(max_iter=1000).fit(normalize(embeddings.double().numpy()), labels.numpy())
    expected = torch.from_numpy(model.decision_function(normalize(new.double().numpy()))).float().reshape(7, -1)
    torch.testing.assert_close(read(new), expected)
    torch.testing.assert_close(read(100 * new), expected)  # a length means nothing where the loss sees none


def test_lengths_count_where_the_loss_sees_them():
    labels = torch.arange(20) % 2
    embeddings = (1.0 + 3 * labels.float()).unsqueeze(1) * torch.ones(20, 2) / 10
    task = Task(kind="classification", classes=("near", "far"), size=(8, 8))
    read = readout(parse("ContrastivePair(normalize=False)"), task, lambda: embeddings, labels)
    assert float(read(torch.ones(1, 2))) > float(read(torch.zeros(1, 2)))


def test_a_class_that_nobody_has_shown_is_never_chosen():
    labels = torch.tensor([0, 0, 2, 2])
    embeddings = torch.eye(3)[labels] + 0.01 * torch.arange(12.0).reshape(4, 3)
    task = Task(kind="classification", classes=("a", "b", "c"), size=(8, 8))
    scores = readout(parse("Triplet()"), task, lambda: embeddings, labels)(embeddings)
    assert scores.shape == (4, 3)
    assert scores.argmax(1).tolist() == [0, 0, 2, 2]


def test_a_loss_of_answers_has_its_scores_already():
    logits = torch.randn(4, 1)
    task = Task(kind="classification", classes=("a", "b"), size=(8, 8))
    assert readout(parse("Logistic()"), task, never, torch.arange(4) % 2)(logits) is logits


@pytest.mark.parametrize("classes", [2, 3])
def test_a_study_compares_embeddings_with_answers(tmp_path: Path, classes: int):
    write_tiny(tmp_path, cases=36, classes=classes)
    losses = ["CrossEntropy()", "SupervisedContrastive()", "Triplet(mining='all')", "ContrastivePair()"]
    file = write_study(tmp_path, losses=losses, baseline="CrossEntropy()", primary="Accuracy()")
    answer = cli("run", file, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 0, answer.err
    with (tmp_path / "store" / "studies" / "tiny" / "results.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == "test"]
    assert len({row["loss"] for row in rows}) == 4
    assert all(0 <= float(row["value"]) <= 1 for row in rows)


def test_embeddings_are_not_for_masks(tmp_path: Path):
    write_tiny(tmp_path)
    file = write_study(
        tmp_path, losses=["Triplet()"], baseline="Triplet()", primary="Dice()", network="UNet(width=2, depth=2)",
        data='Arrays("tiny.npz", target="masks")',
    )  # fmt: skip
    answer = cli("run", file, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 2
    assert "Triplet" in answer.err and "is for classification" in answer.err
