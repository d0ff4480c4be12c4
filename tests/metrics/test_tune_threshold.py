"""The tuned threshold against every threshold there is."""

from itertools import pairwise
from math import isfinite, isnan, log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metrics.metric_folds import ILL, LESION, ORGANS, binary_folds, fold
from whichloss.core import Task, UserError
from whichloss.metrics import ThresholdedMetric, tune_threshold
from whichloss.metrics.classification.accuracy import Accuracy
from whichloss.metrics.classification.roc_auc import RocAuc
from whichloss.metrics.rates.recall import Recall
from whichloss.metrics.rates.specificity import Specificity
from whichloss.metrics.segmentation.dice import Dice
from whichloss.metrics.segmentation.jaccard import Jaccard

RATES = (Recall(), Specificity())


def goal(metric: ThresholdedMetric, logits: Tensor, labels: Tensor, task: Task, at: float) -> float:
    """What a threshold is chosen for: the value, of a rate the mean of both."""
    if metric not in RATES:
        return metric.value(logits, labels, task, at)
    if task.kind == "classification":
        return float(np.nanmean([rate.value(logits, labels, task, at) for rate in RATES]))
    return torch.stack([rate.scores(logits, labels, task, at) for rate in RATES]).nanmean(0).nanmean().item()


def all_thresholds(logits: Tensor) -> list[float]:
    levels = sorted({x for x in logits.flatten().double().tolist() if isfinite(x)})
    return [levels[0] - 1, *((a + b) / 2 for a, b in pairwise(levels)), levels[-1] + 1] if levels else [0.0]


@pytest.mark.parametrize("metric", [Accuracy(), *RATES])
@given(binary_folds())
@settings(deadline=None, max_examples=80)
def test_no_threshold_is_better(metric: ThresholdedMetric, data: tuple[Tensor, Tensor]) -> None:
    logits, labels = data
    at = tune_threshold(metric, logits, labels, ILL)
    found = goal(metric, logits, labels, ILL, at)
    everywhere = [goal(metric, logits, labels, ILL, one) for one in [*all_thresholds(logits), 0.0]]
    assert isfinite(at)
    assert found == pytest.approx(max(everywhere), abs=1e-12)  # hence never worse than the natural one


@pytest.mark.parametrize("metric", [Dice(), Jaccard(), Dice(empty="skip"), *RATES])
@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1.0, 50.0]), st.sampled_from([-20.0, 0.0, 3.0]))
@settings(deadline=None, max_examples=25)
def test_masks_are_never_worse_than_at_the_natural_threshold(
    metric: ThresholdedMetric, seed: int, scale: float, shift: float
) -> None:
    logits, labels = fold(LESION, 4, seed)
    logits = scale * logits + shift
    labels[0] = 0
    at = tune_threshold(metric, logits, labels, LESION)
    assert goal(metric, logits, labels, LESION, at) >= goal(metric, logits, labels, LESION, 0.0) - 1e-9


@pytest.mark.parametrize("scale", [1e-6, 1e-2, 1.0, 100.0])
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_masks_come_close_to_the_best_of_all_thresholds_at_any_scale(scale: float, shift: float) -> None:
    """A margin loss may leave all its logits between two neighbours of a grid of probabilities."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.zeros(12, 32, 32, dtype=torch.long)
    labels[:, 10:16, 12:18] = 1  # 3.5 % of the image
    logits = (
        torch.randn(12, 1, 32, 32, generator=draw, dtype=torch.float64) + 2.5 * labels.unsqueeze(1) + shift
    ) * scale
    every = logits.flatten().sort().values[::12]
    best = max(Dice().value(logits, labels, LESION, at) for at in every.tolist())
    assert Dice().value(logits, labels, LESION, tune_threshold(Dice(), logits, labels, LESION)) > best - 0.005


def test_the_middle_of_the_widest_plateau_is_taken() -> None:
    def tuned(scores: list[float], labels: list[int]) -> float:
        return tune_threshold(Accuracy(), torch.tensor(scores).unsqueeze(1), torch.tensor(labels), ILL)

    assert tuned([-3.0, -1.0, 5.0, 6.0], [0, 0, 1, 1]) == 2.0
    assert tuned([0.0, 1.0, 2.0, 6.0], [0, 1, 0, 1]) == 4.0  # one error below 0.5, one from 2 to 6: the wider
    assert tuned([-3.0, -1.0, 1.0, 3.0], [0, 1, 0, 1]) in (-2.0, 2.0)  # equally wide and equally far
    assert tuned([-2.0, -1.0, 2.0, 3.0], [0, 1, 0, 1]) == -1.5  # equally wide: the nearest to 0
    assert tuned([1.0, 2.0, 3.0], [0, 0, 0]) > 2.9  # nobody ill: (almost) everybody below
    assert tuned([7.0, 7.0], [0, 1]) in (6.5, 7.0, 7.5)


def test_masks_take_the_middle_of_the_candidates_tried() -> None:
    labels = torch.tensor([[[0, 0, 1, 1]]])
    logits = torch.tensor([[[[-9.0, -3.0, 5.0, 9.0]]]])
    at = tune_threshold(Dice(), logits, labels, LESION)
    assert -3 <= at < 5
    assert Dice().value(logits, labels, LESION, at) == 1.0
    assert abs(at) <= log(0.98 / 0.02) + 1e-6


@pytest.mark.parametrize("task", [ILL, LESION])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_the_threshold_holds_in_the_precision_of_the_logits(task: Task, dtype: torch.dtype) -> None:
    """Between neighbouring floats there is no middle; rounding one must not move a case to the other side."""
    one = torch.ones((), dtype=dtype)
    low, high = one, one.nextafter(2 * one) if dtype != torch.bfloat16 else one * 1.0078125
    labels = torch.tensor([0, 1, 0, 1]) if task is ILL else torch.tensor([[[0, 1, 0, 1]]])
    logits = torch.where(labels == 1, high, low).unsqueeze(1)
    metric = Accuracy() if task is ILL else Dice()
    at = tune_threshold(metric, logits, labels, task)
    assert metric.value(logits, labels, task, at) == 1.0


@pytest.mark.parametrize(("metric", "task"), [(Accuracy(), ILL), (Recall(), ILL), (Dice(), LESION), (Recall(), LESION)])
def test_the_order_of_cases_does_not_matter(metric: ThresholdedMetric, task: Task) -> None:
    logits, labels = fold(task, 20)
    assert tune_threshold(metric, logits.flip(0), labels.flip(0), task) == tune_threshold(metric, logits, labels, task)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf"), 3e38])
def test_logits_that_are_not_finite_do_no_harm(odd: float) -> None:
    for metric, task in ((Accuracy(), ILL), (Dice(), LESION)):
        logits, labels = fold(task, 9)
        logits[::2] = odd
        assert isfinite(tune_threshold(metric, logits.float(), labels, task))
        assert isfinite(tune_threshold(metric, torch.full_like(logits, odd).float(), labels, task))


def test_without_a_defined_goal_the_natural_threshold_stays() -> None:
    for metric, task in ((Accuracy(), ILL), (Dice(), LESION), (Recall(), LESION)):
        assert tune_threshold(metric, *fold(task, cases=0), task) == 0.0
    logits, _ = fold(LESION, 3)
    nothing = torch.zeros(3, 4, 5, dtype=torch.long)
    assert isnan(Dice(empty="skip").value(logits, nothing, LESION))
    assert tune_threshold(Dice(empty="skip"), logits, nothing, LESION) == 0.0
    assert Dice().value(logits, nothing, LESION, tune_threshold(Dice(), logits, nothing, LESION)) == 1.0


def test_recall_and_specificity_share_an_operating_point() -> None:
    """Recall by itself would be tuned to calling everybody ill."""
    logits, labels = fold(ILL, 50)
    at = tune_threshold(Recall(), logits, labels, ILL)
    assert at == tune_threshold(Specificity(), logits, labels, ILL)
    assert 0.5 < Recall().value(logits, labels, ILL, at) < 1.0


def test_what_has_no_threshold_is_refused() -> None:
    with pytest.raises(UserError, match="ROC AUC has no threshold"):
        tune_threshold(RocAuc(), *fold(ILL), ILL)
    with pytest.raises(UserError, match="of 3 classes the highest logit wins"):
        tune_threshold(Accuracy(), *fold(ORGANS), ORGANS)
    with pytest.raises(UserError, match="not offered"):
        tune_threshold(Dice(), *fold(ILL), ILL)
