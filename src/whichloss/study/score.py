"""From the outputs of a run to its scores: threshold tuned on the inner part, the test part read at it."""

from collections.abc import Callable, Mapping, Sequence
from math import isnan
from typing import Any

from torch import Tensor

from whichloss.core import Task
from whichloss.core.rows import PART, Rows
from whichloss.metrics.metric import Metric
from whichloss.metrics.tune import tune_threshold

from .measures import has_threshold

MANY = 4 * PART  # elements


def scores(metrics: Sequence[Metric], outputs: dict[str, Tensor], task: Task) -> dict[str, dict[str, Any]]:
    """For each metric: its value on the test part, the threshold on the logit, and the score of each case."""
    return {repr(metric): _score(metric, outputs, task) for metric in metrics}


def _score(metric: Metric, outputs: dict[str, Tensor], task: Task) -> dict[str, Any]:
    inner, test = single(outputs["inner"]), single(outputs["test"])
    labels = wide(outputs["test_labels"])
    at = _threshold(metric, inner, wide(outputs["inner_labels"]), task)
    return {
        "version": metric.results_version,
        "value": _number(metric.value(test, labels, task, at)),
        "at": at,
        "cases": [_number(one) for one in metric.scores(test, labels, task, at).tolist()],
    }


def train_scores(metrics: Sequence[Metric], outputs: dict[str, Tensor], task: Task) -> dict[str, dict[str, Any]]:
    """For each metric, its value on the cases fitted to, with their true labels: how far the test part falls short."""
    if "train" not in outputs:
        return {}
    answers, labels = single(outputs["train"]), wide(outputs["train_labels"])
    inner, inner_labels = single(outputs["inner"]), wide(outputs["inner_labels"])
    return {
        repr(metric): {
            "version": metric.results_version,
            "value": _number(metric.value(answers, labels, task, _threshold(metric, inner, inner_labels, task))),
        }
        for metric in metrics
    }


def inner_scores(metrics: Sequence[Metric], outputs: dict[str, Tensor], task: Task) -> dict[str, dict[str, Any]]:
    """For each metric, its value on the inner split, at the threshold that is tuned there: what choices are made by."""
    answers, labels = single(outputs["inner"]), wide(outputs["inner_labels"])
    return {
        repr(metric): {
            "version": metric.results_version,
            "value": _number(metric.value(answers, labels, task, _threshold(metric, answers, labels, task))),
        }
        for metric in metrics
    }


def inner_score(
    metric: Metric, record: Mapping[str, Any], outputs: Callable[[], dict[str, Tensor]], task: Task
) -> float | None:
    """From the record; for a metric that was asked for later, from the outputs that were kept."""
    known = record.get("inner", {}).get(repr(metric))
    if known is None or known["version"] != metric.results_version:
        known = inner_scores([metric], outputs(), task)[repr(metric)]
    return known["value"]


def chances(metrics: Sequence[Metric], labels: Tensor, task: Task) -> dict[str, float]:
    """What the best constant answer scores on the test part: what a failed run is given."""
    return {repr(metric): metric.chance(labels, task) for metric in metrics}


def _threshold(metric: Metric, answers: Tensor, labels: Tensor, task: Task) -> float:
    """On the logit, tuned on these answers; the natural one where a metric has or wants no other."""
    if task.binary and has_threshold(metric) and metric.threshold == "tuned":  # type: ignore[attr-defined]
        return tune_threshold(metric, answers, labels, task)
    return 0.0


def single(answers: Tensor) -> Tensor:
    """In single precision; what may be larger than memory stays as it was kept, and metrics go through it in parts."""
    return answers if answers.numel() > MANY else answers.float()


def wide(labels: Tensor) -> Tensor:
    """Class indices as they were before they were stored; quantities, and what may be larger than memory, stay."""
    stays = labels.is_floating_point() or isinstance(labels, Rows) or labels.numel() > MANY
    return labels if stays else labels.long()


def _number(value: float) -> float | None:
    return None if isnan(value) else float(value)
