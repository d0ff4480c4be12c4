"""Smooth hinge: the SVM loss with its corner rounded over a width of 2h."""

from math import inf

import torch
from torch import Tensor

from whichloss.core import Card, MarginLoss, positive


class SmoothHinge(MarginLoss):
    r"""Zero beyond $1 + h$, linear below $1 - h$, quadratic in between (h: half_width).

    $$\ell(m) = \begin{cases} 0 & m > 1 + h \\ (1 + h - m)^2 / 4h & |1 - m| \le h \\ 1 - m & m < 1 - h \end{cases}$$

    Convex and smooth. A small h is closer to the SVM loss and needs a smaller learning rate.
    """

    half_width: float = positive(0.1)  # of the rounded corner, in margin units

    card = Card(
        source="barbu2018robust",
        equation="(6)",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        easy=1.1,
        golden={(2.0,): 0.0, (1.1,): 0.0, (1.0,): 0.025, (0.9,): 0.1, (0.0,): 1.0, (-1.0,): 2.0},
        aliases=("Huberised SVM", "smooth SVM"),
    )

    def formula(self, margin: Tensor) -> Tensor:
        gap, h = 1 - margin, self.half_width
        corner = (gap + h).clamp(0, 2 * h).square() / (4 * h)
        return torch.where(gap > h, gap, corner)
