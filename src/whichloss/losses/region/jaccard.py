"""Jaccard loss: one minus soft intersection over union."""

from torch import Tensor

from whichloss.core import Card, Counts, RegionLoss


class Jaccard(RegionLoss):
    r"""Overlap of prediction and target, in proportion to their union.

    $$\ell = 1 - \frac{TP}{TP + FP + FN}$$

    Orders predictions as Dice does and charges more for the middling ones: $\ell_J = 2 \ell_D / (1 + \ell_D)$.
    """

    card = Card(
        source="rahman2016optimizing",
        equation="(4)",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(8.0, 2.0, 2.0): 1 / 3, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0},
        aliases=("IoU",),
        peers={
            "MONAI": "DiceLoss(jaccard=True)",
            "smp": "JaccardLoss",
            "pytorch-toolbelt": "JaccardLoss",
            "SegLoss": "IoULoss",
        },
    )

    def formula(self, n: Counts) -> Tensor:
        return 1 - n.tp / (n.tp + n.fp + n.fn)
