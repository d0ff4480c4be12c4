"""Lorenz loss: a wrong case weighs only with the logarithm of its violation."""

from math import inf, log

import torch
from torch import Tensor

from whichloss.core import Card, MarginLoss


class Lorenz(MarginLoss):
    r"""Robust margin loss, zero for cases beyond margin 1.

    $$\ell(m) = \ln(1 + (m - 1)^2) \text{ if } m \le 1, \quad 0 \text{ otherwise}$$

    Grows like $2 \ln |m|$ for badly wrong cases, and its slope falls off beyond margin 0, so that one mislabelled
    lesion pulls the weights less than under the logistic or hinge loss.
    """

    card = Card(
        source="barbu2018robust",
        equation="(7)",
        range=(0.0, inf),
        smooth=True,
        convex=False,
        easy=1.0,
        golden={(-1.0,): log(5), (0.0,): log(2), (0.5,): log(1.25), (1.0,): 0.0, (3.0,): 0.0},
        note="Unbounded, though slowly; the slope is steepest, 1, at margin 0.",
    )

    def formula(self, margin: Tensor) -> Tensor:
        gap = (1 - margin).clamp_min(0)
        # beyond 1e4 the 1 is lost to rounding, and the square would overflow
        return torch.where(gap < 1e4, torch.log1p(gap.clamp_max(1e4).square()), 2 * gap.clamp_min(1e4).log())

    def link(self, margin: Tensor) -> Tensor:
        """Where the slopes of yes and no balance: p l'(m) = (1 - p) l'(-m)."""
        m = margin.clamp(-1, 1)
        yes, no = (1 + m) / (1 + (1 + m).square()), (1 - m) / (1 + (1 - m).square())
        return yes / (yes + no)
