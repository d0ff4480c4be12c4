"""Log-cosh: a loss that is flat where it is small, and itself where it is large."""

from math import inf, log

import torch
from torch import Tensor

from whichloss.core import Card, WrapperLoss


class LogCosh(WrapperLoss):
    r"""The logarithm of the hyperbolic cosine of another loss.

    $$\ell(v) = \ln \cosh v$$

    Half the square of a small value, and a large value less $\ln 2$. Around Dice, whose values end at 1, it is close to
    half the square: hard images and classes lead ($\tanh 1 = 0.76$ of the slope is left at the worst), and those that
    are nearly right teach nearly nothing. That is the opposite of AdaptiveLog.
    """

    card = Card(
        source="jadon2020survey",
        equation="log-cosh Dice loss",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (log(2),): log(1.25), (log(3),): log(5 / 3)},
        aliases=("log-cosh Dice",),
        note="Jadon presents it as a tractable Dice; its slope at a perfect prediction is 0, where Dice's is not.",
        peers={"pytorch-toolbelt": "LogCoshLoss, of a residual"},
    )

    def formula(self, value: Tensor) -> Tensor:
        return log_cosh(value)


def log_cosh(x: Tensor) -> Tensor:
    """ln cosh x to the last digits: near 0, where cosh x rounds to 1, and far out, where it is beyond all numbers."""
    size = x.abs()
    near = torch.log1p(2 * (x.clamp(-1, 1) / 2).sinh().square())
    return torch.where(size < 1, near, size + torch.log1p(torch.exp(-2 * size)) - log(2))
