"""Dice loss with squares in its denominator, as V-Net has it."""

from collections.abc import Sequence

from torch import Tensor

from whichloss.core import Card, Counts, RegionLoss
from whichloss.core.lift import Lift
from whichloss.core.lifts.power_sums import PowerSums


class SquaredDice(RegionLoss):
    r"""The squared error of the probabilities, in proportion to their squared size and that of the target.

    $$\ell = 1 - \frac{2 \sum p\,y}{\sum p^2 + \sum y^2} = \frac{\sum (p - y)^2}{\sum p^2 + \sum y^2}$$

    Charges less for hesitant answers than the linear form: where nothing is certain it is lower, its slope smaller
    close to the truth. Soft labels count in their proportion.
    """

    card = Card(
        source="milletari2016vnet",
        equation="(3)",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(8.0, 2.0, 2.0): 0.2, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0},
        aliases=("V-Net Dice", "Dice with squared denominator"),
        note="Golden values are of hard answers, where it is Dice. nnU-Net's first SoftDiceLoss squares TP, FP and FN"
        " instead, a third denominator. MONAI's squared_pred has its TP by subtraction, which cancels in volumes.",
        peers={"MONAI": "DiceLoss(squared_pred=True)"},
    )

    def needs(self) -> Sequence[Lift]:
        return (PowerSums(self.classes, exponent=2.0),)

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)
