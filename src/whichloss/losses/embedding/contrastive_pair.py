"""Contrastive pair loss: one class together, two classes at least a margin apart."""

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from whichloss.core import Axis, Card, EmbeddingLoss, positive
from whichloss.core.lift import Lift
from whichloss.core.lifts.points import Pairs


class ContrastivePair(EmbeddingLoss):
    r"""The squared distance of a pair of one class, the squared lack of distance of a pair of two.

    $$\ell = \tfrac12 d^2 \text{ (same class)}, \qquad \tfrac12 \max(0, \mathit{margin} - d)^2 \text{ (different)}$$

    The mean is over all pairs of the batch. Two cases of different classes at the very same point have no slope.
    """

    margin: float = positive(1.0)

    card = Card(
        source="hadsell2006dimensionality",
        equation="(4)",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0, 1.0): 0.0, (0.5, 1.0): 0.125, (0.5, 0.0): 0.125, (0.2, 0.0): 0.32, (1.5, 0.0): 0.0},
        peers={"pytorch-metric-learning": "ContrastiveLoss (distances not squared)"},
    )

    axis = Axis("distance of two of different classes", 0.0, 1.5)

    def along(self, x: Tensor) -> Tensor:
        return self.formula(x, torch.zeros_like(x))

    def needs(self) -> Sequence[Lift]:
        return (Pairs(normalize=self.normalize),)

    def formula(self, distance: Tensor, same: Tensor) -> Tensor:
        lack = (self.margin - distance).clamp_min(0)
        return 0.5 * (same * distance.square() + (1 - same) * lack.square())
