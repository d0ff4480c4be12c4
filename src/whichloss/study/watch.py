"""What learning curves show: one fixed measure for each kind of task, so that runs shared by studies agree."""

from torch import Tensor

from whichloss.core import Task
from whichloss.metrics.metric import Metric


def watch(task: Task) -> Metric:
    """ROC AUC of a yes/no question, accuracy among several classes, Jaccard of a mask; at the natural threshold."""
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
