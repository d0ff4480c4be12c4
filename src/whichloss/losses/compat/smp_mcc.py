"""segmentation_models.pytorch's MCCLoss."""

from collections.abc import Sequence

from torch import Tensor

from whichloss.core import Card, RegionLoss, Terms, choice, nonnegative
from whichloss.core.lift import Lift
from whichloss.core.lifts.four_sums import FourCounts, FourSums
from whichloss.losses.region.mcc import MCC, correlation


class SmpMCC(RegionLoss):
    r"""`MCCLoss()` of one output: over the batch, with as much added to every count.

    $$\ell = 1 - \frac{TP\,TN - FP\,FN}{\sqrt{(TP + FP)(TP + FN)(TN + FP)(TN + FN)}}$$

    each count with `smooth` more, its eps. A background patch that is right costs 0.5, and its slope is 8e5.
    """

    over: str = choice("batch")
    smooth: float = nonnegative(1e-5)  # its eps; 1e-7 in toolbelt
    empty: str = choice("formula")

    card = Card(
        source="smp",
        equation="its code",
        range=(0.0, 2.0),
        smooth=True,
        convex=False,
        golden=MCC.card.golden,
        peers={"smp": "MCCLoss", "pytorch-toolbelt": "MCCLoss"},
        note="smp takes probabilities, and one output. MCC adds to TP and TN alone, so that an empty patch costs 0.",
    )

    def needs(self) -> Sequence[Lift]:
        return (FourSums(self.classes),)

    def hard(self, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor | float = 0.0) -> FourCounts:
        return MCC().hard(tp, fp, fn, tn)

    def formula(self, n: FourCounts) -> Tensor:
        return 1 - correlation(n)

    def _terms(self, n: FourCounts, weight: Tensor) -> Terms:
        fp, fn, tn = (part + self.smooth for part in (n.fp, n.fn, n.tn))
        return super()._terms(n._replace(fp=fp, fn=fn, tn=tn), weight)
