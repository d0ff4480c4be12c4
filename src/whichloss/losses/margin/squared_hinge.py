"""Squared hinge: the hinge made differentiable by squaring."""

from math import inf

from torch import Tensor

from whichloss.core import Card, MarginLoss


class SquaredHinge(MarginLoss):
    r"""Zero for cases beyond margin 1, growing with the square of the violation.

    $$\ell(m) = \max(0, 1 - m)^2$$

    A badly wrong case pulls with a force in proportion to how wrong it is: fast where labels are right, and easily
    led where they are not.
    """

    card = Card(
        source="dierauf2016comparing",
        equation="(2)",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        easy=1.0,
        golden={(-1.0,): 4.0, (0.0,): 1.0, (0.5,): 0.25, (1.0,): 0.0, (2.0,): 0.0},
        aliases=("L2-SVM",),
        note="With lift='ranking' it is a surrogate of 1 - ROC area, and not the AUC margin loss (AUCM,"
        " yuan2021large), whose max stands outside the mean; core/lifts/ranking.py tells them apart.",
        peers={"Keras": "SquaredHinge", "LibAUC": "PairwiseAUCLoss(surr_loss='squared_hinge') (lift='ranking')"},
    )

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0).square()

    def link(self, margin: Tensor) -> Tensor:
        return ((1 + margin) / 2).clamp(0, 1)
