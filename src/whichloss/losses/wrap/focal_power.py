"""Focal power: a power of a region loss, to turn towards the hard classes and images."""

import torch
from torch import Tensor

from whichloss.core import Card, WrapperLoss, positive


class FocalPower(WrapperLoss):
    r"""The value of another loss, to a power.

    $$\ell(v) = v^{e}, \qquad e = 1/\gamma$$

    Around a Tversky loss this is the focal Tversky loss, term by term: a power for each class, not of their mean.
    Below 1 the power raises small errors most (slope infinite at 0; here the last rounding error is a straight line);
    above 1 it raises the large ones. Abraham and Khan print 1/gamma with gamma = 4/3, which is the 0.75 of their code.
    """

    exponent: float = positive(0.75)  # the paper's 1 / gamma

    card = Card(
        source="abraham2019novel",
        equation="(4)",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(0.0,): 0.0, (1.0,): 1.0, (0.0625,): 0.125, (16.0,): 8.0},
        equals=(("FocalPower(Dice(), exponent=1.0)", "Dice()"),),
        note="Yuan (19) prints (1 - TI)^gamma, the inverse exponent, with which easy classes are suppressed instead.",
        peers={"smp": "TverskyLoss(gamma=)", "SegLoss": "FocalTversky_loss", "focal-tversky-unet": "focal_tversky"},
    )

    def formula(self, value: Tensor) -> Tensor:
        return power(value, self.exponent)


def power(value: Tensor, exponent: float) -> Tensor:
    """A value to a power; a straight line below the last rounding error, where powers below 1 are infinitely steep."""
    if exponent >= 1:
        return value**exponent
    tip = torch.finfo(value.dtype).eps
    return torch.where(value > tip, value.clamp_min(tip) ** exponent, value * tip ** (exponent - 1))
