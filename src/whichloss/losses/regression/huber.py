"""Huber loss: squared error near the target, absolute error far from it."""

from math import inf

import torch
from torch import Tensor

from whichloss.core import Card, RegressionLoss, positive


class Huber(RegressionLoss):
    r"""Half the square of the residual $d$ up to $\delta$, and a straight line beyond.

    $$\ell = \tfrac12 d^2 \text{ if } |d| < \delta, \quad \delta\,(|d| - \tfrac12 \delta) \text{ otherwise}$$

    A case farther off than $\delta$ pulls no harder than one at $\delta$, so that a few gross errors do not lead, and
    the pull fades near the target as that of the squared error does. In a study residuals are in standard deviations of
    the training cases. The smooth L1 loss is this over $\delta$.
    """

    delta: float = positive(1.0)  # where the square ends; torch's SmoothL1Loss calls it beta

    card = Card(
        source="huber1964robust",
        equation="definition",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (0.5,): 0.125, (-0.5,): 0.125, (1.0,): 0.5, (-3.0,): 2.5},
        equals=(("Huber(delta=1e6)", "0.5 * SquaredError()"),),
        aliases=("smooth L1 (times delta)",),
        peers={"torch.nn": "HuberLoss; SmoothL1Loss(beta=delta), divided by delta", "Keras": "Huber"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(delta=0.25), cls(of="probability")]

    def formula(self, residual: Tensor) -> Tensor:
        size, delta = residual.abs(), self.delta
        return torch.where(size < delta, residual.clamp(-delta, delta).square() / 2, delta * (size - delta / 2))
