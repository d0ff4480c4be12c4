"""Keras's Dice."""

from whichloss.core import Card, Loss, PresetLoss
from whichloss.losses.region.generalized_dice import GeneralizedDice


class KerasDice(PresetLoss):
    r"""One overlap of everything: batch, classes and voxels together.

    $$\ell = 1 - \frac{2 \sum TP}{2 \sum TP + \sum FP + \sum FN}$$
    """

    card = Card(
        source="keras",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"Keras": "Dice"},
        note="Keras takes probabilities, and can keep images apart by axis=: then use Dice(smooth=0).",
    )

    def meaning(self) -> Loss:
        return GeneralizedDice(weighting="uniform", over="batch", smooth=0.0)
