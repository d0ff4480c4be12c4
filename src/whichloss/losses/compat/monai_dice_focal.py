"""MONAI's DiceFocalLoss."""

from whichloss.core import Card, Loss, PresetLoss, choice, flag, fraction, nonnegative, positive
from whichloss.losses.likelihood.focal import Focal
from whichloss.losses.region.dice import Dice


class MonaiDiceFocal(PresetLoss):
    r"""`DiceFocalLoss(sigmoid=True)`: Dice as `MonaiDice`, plus focal loss as `MonaiFocal`.

    $$\ell = \lambda_d\,\mathrm{Dice} + \lambda_f\,\mathrm{Focal}$$
    """

    gamma: float = nonnegative(2.0)
    alpha: float | None = fraction(None, optional=True)
    lambda_dice: float = positive(1.0)
    lambda_focal: float = positive(1.0)
    batch: bool = flag(False)  # of the Dice part alone
    smooth: float = nonnegative(1e-5)
    classes: str = choice("independent")

    card = Card(
        source="monai",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"MONAI": "DiceFocalLoss"},
        note="With softmax=True its Dice takes a softmax and its focal part a sigmoid of the same logits; not here.",
    )

    def meaning(self) -> Loss:
        dice = Dice(over="batch" if self.batch else "image", smooth=self.smooth / 2)
        return self.lambda_dice * dice + self.lambda_focal * Focal(gamma=self.gamma, alpha=self.alpha)
