"""Metrics of how far a predicted quantity is from the true one."""

from math import inf

from torch import Tensor

from whichloss.core import Task, UserError
from whichloss.core.task import Kind
from whichloss.metrics.metric import Metric

TASKS: tuple[Kind, ...] = ("regression",)
ELSEWHERE = "classes have no distance from each other; use Accuracy(), RocAuc() or, of masks, Dice()"


class ErrorMetric(Metric):
    """In the unit of the data, and 0 at best.

    Its logits are predictions, (N, 1), in this unit too; labels: (N,), float. There is no threshold, so that `at` is
    without effect. A prediction that is not a number is infinitely far off.
    """

    def unit(self, task: Task) -> str:
        return task.unit

    def check_fold(self, logits: Tensor, labels: Tensor, task: Task) -> None:
        self.accept(task)
        if logits.shape != (*labels.shape, 1) or labels.ndim != 1 or not labels.is_floating_point():
            raise UserError(
                f"predictions {tuple(logits.shape)} and labels {tuple(labels.shape)} of {labels.dtype} do not fit:"
                f" {task.quantity} asks for predictions (N, 1) and labels (N,), float"
            )

    def errors(self, logits: Tensor, labels: Tensor, task: Task) -> Tensor:
        """|prediction - truth| of each case, (N,), float64."""
        self.check_fold(logits, labels, task)
        return (logits[:, 0].double() - labels.double()).abs().nan_to_num(nan=inf, posinf=inf)
