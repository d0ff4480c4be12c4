"""Dice loss: one minus the soft overlap of prediction and target."""

from torch import Tensor

from whichloss.core import Card, Counts, RegionLoss


class Dice(RegionLoss):
    r"""Overlap of prediction and target, in proportion to their mean size.

    $$\ell = 1 - \frac{2\,TP}{2\,TP + FP + FN}$$

    Blind to how many background elements there are, so small lesions weigh as much as large ones.
    """

    card = Card(
        source="milletari2016vnet",
        equation="(3)",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(8.0, 2.0, 2.0): 0.2, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0},
        aliases=("soft Dice", "F1 loss", "DSC loss"),
        note="Milletari squares p and y in the denominator; this is the common linear form (drozdzal2016importance)."
        " The papers' smooth = 1 beside 2 TP is 0.5 here.",
        peers={
            "MONAI": "DiceLoss",
            "smp": "DiceLoss",
            "kornia": "DiceLoss",
            "nnU-Net": "SoftDiceLoss",
            "Keras": "Dice",
        },
    )

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)
