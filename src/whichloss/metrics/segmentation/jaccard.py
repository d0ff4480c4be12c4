"""Jaccard index: intersection over union."""

from torch import Tensor

from whichloss.core import Counts
from whichloss.metrics.metric import MetricCard
from whichloss.metrics.segmentation.overlap import OverlapMetric


class Jaccard(OverlapMetric):
    r"""$$\frac{TP}{TP + FP + FN}$$

    Orders the masks of one image as Dice does, $J = D / (2 - D)$, and is stricter on middling ones, so that means
    over images may order two models differently.
    """

    card = MetricCard(
        title="Jaccard",
        meaning="The share of the drawn and the true region together that both have in common.",
        source="maierhein2024metrics",
        tasks=("segmentation",),
        elsewhere="one answer per image has no overlap; use Recall(), Specificity() or RocAuc()",
    )

    def overlap(self, n: Counts) -> Tensor:
        return n.tp / (n.tp + n.fp + n.fn)
