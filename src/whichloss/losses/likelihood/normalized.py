"""Normalised loss: what the truth costs, as a share of what all answers would cost."""

from collections.abc import Sequence

import torch
from torch import Tensor

from whichloss.core import Answers, Card, FieldError, LikelihoodLoss, Loss, inner, parse
from whichloss.core.lift import Lift
from whichloss.core.lifts.distribution import Alternatives, Distribution
from whichloss.core.prepare import Prepared
from whichloss.core.terms import Terms


class Normalized(Loss):
    r"""A likelihood loss, divided by the sum of what it would be for each class if that were the truth.

    $$\ell = \frac{\ell(p, y)}{\sum_k \ell(p, k)}, \qquad \text{of cross-entropy: } \frac{\ln p_y}{\sum_k \ln p_k}$$

    Robust to labels that are wrong at an even rate, as the sum over all labels is 1 whatever is predicted; and so mild
    that a network hardly fits the labels at all. It is used as the active half of a pair, with a passive half that
    lowers the other classes: `Normalized(CrossEntropy()) + ReverseCrossEntropy()`. A yes/no question has two answers.
    """

    loss: Loss = inner(lambda: Loss)

    card = Card(
        source="ma2020normalized",
        equation="normalized loss",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(1.0, 4.0): 0.25, (0.0, 3.0): 0.0, (3.0, 3.0): 1.0},
        equals=(
            ("Normalized(GeneralizedCrossEntropy(q=0.0))", "Normalized(CrossEntropy())"),
            ("Normalized(Focal(gamma=0.0))", "Normalized(CrossEntropy())"),
            ("Normalized(ReverseCrossEntropy(A=-4.0))", "Normalized(ReverseCrossEntropy(A=-9.21))"),
            (
                "Normalized(ReverseCrossEntropy(classes='independent'))",
                "GeneralizedCrossEntropy(q=1.0, classes='independent')",
            ),
        ),
        aliases=(
            "NCE: Normalized(CrossEntropy())",
            "NFL: Normalized(Focal(gamma=0.5))",
            "NGCE: Normalized(GeneralizedCrossEntropy())",
            "NRCE and NMAE: Normalized(ReverseCrossEntropy())",
            "active-passive loss: Normalized(CrossEntropy()) + ReverseCrossEntropy()",
        ),
        note="Active-Passive-Losses multiplies the reverse cross-entropy by (K - 1) / 4 where it means to divide by"
        " 4 (K - 1), takes 4 for its own -A = 9.21, and sends no gradient through the focal factor.",
        peers={
            "Active-Passive-Losses": "NormalizedCrossEntropy, NormalizedFocalLoss, NormalizedReverseCrossEntropy,"
            " NCEandRCE, NFLandRCE"
        },
    )

    @classmethod
    def examples(cls) -> Sequence[Loss]:
        inner = ("CrossEntropy()", "Focal(gamma=0.5)", "ReverseCrossEntropy()", "GeneralizedCrossEntropy()")
        return [cls(parse(text)) for text in inner]

    def check(self) -> None:
        if not isinstance(self.loss, LikelihoodLoss):
            raise FieldError(
                f"Normalized: {self.loss.label} is not a function of the probability of the truth, which every answer"
                " has if it is the truth; CrossEntropy(), Focal() and ReverseCrossEntropy() are"
            )
        nothing = torch.zeros(1, 2)
        priced = self.loss.prices(Answers(nothing, nothing, nothing, 1)) is not None
        if priced or self.loss.least(nothing) is not None or self.loss.range[0] < 0:
            raise FieldError(
                f"Normalized: {self.loss.label} weighs yes against no, takes something off, or can be negative, and has"
                " no share of a sum; CrossEntropy(), Focal() and ReverseCrossEntropy() have"
            )

    def needs(self) -> Sequence[Lift]:
        return (Distribution(self.loss.lifts[0].classes),)

    def measure(self, prepared: Prepared) -> Terms:
        assert isinstance(self.loss, LikelihoodLoss)
        seen: Alternatives = prepared[self.lifts[0]]
        cost = self.loss.formula(seen.log_p)
        return seen.terms(self.formula(cost, cost.sum(2, keepdim=True)))

    def formula(self, value: Tensor, total: Tensor) -> Tensor:
        return value / torch.where(total > 0, total, 1.0)
