"""Tversky loss: overlap with separate prices for false positives and false negatives."""

from torch import Tensor

from whichloss.core import Card, Counts, RegionLoss, positive


class Tversky(RegionLoss):
    r"""Dice with a price for each kind of error (a: fp, b: fn).

    $$\ell = 1 - \frac{TP}{TP + a\,FP + b\,FN}$$

    A higher price of false negatives raises recall and lowers precision. Sources disagree on which letter is which
    (Salehi: alpha on FP, beta on FN; Yuan: beta on FP; Abraham's code: alpha on FN), so the fields say it.
    """

    fp: float = positive(0.3)  # price of a false positive element
    fn: float = positive(0.7)  # price of a false negative element

    card = Card(
        source="salehi2017tversky",
        equation="(3)",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(8.0, 2.0, 2.0): 0.2, (7.0, 10.0, 0.0): 0.3, (3.0, 0.0, 10.0): 0.7},
        equals=(
            ("Tversky(fp=0.5, fn=0.5)", "Dice()"),
            ("Tversky(fp=1.0, fn=1.0)", "Jaccard()"),
            ("Tversky(fp=0.5, fn=0.5, over='batch', smooth=0.0)", "Dice(over='batch', smooth=0.0)"),
        ),
        peers={
            "MONAI": "TverskyLoss",
            "smp": "TverskyLoss",
            "kornia": "TverskyLoss",
            "Keras": "Tversky",
            "SegLoss": "TverskyLoss",
        },
    )

    def formula(self, n: Counts) -> Tensor:
        return 1 - n.tp / (n.tp + self.fp * n.fp + self.fn * n.fn)
