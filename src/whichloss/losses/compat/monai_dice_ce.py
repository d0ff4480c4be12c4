"""MONAI's DiceCELoss."""

from whichloss.core import Card, Loss, PresetLoss, flag, nonnegative, positive
from whichloss.losses.likelihood.cross_entropy import CrossEntropy
from whichloss.losses.region.dice import Dice


class MonaiDiceCE(PresetLoss):
    r"""Dice as `MonaiDice`, plus cross-entropy (binary where there is one channel).

    $$\ell = \lambda_d\,\mathrm{Dice} + \lambda_c\,\mathrm{CE}$$
    """

    lambda_dice: float = positive(1.0)
    lambda_ce: float = positive(1.0)
    batch: bool = flag(False)
    include_background: bool = flag(True)  # of the Dice part alone
    smooth: float = nonnegative(1e-5)

    card = Card(
        source="monai",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"MONAI": "DiceCELoss"},
        note="Cross-entropy keeps the background in either case. With sigmoid=True and several channels MONAI adds a"
        " softmax cross-entropy of targets that do not exclude each other; here it is that of yes/no questions.",
    )

    def meaning(self) -> Loss:
        over = "batch" if self.batch else "image"
        dice = Dice(over=over, smooth=self.smooth / 2, background=self.include_background)
        return self.lambda_dice * dice + self.lambda_ce * CrossEntropy()
