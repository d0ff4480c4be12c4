"""segmentation_models.pytorch's DiceLoss."""

from whichloss.core import Card, Loss, PresetLoss, nonnegative
from whichloss.losses.region.dice import Dice


class SmpDice(PresetLoss):
    r"""Over the batch, always; a class without target costs nothing and still counts in the mean.

    $$\ell = \frac{1}{C} \sum_{c\ \mathrm{present}} 1 - \frac{2\,TP + 2s}{2\,TP + FP + FN + 2s}$$
    """

    smooth: float = nonnegative(0.0)  # counts double there, which is once here

    card = Card(
        source="smp",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"smp": "DiceLoss"},
        note="The loss shrinks with every absent class, and a false positive in an image without target is free.",
    )

    def meaning(self) -> Loss:
        return Dice(over="batch", smooth=self.smooth, empty="zero")
