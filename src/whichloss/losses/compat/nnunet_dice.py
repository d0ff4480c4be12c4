"""nnU-Net's SoftDiceLoss."""

from whichloss.core import Card, Loss, PresetLoss, flag, nonnegative
from whichloss.losses.region.dice import Dice


class NnunetDice(PresetLoss):
    r"""The negative Dice score, per image and class or over the batch.

    $$\ell = -\frac{2\,TP + s}{2\,TP + FP + FN + s}$$
    """

    batch_dice: bool = flag(False)
    do_bg: bool = flag(True)
    smooth: float = nonnegative(1.0)  # its trainer passes 1e-5

    offset = -1.0

    card = Card(
        source="isensee2021nnunet",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"nnU-Net": "SoftDiceLoss"},
        note="Negative, which its users ask about again and again; a wrapper that needs values from 0 to 1 refuses it.",
    )

    def meaning(self) -> Loss:
        return Dice(over="batch" if self.batch_dice else "image", smooth=self.smooth / 2, background=self.do_bg)
