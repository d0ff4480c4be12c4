"""Recall: the share of what is there that is found."""

from torch import Tensor

from whichloss.core import Counts, Task
from whichloss.metrics.metric import MetricCard
from whichloss.metrics.rates.rate import TASKS, RateMetric, recall


class Recall(RateMetric):
    r"""$$\frac{TP}{TP + FN}$$

    Also called sensitivity, or true positive rate. Undefined where there is nothing to find. The mean over several
    classes is the balanced accuracy.
    """

    card = MetricCard(
        title="Recall (sensitivity)",
        meaning="The share of what is diseased that is found.",
        source="fawcett2006introduction",
        tasks=TASKS,
    )

    def formula(self, n: Counts) -> Tensor:
        return recall(n)

    def chance(self, labels: Tensor, task: Task) -> float:
        """1/K, 0.5 of a binary task: a blind guess that gives each class equally often.

        Not the best constant answer: that is always yes, scores 1, and would reward a failure.
        """
        self.accept(task)
        return 1 / len(task.classes)
