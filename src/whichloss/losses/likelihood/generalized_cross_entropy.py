"""Generalised cross-entropy: between cross-entropy and absolute error, for labels that may be wrong."""

from math import inf, log

import torch
from torch import Tensor

from whichloss.core import Card, LikelihoodLoss, fraction


class GeneralizedCrossEntropy(LikelihoodLoss):
    r"""The Box-Cox transform of the probability of the truth.

    $$\ell = \frac{1 - p_y^q}{q}$$

    q = 0 is cross-entropy, q = 1 is 1 - p. Bounded by 1/q: a case whose label the network firmly contradicts pulls
    with the weight $p_y^q$, nearly nothing. That forgives wrong labels, and leaves a confidently wrong case behind.
    """

    q: float = fraction(0.7)

    card = Card(
        source="zhang2018generalized",
        equation="(6)",
        range=(0.0, 1 / 0.7),
        smooth=True,
        convex=False,
        golden={(0.0,): 0.0, (-inf,): 1 / 0.7, (log(0.5),): (1 - 0.5**0.7) / 0.7},
        equals=(("GeneralizedCrossEntropy(q=0.0)", "CrossEntropy()"),),
        aliases=("GCE", "Lq", "MAE of probabilities (q=1.0)"),
        peers={
            "Keras": "CategoricalGeneralizedCrossEntropy",
            "Active-Passive-Losses": "GeneralizedCrossEntropy, MeanAbsoluteError",
        },
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(q=0.0), cls(q=1.0)]

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1 / self.q if self.q else inf

    def formula(self, log_p: Tensor) -> Tensor:
        return -torch.expm1(self.q * log_p) / self.q if self.q else -log_p
