"""Accuracy: the share of right answers."""

from torch import Tensor

from whichloss.core import Counts, Task
from whichloss.metrics.metric import MetricCard
from whichloss.metrics.thresholded import ThresholdedMetric, decide


class Accuracy(ThresholdedMetric):
    r"""$$\frac{TP + TN}{TP + FP + FN + TN}$$

    Of several classes the share of right ones, every case counting the same. Beware of rare classes: where one case
    in twenty is ill, calling everybody healthy scores 0.95.
    """

    card = MetricCard(
        title="Accuracy",
        meaning="The share of cases that are given the right answer.",
        source="maierhein2024metrics",
        tasks=("classification",),
        elsewhere="over voxels it is close to 1 for every model, since most are background; use Dice() or Recall()",
    )

    def formula(self, n: Counts) -> Tensor:
        return (n.tp + n.tn) / n.elements

    def scores(self, logits: Tensor, labels: Tensor, task: Task, at: float = 0.0) -> Tensor:
        """1 for a right answer, 0 for a wrong one; every case defines it."""
        self.check_fold(logits, labels, task)
        return (decide(logits, task, at) == labels).double()

    def pooled(self, task: Task) -> bool:
        return False

    def chance(self, labels: Tensor, task: Task) -> float:
        """The share of the most frequent class: the best constant answer."""
        self.accept(task)
        return labels.long().bincount().max().item() / len(labels) if len(labels) else float("nan")
