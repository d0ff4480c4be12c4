"""F-beta loss: Dice for those to whom recall matters beta times as much as precision."""

from torch import Tensor

from whichloss.core import Card, Counts, RegionLoss, positive


class FBeta(RegionLoss):
    r"""One minus the soft F-beta score.

    $$\ell = 1 - \frac{(1 + \beta^2)\,TP}{(1 + \beta^2)\,TP + \beta^2\,FN + FP}$$

    With beta above 1 a missed element costs more than a false one, and recall rises at the price of precision. It is
    the Tversky loss whose two prices sum to 1.
    """

    beta: float = positive(1.5)

    card = Card(
        source="hashemi2019asymmetric",
        equation="asymmetric similarity loss",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(4.0, 13.0, 0.0): 0.5, (9.0, 0.0, 13.0): 0.5, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0},
        equals=(
            ("FBeta(beta=1.0)", "Dice()"),
            ("FBeta(beta=2.0)", "Tversky(fp=0.2, fn=0.8)"),
            ("FBeta(beta=0.5, over='batch', smooth=0.0)", "Tversky(fp=0.8, fn=0.2, over='batch', smooth=0.0)"),
        ),
        aliases=("asymmetric similarity loss", "soft F-beta"),
        note="beta = 1.5 is that of the authors, and of SegLoss.",
        peers={"SegLoss": "AsymLoss"},
    )

    def formula(self, n: Counts) -> Tensor:
        share = self.beta**2 / (1 + self.beta**2)  # of the price that a false negative bears
        return 1 - n.tp / (n.tp + share * n.fn + (1 - share) * n.fp)
