"""Reverse cross-entropy: how surprised a label would be by the prediction, if it could be."""

from math import log

import torch
from torch import Tensor

from whichloss.core import Card, FieldError, LikelihoodLoss, number


class ReverseCrossEntropy(LikelihoodLoss):
    r"""Cross-entropy with prediction and label in each other's place, and $A$ for the logarithm of 0.

    $$\ell = -\sum_k p_k \ln y_k = -A (1 - p_y)$$

    An absolute error, $-A$ times as large: bounded, and so forgiving of wrong labels, and slow where cross-entropy is
    fast. The two are added, `0.1 * CrossEntropy() + ReverseCrossEntropy()`: that is the symmetric cross-entropy, with
    the weights (alpha, beta) of its authors for CIFAR-10, and a `Poly1` of large epsilon. Soft labels cost the mean
    over the classes in their proportions.
    """

    A: float = number(log(1e-4), high=0.0)  # what ln 0 is taken for

    card = Card(
        source="wang2019symmetric",
        equation="RCE loss",
        range=(0.0, -log(1e-4)),
        smooth=True,
        convex=False,
        golden={(0.0,): 0.0, (log(0.5),): 2 * log(10), (log(0.75),): log(10)},
        equals=(
            ("ReverseCrossEntropy(A=-1.0)", "GeneralizedCrossEntropy(q=1.0)"),
            ("ReverseCrossEntropy(A=-4.0)", "4.0 * GeneralizedCrossEntropy(q=1.0)"),
            ("0.1 * CrossEntropy() + ReverseCrossEntropy(A=-4.0)", "0.1 * Poly1(epsilon=40.0)"),
        ),
        aliases=(
            "RCE",
            "symmetric cross-entropy, SCE, SL: 0.1 * CrossEntropy() + ReverseCrossEntropy()",
        ),
        note="The paper sets A = -4, and its code clamps labels at 1e-4, so that A = ln 1e-4 = -9.21, 2.3 times as"
        " much. The code clamps probabilities at 1e-7, too, and soft labels in another way; neither is here.",
        peers={"Active-Passive-Losses": "ReverseCrossEntropy, in SCELoss"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(A=-4.0)]

    def check(self) -> None:
        if self.A == 0:
            raise FieldError(
                "ReverseCrossEntropy: with A = 0 it is 0 everywhere; A is a logarithm of nearly 0, such as -4"
            )

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, -self.A

    def formula(self, log_p: Tensor) -> Tensor:
        return self.A * torch.expm1(log_p)
