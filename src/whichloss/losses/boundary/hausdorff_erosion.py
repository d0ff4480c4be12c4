"""Hausdorff distance loss by erosion: an error costs more, the more erosions it outlives."""

from collections.abc import Sequence

from torch import Tensor

from whichloss.core import Card, OutlineLoss, count, fraction, nonnegative
from whichloss.core.lifts.morphology import Erosions
from whichloss.core.prepare import Prepared
from whichloss.core.question import Question


class HausdorffErosion(OutlineLoss):
    r"""The squared error after each of a number of soft erosions, with a weight that grows with their number.

    $$\ell = \sum_{k=1}^{K} k^\alpha \, \big((p - y)^2 \ominus_k B\big)$$

    $B$ is the mean over a voxel and its neighbours along the axes; of what it gives, a threshold is taken off, and the
    rest is stretched to 0 to 1. Thin errors along a boundary are gone after the first erosion and teach nothing, so a
    region loss is needed beside it. Nor does an error below 0.71 survive the usual threshold of 0.5: a network that
    has not been trained answers 0.5 everywhere, and learns nothing from it; a threshold of 0.1 lets it begin.
    No distance transform: it costs K passes over the image, and their memory.
    """

    alpha: float = nonnegative(2.0)
    erosions: int = count(10)  # K
    threshold: float = fraction(0.5)

    card = Card(
        source="karimi2020reducing",
        equation="estimate by erosion",
        range=(0.0, 385.0),
        smooth=False,
        convex=False,
        golden={(1.0, *[0.0] * 9): 1.0, (0.5, 1.0, 0.25, *[0.0] * 7): 6.75, (1.0,) * 10: 385.0},
        aliases=("HD-ER",),
        note="The paper says nothing of the stretching after each erosion, which is in all code for it; an image larger"
        " than the error is needed for it to reach 0. SegLossOdyssey computes it outside of the graph, without a"
        " gradient.",
        peers={"kornia": "HausdorffERLoss", "SegLossOdyssey": "HausdorffERLoss"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(alpha=1.0, erosions=3, background=False), cls(threshold=0.1)]

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, float(sum(k**self.alpha for k in range(1, self.erosions + 1)))

    def needs(self) -> Sequence[Erosions]:
        return (Erosions(self.classes, self.erosions, self.threshold),)

    def seen(self, prepared: Prepared, question: Question) -> tuple[Tensor, ...]:
        return prepared[self.lifts[0]]

    def formula(self, first: Tensor, *later: Tensor) -> Tensor:
        return sum((k**self.alpha * one for k, one in enumerate(later, start=2)), start=first)
