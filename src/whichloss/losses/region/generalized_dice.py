"""Generalised Dice: one overlap over all classes, in which small classes weigh as much as large ones."""

from torch import Tensor

from whichloss.core import Card, Counts, RegionLoss, choice


class GeneralizedDice(RegionLoss):
    r"""Dice of all classes together, each weighed by its inverse volume in the target, squared or not.

    $$\ell = 1 - \frac{2 \sum_c w_c\,TP_c}{\sum_c w_c (2\,TP_c + FP_c + FN_c)}, \qquad w_c = 1/V_c^2$$

    A class that is absent has no inverse volume: it gets the largest weight of those that are present (1 where none
    is), or with empty="skip" none. Published codes differ here, and some give no signal at all.
    """

    weighting: str = choice("square", "simple", "uniform")

    card = Card(
        source="sudre2017generalised",
        equation="(2)",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(8.0, 2.0, 2.0): 0.2, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0},
        aliases=("GDL",),
        peers={"MONAI": "GeneralizedDiceLoss", "SegLoss": "GDiceLoss", "optax": "multiclass_generalized_dice_loss"},
    )

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)

    def say(self, volume: Tensor) -> Tensor:
        return inverse_volume(volume, self.weighting)


def inverse_volume(volume: Tensor, weighting: str) -> Tensor:
    return volume ** -{"square": 2, "simple": 1, "uniform": 0}[weighting]
