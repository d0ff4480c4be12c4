"""Keras's CategoricalHinge."""

from whichloss.core import Card, Loss, PresetLoss
from whichloss.losses.margin.hinge import Hinge


class KerasCategoricalHinge(PresetLoss):
    r"""The hinge against the strongest rival, on the probabilities of a softmax.

    $$\ell = \max(0, 1 - p_y + \max_{k \ne y} p_k)$$
    """

    card = Card(
        source="keras",
        equation="its code",
        smooth=False,
        convex=True,
        peers={"Keras": "CategoricalHinge"},
        note="Keras takes the largest of (1 - y) u, which is 0 for the truth: on scores below 0 the strongest rival is"
        " that 0, and the loss not that of Crammer and Singer, Hinge(lift='top_rival').",
    )

    def meaning(self) -> Loss:
        return Hinge(lift="top_rival", scores="softmax")
