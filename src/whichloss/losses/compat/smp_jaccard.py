"""segmentation_models.pytorch's JaccardLoss."""

from whichloss.core import Card, Loss, PresetLoss, nonnegative
from whichloss.losses.region.jaccard import Jaccard


class SmpJaccard(PresetLoss):
    r"""Over the batch, always; a class without target costs nothing and still counts in the mean.

    $$\ell = \frac{1}{C} \sum_{c\ \mathrm{present}} 1 - \frac{TP + s}{TP + FP + FN + s}$$
    """

    smooth: float = nonnegative(0.0)

    card = Card(
        source="smp",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"smp": "JaccardLoss"},
        note="For hard labels: its TP is (P + Y - |P - Y|) / 2, not ours for soft ones, and cancels in large images.",
    )

    def meaning(self) -> Loss:
        return Jaccard(over="batch", smooth=self.smooth, empty="zero")
