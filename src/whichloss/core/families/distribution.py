"""Likelihood losses that see the probability of every answer, not of the truth alone."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ..fields import choice
from ..lift import Lift
from ..lifts.distribution import Alternatives, Distribution
from ..loss import Loss
from ..prepare import Prepared
from ..terms import Terms
from .likelihood import LikelihoodLoss


class DistributionLoss(Loss):
    """Sees the log-probability of each answer. `values` says what an answer costs if it is the truth."""

    classes: str = choice("auto", "exclusive", "independent")

    axis = LikelihoodLoss.axis

    @abstractmethod
    def values(self, seen: Alternatives) -> Tensor:
        """(N, Q, K, *S), the value if this answer is the truth; or (N, Q, 1, *S), of a question and its whole truth."""

    def needs(self) -> Sequence[Lift]:
        return (Distribution(self.classes),)

    def measure(self, prepared: Prepared) -> Terms:
        seen: Alternatives = prepared[self.lifts[0]]
        return seen.terms(self.values(seen))

    def along(self, x: Tensor) -> Tensor:
        if self.axis is None:
            return super().along(x)
        log_p = torch.stack([torch.log(-torch.expm1(x)), x]).reshape(1, 1, 2, -1)  # a yes, which is right
        truth = torch.stack([torch.zeros_like(x), torch.ones_like(x)]).reshape(1, 1, 2, -1)
        return self.values(Alternatives(log_p, truth, truth, True))[0, 0, -1]
