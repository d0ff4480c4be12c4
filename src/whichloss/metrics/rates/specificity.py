"""Specificity: the share of what is absent that is left alone."""

from torch import Tensor

from whichloss.core import Counts, Task
from whichloss.metrics.metric import MetricCard
from whichloss.metrics.rates.rate import TASKS, RateMetric, specificity


class Specificity(RateMetric):
    r"""$$\frac{TN}{TN + FP}$$

    Also called true negative rate. In segmentation it is close to 1 for every model, since most voxels are easy
    background: read it beside Recall or Dice.
    """

    card = MetricCard(
        title="Specificity",
        meaning="The share of what is healthy that is left alone.",
        source="fawcett2006introduction",
        tasks=TASKS,
    )

    def formula(self, n: Counts) -> Tensor:
        return specificity(n)

    def chance(self, labels: Tensor, task: Task) -> float:
        """1 - 1/K, 0.5 of a binary task: a blind guess that gives each class equally often.

        Not the best constant answer: that is always no, scores 1, and would reward a failure.
        """
        self.accept(task)
        return 1 - 1 / len(task.classes)
