"""From the outputs of a run to its scores: threshold tuned on the inner part, the test part read at it."""

from collections.abc import Sequence
from math import isnan
from typing import Any

from torch import Tensor

from whichloss.core import Task
from whichloss.metrics.metric import Metric
from whichloss.metrics.tune import tune_threshold

from .measures import has_threshold


def scores(metrics: Sequence[Metric], outputs: dict[str, Tensor], task: Task) -> dict[str, dict[str, Any]]:
    """For each metric: its value on the test part, the threshold on the logit, and the score of each case."""
    return {repr(metric): _score(metric, outputs, task) for metric in metrics}


def _score(metric: Metric, outputs: dict[str, Tensor], task: Task) -> dict[str, Any]:
    inner, test = outputs["inner"].float(), outputs["test"].float()
    labels = outputs["test_labels"].long()
    at = 0.0
    if task.binary and has_threshold(metric) and metric.threshold == "tuned":  # type: ignore[attr-defined]
        at = tune_threshold(metric, inner, outputs["inner_labels"].long(), task)
    return {
        "version": metric.results_version,
        "value": _number(metric.value(test, labels, task, at)),
        "at": at,
        "cases": [_number(one) for one in metric.scores(test, labels, task, at).tolist()],
    }


def chances(metrics: Sequence[Metric], labels: Tensor, task: Task) -> dict[str, float]:
    """What the best constant answer scores on the test part: what a failed run is given."""
    return {repr(metric): metric.chance(labels, task) for metric in metrics}


def _number(value: float) -> float | None:
    return None if isnan(value) else float(value)
