"""How far off: against scikit-learn, and chance against a search for the best constant answer."""

from dataclasses import replace
from math import inf, isnan, nan

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, root_mean_squared_error
from torch import Tensor

from metrics.metric_folds import ILL, LESION, RADIUS, fold
from whichloss.core import UserError
from whichloss.metrics import Metric, tune_threshold
from whichloss.metrics.regression.mean_absolute_error import MeanAbsoluteError
from whichloss.metrics.regression.root_mean_square_error import RootMeanSquareError

BOTH = [MeanAbsoluteError(), RootMeanSquareError()]
ORACLE = {"MeanAbsoluteError": mean_absolute_error, "RootMeanSquareError": root_mean_squared_error}
each = pytest.mark.parametrize("metric", BOTH, ids=lambda metric: metric.label)


@each
@pytest.mark.parametrize("ties", [False, True])
def test_the_value_is_that_of_scikit_learn(metric: Metric, ties: bool) -> None:
    said, truth = fold(RADIUS, 50, ties=ties)
    oracle = ORACLE[type(metric).__name__](truth.double().numpy(), said[:, 0].numpy())
    assert metric.value(said, truth, RADIUS) == pytest.approx(oracle, rel=1e-12)
    assert metric.value(said, truth, RADIUS, at=3.0) == metric.value(said, truth, RADIUS)


@each
def test_scores_are_those_of_each_case_and_give_the_value(metric: Metric) -> None:
    said, truth = torch.tensor([[8.0], [5.0], [10.0]]), torch.tensor([8.0, 7.0, 9.0])
    squares = metric.pooled(RADIUS)
    scores = metric.scores(said, truth, RADIUS)
    assert scores.tolist() == ([0.0, 4.0, 1.0] if squares else [0.0, 2.0, 1.0])
    mean = scores.mean().item()
    assert metric.value(said, truth, RADIUS) == pytest.approx(mean**0.5 if squares else mean)


@each
@pytest.mark.parametrize("cases", [7, 12])
def test_chance_is_what_the_best_constant_answer_scores(metric: Metric, cases: int) -> None:
    """Searched for among the labels and 4001 numbers between them."""
    truth = fold(RADIUS, cases)[1] ** 2  # skewed: median and mean differ
    tried = np.concatenate([truth.numpy(), np.linspace(float(truth.min()), float(truth.max()), 4001)])
    found = min(metric.value(torch.full((cases, 1), float(one)), truth, RADIUS) for one in tried)
    assert metric.chance(truth, RADIUS) == pytest.approx(found, rel=1e-5)
    assert metric.chance(truth, RADIUS) <= found + 1e-6


@each
def test_the_unit_is_that_of_the_data(metric: Metric) -> None:
    assert metric.unit(RADIUS) == "mm"
    assert metric.unit(replace(RADIUS, unit="")) == ""


@each
@pytest.mark.parametrize("odd", [nan, inf, -inf])
def test_a_prediction_that_is_not_a_number_is_infinitely_far_off(metric: Metric, odd: float) -> None:
    """Left out of the mean, it would make a failing network look good."""
    said, truth = fold(RADIUS)
    said[3] = odd
    assert metric.scores(said, truth, RADIUS)[3] == inf
    assert metric.value(said, truth, RADIUS) == inf


@each
def test_perfect_answers_score_zero_in_any_precision(metric: Metric) -> None:
    truth = torch.tensor([1.0, 2.5, 8.0])
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert metric.value(truth.unsqueeze(1).to(dtype), truth, RADIUS) == 0
    assert isnan(metric.value(truth[:0].unsqueeze(1), truth[:0], RADIUS))


@each
@pytest.mark.parametrize("task", [ILL, LESION], ids=lambda task: task.kind)
def test_classes_have_no_distance(metric: Metric, task) -> None:
    with pytest.raises(UserError, match=rf"not offered for {task.kind}: classes have no distance .* use Accuracy\(\)"):
        metric.value(*fold(task), task)
    with pytest.raises(UserError, match="not offered"):
        metric.chance(fold(task)[1], task)


@pytest.mark.parametrize(
    ("said", "truth"),
    [
        (torch.zeros(4), torch.zeros(4)),
        (torch.zeros(4, 2), torch.zeros(4)),
        (torch.zeros(4, 1), torch.zeros(4, 1)),
        (torch.zeros(4, 1), torch.zeros(3)),
        (torch.zeros(4, 1), torch.zeros(4).long()),
    ],
)
def test_what_does_not_fit_is_refused(said: Tensor, truth: Tensor) -> None:
    with pytest.raises(UserError, match=r"radius asks for predictions \(N, 1\) and labels \(N,\), float"):
        MeanAbsoluteError().value(said, truth, RADIUS)


def test_there_is_no_threshold_to_tune() -> None:
    with pytest.raises(UserError, match="Mean absolute error has no threshold to tune"):
        tune_threshold(MeanAbsoluteError(), *fold(RADIUS), RADIUS)
