"""Mean absolute error: how far off a prediction is on average."""

from torch import Tensor

from whichloss.core import Task
from whichloss.metrics.metric import MetricCard
from whichloss.metrics.regression.error import ELSEWHERE, TASKS, ErrorMetric


class MeanAbsoluteError(ErrorMetric):
    r"""$$\frac1N \sum_i |\hat y_i - y_i|$$

    Every pixel, millimetre or year counts the same, in few gross errors as in many small ones.

    >>> import torch
    >>> from whichloss.core import Task
    >>> task = Task(kind="regression", quantity="radius", unit="mm")
    >>> MeanAbsoluteError().value(torch.tensor([[8.0], [5.0]]), torch.tensor([9.0, 7.0]), task)
    1.5
    """

    card = MetricCard(
        title="Mean absolute error",
        meaning="How far a prediction is from the truth on average.",
        source="hodson2022root",
        tasks=TASKS,
        elsewhere=ELSEWHERE,
        higher_is_better=False,
    )

    def scores(self, logits: Tensor, labels: Tensor, task: Task, at: float = 0.0) -> Tensor:
        return self.errors(logits, labels, task)

    def chance(self, labels: Tensor, task: Task) -> float:
        """Of the best constant answer, the median."""
        self.accept(task)
        return (labels.double() - labels.double().median()).abs().mean().item()
