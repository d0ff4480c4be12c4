"""Dice coefficient: twice the intersection over the sum of the sizes."""

from torch import Tensor

from whichloss.core import Counts
from whichloss.metrics.metric import MetricCard
from whichloss.metrics.segmentation.overlap import OverlapMetric


class Dice(OverlapMetric):
    r"""$$\frac{2 TP}{2 TP + FP + FN}$$

    The F1 score of the voxels of an image. A small structure loses more for each wrong voxel than a large one.

    >>> import torch
    >>> from whichloss.core import Task
    >>> task = Task(kind="segmentation", classes=("background", "lesion"), size=(1, 4))
    >>> logits = torch.tensor([[[[-2.0, -1.0, 1.0, 2.0]]]])
    >>> labels = torch.tensor([[[0, 1, 1, 1]]])
    >>> Dice().value(logits, labels, task), Dice().value(logits, labels, task, at=-1.5)
    (0.8, 1.0)
    """

    card = MetricCard(
        title="Dice",
        meaning="How well the drawn region agrees with the true one: 0 without overlap, 1 if they are the same.",
        source="maierhein2024metrics",
        tasks=("segmentation",),
        elsewhere="one answer per image has no overlap; use Recall(), Specificity() or RocAuc()",
    )

    def overlap(self, n: Counts) -> Tensor:
        return 2 * n.tp / (2 * n.tp + n.fp + n.fn)
