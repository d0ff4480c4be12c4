"""Keras's Hinge."""

from whichloss.core import Card, Loss, PresetLoss
from whichloss.losses.margin.hinge import Hinge


class KerasHinge(PresetLoss):
    r"""One-versus-rest on the outputs as they are, labels brought to -1 and 1, mean over the classes.

    $$\ell = \frac{1}{C} \sum_k \max(0, 1 - y_k u_k)$$
    """

    card = Card(
        source="keras",
        equation="its code",
        smooth=False,
        convex=True,
        peers={"Keras": "Hinge"},
        note="Keras 1 did not convert labels: Hinge(targets='zero_one').",
    )

    def meaning(self) -> Loss:
        return Hinge()
