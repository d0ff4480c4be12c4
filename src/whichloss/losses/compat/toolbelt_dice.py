"""pytorch-toolbelt's DiceLoss."""

from whichloss.core import Card, Loss, PresetLoss, nonnegative
from whichloss.losses.region.dice import Dice


class ToolbeltDice(PresetLoss):
    r"""Over the batch, always; a class without target costs nothing and still counts in the mean.

    $$\ell = \frac{1}{C} \sum_{c\ \mathrm{present}} 1 - \frac{2\,TP + s}{2\,TP + FP + FN + s}$$
    """

    smooth: float = nonnegative(0.0)  # beside 2 TP, so it counts half of what it does in smp

    card = Card(
        source="toolbelt",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"pytorch-toolbelt": "DiceLoss"},
        note="The loss shrinks with every absent class, and a false positive in a batch without target is free.",
    )

    def meaning(self) -> Loss:
        return Dice(over="batch", smooth=self.smooth / 2, empty="zero")
