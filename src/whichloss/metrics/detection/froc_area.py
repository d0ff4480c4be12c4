"""Area under the FROC curve, up to so many false positives per volume."""

from torch import Tensor

from whichloss.core import positive
from whichloss.metrics.detection.froc import Froc
from whichloss.metrics.detection.froc_metric import ELSEWHERE, TASKS, FrocMetric
from whichloss.metrics.metric import MetricCard


class FrocArea(FrocMetric):
    r"""$$\frac1u \int_0^u \mathrm{sensitivity} \; d\,\mathrm{fp}, \qquad u: \text{up to}$$

    The mean sensitivity over the rates from 0 to `up_to` false positives per volume: 1 where every lesion is found
    before the first of them. The curve ends flat where the candidates run out.

    A lesion that costs c false positives per volume adds $\max(0, 1 - c/u)$, and this is its score.

    >>> import torch
    >>> from whichloss.core import Task
    >>> task = Task(kind="detection", classes=("nothing", "lesion"), size=(8, 8))
    >>> logits = torch.tensor([[2.0], [1.0], [0.0]])
    >>> labels = torch.tensor([[1, 0, 0, 0], [0, 1, 0, -1], [1, 2, 0, 1]])  # answer, candidate, volume, lesion
    >>> FrocArea(up_to=4).value(logits, labels, task)
    0.875
    """

    up_to: float = positive(10.0)  # false positives per volume

    card = MetricCard(
        title="FROC area",
        meaning="The share of lesions found, averaged from no false alarm up to a bearable number of them per scan.",
        source="barbu2018robust",
        tasks=TASKS,
        elsewhere=ELSEWHERE,
    )

    @property
    def reads(self) -> str:
        return self.card.title + ("" if self.up_to == 10 else f" up to {self.up_to:g} FP/volume")

    def shares(self, froc: Froc) -> Tensor:
        return froc.found_below(self.up_to, self.by)
