"""Root mean square error: how far off a prediction is, where gross errors count more."""

from torch import Tensor

from whichloss.core import Task
from whichloss.metrics.metric import MetricCard
from whichloss.metrics.redrawn import mean_of
from whichloss.metrics.regression.error import ELSEWHERE, TASKS, ErrorMetric


class RootMeanSquareError(ErrorMetric):
    r"""$$\sqrt{\frac1N \sum_i (\hat y_i - y_i)^2}$$

    Never below the mean absolute error, and the further above it, the less alike the errors are. The score of a case
    is its squared error; the value is the root of their mean.
    """

    card = MetricCard(
        title="Root mean square error",
        meaning="How far a prediction is from the truth, where one gross error outweighs many small ones.",
        source="hodson2022root",
        tasks=TASKS,
        elsewhere=ELSEWHERE,
        higher_is_better=False,
    )

    def scores(self, logits: Tensor, labels: Tensor, task: Task, at: float = 0.0) -> Tensor:
        return self.errors(logits, labels, task).square()

    def value(self, logits: Tensor, labels: Tensor, task: Task, at: float = 0.0) -> float:
        return self.scores(logits, labels, task).mean().sqrt().item()

    def pooled(self, task: Task) -> bool:
        """True: a root of a mean is no mean."""
        return True

    def redrawn(
        self, logits: Tensor, labels: Tensor, task: Task, groups: Tensor, times: Tensor, at: float = 0.0
    ) -> Tensor:
        return mean_of(self.scores(logits, labels, task), groups, times).sqrt()

    def chance(self, labels: Tensor, task: Task) -> float:
        """Of the best constant answer, the mean: the standard deviation."""
        self.accept(task)
        return labels.double().std(correction=0).item()
