"""Sensitivity at so many false positives per volume."""

from torch import Tensor

from whichloss.core import nonnegative
from whichloss.metrics.detection.froc import Froc
from whichloss.metrics.detection.froc_metric import ELSEWHERE, TASKS, FrocMetric
from whichloss.metrics.metric import MetricCard


class SensitivityAt(FrocMetric):
    """The share of the lesions that is found at no more than `fp_per_volume` false positives per volume.

    One point of the FROC curve, and with few lesions a coarse one: read it beside FrocArea.

    >>> import torch
    >>> from whichloss.core import Task
    >>> task = Task(kind="detection", classes=("nothing", "lesion"), size=(8, 8))
    >>> logits = torch.tensor([[2.0], [1.0], [0.0]])
    >>> labels = torch.tensor([[1, 0, 0, 0], [0, 1, 0, -1], [1, 2, 0, 1]])  # answer, candidate, volume, lesion
    >>> SensitivityAt(fp_per_volume=0.5).value(logits, labels, task)
    0.5
    """

    fp_per_volume: float = nonnegative(3.0)

    card = MetricCard(
        title="Sensitivity at false positives per volume",
        meaning="The share of lesions found at a bearable number of false alarms per scan.",
        source="bunch1978free",
        tasks=TASKS,
        elsewhere=ELSEWHERE,
    )

    @property
    def reads(self) -> str:
        return f"Sensitivity at {self.fp_per_volume:g} FP/volume"

    def shares(self, froc: Froc) -> Tensor:
        return froc.found_at(self.fp_per_volume, self.by)
