"""Voxels that nobody has labelled have no say: not in training, not in thresholds, not in scores."""

from pathlib import Path

import numpy as np
import pytest
import torch

from whichloss.core import Task, UserError
from whichloss.data.arrays import Arrays
from whichloss.metrics import tune_threshold
from whichloss.metrics.rates.recall import Recall
from whichloss.metrics.rates.specificity import Specificity
from whichloss.metrics.segmentation.dice import Dice
from whichloss.metrics.segmentation.jaccard import Jaccard
from whichloss.study.read import make_study
from whichloss.study.runs import runs_of
from whichloss.study.shelf import Shelf
from whichloss.study.train import train


def cells(folder: Path) -> Path:
    """Images whose left half nobody has labelled."""
    random = np.random.default_rng(0)
    images = random.random((12, 16, 16)).astype(np.float32)
    masks = (images > 0.6).astype(np.uint8)
    masks[:, :, :8] = 255
    np.savez(folder / "cells.npz", images=images, masks=masks)
    return folder


def test_the_value_to_ignore_becomes_a_label_without_a_say(tmp_path: Path):
    cases = Arrays("cells.npz", ignore=255).load(cells(tmp_path))
    assert cases.task.classes == ("background", "foreground")
    assert (cases.labels[:, :, :8] == -1).all()
    assert set(cases.labels[:, :, 8:].unique().tolist()) == {0, 1}
    with pytest.raises(UserError, match="wrong mask values"):
        Arrays("cells.npz").load(tmp_path)


@pytest.mark.parametrize("metric", [Dice(), Jaccard(), Recall(), Specificity()], ids=lambda one: one.label)
def test_scores_and_thresholds_are_those_of_the_labelled_half(metric):
    random = torch.Generator().manual_seed(3)
    task = Task(kind="segmentation", classes=("no", "yes"), size=(8, 10))
    logits = torch.randn(6, 1, 8, 10, generator=random)
    labels = (logits[:, 0] + torch.randn(6, 8, 10, generator=random) > 0.7).long()
    labels[..., 5:] = -1
    for at in (0.0, 0.4):
        whole = metric.scores(logits, labels, task, at)
        half = metric.scores(logits[..., :5], labels[..., :5], task, at)
        torch.testing.assert_close(whole, half, equal_nan=True)
    poisoned = logits.clone()
    poisoned[..., 5:] = 50.0
    assert tune_threshold(metric, poisoned, labels, task) == pytest.approx(tune_threshold(metric, logits, labels, task))


def test_training_does_not_look_at_their_labels(tmp_path: Path):
    content = {
        "name": "half", "question": "?", "losses": ["Dice() + CrossEntropy()"], "baseline": "Dice() + CrossEntropy()",
        "data": 'Arrays("cells.npz", ignore=255)', "network": "UNet(width=2, depth=2)", "design": {"folds": 2},
        "training": {"stages": {"epochs": 2, "batch": 4}}, "primary": "Jaccard()", "rope": 0.01,
    }  # fmt: skip
    study = make_study(content, "test")
    shelf = Shelf([cells(tmp_path)])
    run, cases = next(runs_of(study, shelf)), shelf.cases(study.data[0])
    split = run.split(cases)
    first = train(run, cases, split, torch.device("cpu"))
    other = train(run, cases, split, torch.device("cpu"))
    assert torch.equal(first.test, other.test)
    assert all(entry["loss"] > 0 for entry in first.curve)
    # a loss over everything is another loss
    object.__setattr__(cases, "labels", cases.labels.clamp_min(0))
    assert not torch.equal(train(run, cases, split, torch.device("cpu")).test, first.test)
