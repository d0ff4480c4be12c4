"""Metrics as a study uses them: at both thresholds, with a title for people; and the one that learning curves show."""

from dataclasses import fields, replace

from torch import Tensor

from whichloss.core import Task
from whichloss.metrics import Metric


def at_both_thresholds(metric: Metric) -> tuple[Metric, ...]:
    """A metric and, where it has a threshold, the same metric at the other one: tuned and natural."""
    if not has_threshold(metric):
        return (metric,)
    natural = metric.threshold == "natural"  # type: ignore[attr-defined]
    return metric, replace(metric, threshold="tuned" if natural else "natural")  # type: ignore[call-arg]


def has_threshold(metric: Metric) -> bool:
    return any(one.name == "threshold" for one in fields(metric))


def title(metric: Metric) -> str:
    """What people call it."""
    natural = has_threshold(metric) and metric.threshold == "natural"  # type: ignore[attr-defined]
    return f"{metric.title} at the natural threshold" if natural else metric.title


def heading(metric: Metric, unit: str = "") -> str:
    """Its title, and which way is better where that is not up."""
    measured = title(metric) + (f" ({unit})" if unit else "")
    return measured if metric.card.higher_is_better else f"{measured}, lower is better"


def watch(task: Task) -> Metric:
    """What learning curves show, fixed by the task so that runs shared by studies agree.

    ROC AUC of a yes/no question, accuracy among several classes, Jaccard of a mask, at the natural threshold; the mean
    absolute error of a quantity, the area under the FROC curve of candidates.
    """
    if task.kind == "regression":
        from whichloss.metrics.regression.mean_absolute_error import MeanAbsoluteError

        return MeanAbsoluteError()
    if task.kind == "detection":
        from whichloss.metrics.detection.froc_area import FrocArea

        return FrocArea()
    if task.kind == "segmentation":
        from whichloss.metrics.segmentation.jaccard import Jaccard

        return Jaccard(threshold="natural")
    if task.binary:
        from whichloss.metrics.classification.roc_auc import RocAuc

        return RocAuc()
    from whichloss.metrics.classification.accuracy import Accuracy

    return Accuracy(threshold="natural")


def watched(logits: Tensor, labels: Tensor, task: Task) -> float:
    return watch(task).value(logits, labels, task)
