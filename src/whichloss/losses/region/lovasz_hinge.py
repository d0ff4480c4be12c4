"""Lovasz hinge: the Jaccard loss made convex in the margins of yes and no."""

from collections.abc import Sequence
from math import inf

from torch import Tensor

from whichloss.core import Card, LovaszLoss
from whichloss.core.lift import Lift
from whichloss.core.lifts.lovasz import LovaszErrors, RankedErrors


class LovaszHinge(LovaszLoss):
    r"""The Lovasz extension of the Jaccard loss at the hinge errors of a yes/no question.

    $$\ell = \sum_i m_{(i)} \big(\Delta(\{1..i\}) - \Delta(\{1..i-1\})\big), \qquad m_i = \max(0, 1 - y_i u_i), \quad
    \Delta(M) = \frac{|M|}{|Y \cup M|}$$

    with the errors $m$ sorted so that they fall, $y = \pm 1$ and $Y$ what is there. An element weighs as much as it
    would cost in Jaccard to get it wrong after all that are worse, so few elements of a small lesion have most of the
    gradient. Where nothing is there, the one worst element has all of it. Scores are margins, not log-odds.
    """

    card = Card(
        source="berman2018lovasz",
        equation="Lovasz hinge",
        range=(0.0, inf),
        smooth=False,
        convex=True,
        golden={(8.0, 2.0, 2.0): 1 / 3, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0},
        aliases=("Lovász hinge", "Jaccard hinge"),
        note="Golden values are those at errors of 1 and 0; what is wrong by a margin of 1 has the error 2. A smooth"
        " adds imagined elements that are always right. Peers differ in what is one region: the authors' code takes an"
        " image, smp and toolbelt the batch with all of its channels.",
        peers={
            "smp": 'LovaszLoss(mode="binary")',
            "pytorch-toolbelt": "BinaryLovaszLoss",
            "kornia": "LovaszHingeLoss",
        },
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(over="batch", empty="skip"), cls(smooth=1.0)]

    def needs(self) -> Sequence[Lift]:
        return (LovaszErrors(self.classes, hinge=True, over=self.over, smooth=self.smooth),)

    def formula(self, n: RankedErrors) -> Tensor:
        return (n.error * n.rise).sum(-1)
