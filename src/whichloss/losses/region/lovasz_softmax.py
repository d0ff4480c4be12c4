"""Lovasz-Softmax: the Jaccard loss of each class, continued to probabilities."""

from collections.abc import Sequence

from torch import Tensor

from whichloss.core import Card, LovaszLoss, choice
from whichloss.core.lift import Lift
from whichloss.core.lifts.lovasz import LovaszErrors, RankedErrors


class LovaszSoftmax(LovaszLoss):
    r"""The Lovasz extension of the Jaccard loss of each class, at the errors of its probabilities.

    $$\ell_c = \sum_i m_{(i)} \big(\Delta_c(\{1..i\}) - \Delta_c(\{1..i-1\})\big), \qquad
    m_i = \begin{cases} 1 - p_i & y_i = c \\ p_i & \text{otherwise} \end{cases}, \quad
    \Delta_c(M) = \frac{|M|}{|Y_c \cup M|}$$

    with the errors $m$ sorted so that they fall. It is the Jaccard loss itself where answers are certain. empty="skip"
    takes the mean over the classes that are present, as the authors' code does by default; empty="formula" over all,
    and an absent class then costs its largest probability.
    """

    over: str = choice("batch", "image")
    empty: str = choice("skip", "formula", "zero", "volume")

    card = Card(
        source="berman2018lovasz",
        equation="Lovasz-Softmax",
        range=(0.0, 1.0),
        smooth=False,
        convex=True,
        golden={(8.0, 2.0, 2.0): 1 / 3, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0},
        aliases=("Lovász-Softmax", "Lovasz loss"),
        note="Over the batch and the classes present, as in the authors' code. kornia b4f5a78a1 sorts the class ids"
        " along with the errors instead of who is of the class: all wrong in 5 classes scores 0.253 instead of 1.",
        peers={
            "smp": 'LovaszLoss(mode="multiclass")',
            "pytorch-toolbelt": "LovaszLoss",
            "kornia": "LovaszSoftmaxLoss",
            "SegLoss": "LovaszSoftmax",
        },
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(over="image", empty="formula"), cls(over="image", smooth=1.0)]

    def needs(self) -> Sequence[Lift]:
        return (LovaszErrors(self.classes, over=self.over, smooth=self.smooth),)

    def formula(self, n: RankedErrors) -> Tensor:
        return (n.error * n.rise).sum(-1)
