"""Penalised generalised Dice: each error counts for several in the one overlap over all classes."""

from torch import Tensor

from whichloss.core import Card, Counts, RegionLoss, choice, nonnegative
from whichloss.losses.region.generalized_dice import inverse_volume


class PenaltyGeneralizedDice(RegionLoss):
    r"""One minus the generalised Dice score $S$ after a penalty for what it lacks (k: penalty).

    $$\ell = 1 - \frac{S}{1 + k (1 - S)} = 1 - \frac{2 \sum_c w_c TP_c}{\sum_c w_c (2\,TP_c + (1 + k)(FP_c + FN_c))}$$

    Errors count 1 + k times: the loss stays high until the overlap is good, and is steeper there.
    """

    penalty: float = nonnegative(2.5)
    weighting: str = choice("square", "simple", "uniform")

    card = Card(
        source="yang2019major",
        equation="definition of pGD",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(7.0, 4.0, 0.0): 0.5, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0},
        equals=(("PenaltyGeneralizedDice(penalty=0.0)", "GeneralizedDice()"),),
        aliases=("pGD", "penalty GDice"),
        note="S is the score: with the loss in its place the penalty would become a discount on errors. SegLoss puts in"
        " the negative score, and has values from -1/6 to 0.",
        peers={"SegLoss": "PenaltyGDiceLoss"},
    )

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + (1 + self.penalty) * (n.fp + n.fn))

    def say(self, volume: Tensor) -> Tensor:
        return inverse_volume(volume, self.weighting)
