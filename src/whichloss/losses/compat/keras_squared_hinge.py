"""Keras's SquaredHinge."""

from whichloss.core import Card, Loss, PresetLoss
from whichloss.losses.margin.squared_hinge import SquaredHinge


class KerasSquaredHinge(PresetLoss):
    r"""One-versus-rest on the outputs as they are, labels brought to -1 and 1, mean over the classes.

    $$\ell = \frac{1}{C} \sum_k \max(0, 1 - y_k u_k)^2$$
    """

    card = Card(
        source="keras",
        equation="its code",
        smooth=True,
        convex=True,
        peers={"Keras": "SquaredHinge"},
        note="Keras 1 did not convert labels: SquaredHinge(targets='zero_one').",
    )

    def meaning(self) -> Loss:
        return SquaredHinge()
