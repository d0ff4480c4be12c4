"""nnU-Net's DC_and_CE_loss."""

from whichloss.core import Card, Loss, PresetLoss, flag, nonnegative
from whichloss.losses.compat.nnunet_dice import NnunetDice
from whichloss.losses.likelihood.cross_entropy import CrossEntropy


class NnunetDiceCE(PresetLoss):
    r"""Cross-entropy plus the negative Dice score of the foreground, as its trainer has it.

    $$\ell = \mathrm{CE} - \mathrm{Dice\ score}$$
    """

    batch_dice: bool = flag(True)
    do_bg: bool = flag(False)
    smooth: float = nonnegative(1e-5)

    card = Card(
        source="isensee2021nnunet",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"nnU-Net": "DC_and_CE_loss"},
        note="",
    )

    def meaning(self) -> Loss:
        return CrossEntropy() + NnunetDice(batch_dice=self.batch_dice, do_bg=self.do_bg, smooth=self.smooth)
