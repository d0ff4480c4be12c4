"""Keras's Tversky."""

from whichloss.core import Card, Loss, PresetLoss, positive
from whichloss.losses.region.tversky import Tversky


class KerasTversky(PresetLoss):
    r"""`Tversky(axis=...)` over batch and voxels, a mean over the classes; for one output that is its default.

    $$\ell = 1 - \frac{TP}{TP + \alpha\,FN + \beta\,FP}$$
    """

    alpha: float = positive(0.5)  # price of a false NEGATIVE
    beta: float = positive(0.5)  # price of a false positive

    card = Card(
        source="keras",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"Keras": "Tversky"},
        note="Keras documents alpha as the price of false positives; in its code, where prediction and target have"
        " changed places, it is that of false negatives. Without axis= all classes are one region, which is not here.",
    )

    def meaning(self) -> Loss:
        return Tversky(fp=self.beta, fn=self.alpha, over="batch", smooth=0.0)
