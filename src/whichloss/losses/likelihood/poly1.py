"""Poly-1: cross-entropy with another coefficient for the first power of its error."""

from math import inf, log

import torch
from torch import Tensor

from whichloss.core import Card, LikelihoodLoss, nonnegative, number

from .focal import modulation


class Poly1(LikelihoodLoss):
    r"""Cross-entropy is $(1 - p_y) + \frac12 (1 - p_y)^2 + \dots$; its first coefficient becomes $1 + \varepsilon$.

    $$\ell = (1 - p_y)^\gamma \left(-\ln p_y + \varepsilon (1 - p_y)\right)$$

    The first power is what still pulls when a case is nearly right: there the slope is $1 + \varepsilon$ times that of
    cross-entropy, and in a wholly wrong case the same. Above 0 the network grows surer (2 for ImageNet), below 0 it
    relaxes sooner, and at -1 as the square of the error. gamma = 0 is Poly-1 cross-entropy, above it Poly-1 focal loss.
    """

    epsilon: float = number(2.0, low=-1.0)
    gamma: float = nonnegative(0.0)

    card = Card(
        source="leng2022polyloss",
        equation="Poly-1 formulation",
        range=(0.0, inf),
        smooth=True,
        convex=False,
        golden={(0.0,): 0.0, (log(0.5),): log(2) + 1, (log(0.25),): log(4) + 1.5},
        equals=(
            ("Poly1(epsilon=0.0)", "CrossEntropy()"),
            ("Poly1(epsilon=0.0, gamma=2.0)", "Focal(gamma=2.0)"),
            ("Poly1(epsilon=2.0)", "CrossEntropy() + 2.0 * GeneralizedCrossEntropy(q=1.0)"),
        ),
        aliases=("PolyLoss", "Poly-1 cross-entropy", "Poly-1 focal loss (gamma=)"),
        note="epsilon is the paper's epsilon_1. The alpha of its focal form, of the focal part alone, is not here.",
        peers={"optax": "poly_loss_cross_entropy"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(epsilon=-1.0), cls(epsilon=1.0, gamma=2.0), cls(epsilon=-1.0, gamma=0.5)]

    def formula(self, log_p: Tensor) -> Tensor:
        return modulation(log_p, self.gamma) * (-log_p - self.epsilon * torch.expm1(log_p))
