"""Negative log power: the surprise at an overlap, to a power, as in log-Dice and the exponential logarithmic loss."""

from math import inf, log

import torch
from torch import Tensor

from whichloss.core import Card, WrapperLoss, parse, positive
from whichloss.losses.wrap.focal_power import power


class NegativeLogPower(WrapperLoss):
    r"""The negative logarithm of the score $1 - v$ that another loss leaves, to a power.

    $$\ell(v) = (-\ln(1 - v))^{\gamma}, \qquad \gamma\text{: exponent}$$

    With $\gamma = 1$ around Dice this is the log-Dice loss: a class that is hardly found pulls the more, the less of it
    is. The exponential logarithmic loss of Wong et al. is the sum

        0.8 * NegativeLogPower(Dice(smooth=0.5), exponent=0.3) + 0.2 * FocalPower(CrossEntropy(), exponent=0.3)

    with their class weights as a weight map. Their $\gamma = 0.3$ turns to nearly right classes as well, and is
    infinitely steep at a perfect one. Here the last rounding error is a straight line at either end, so that value and
    slope are finite where a class is perfect and where none of it is found.
    """

    takes = (0.0, 1.0)
    exponent: float = positive(1.0)  # the paper's gamma

    card = Card(
        source="wong2018exponential",
        equation="definition of the Dice part",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (0.5,): log(2), (0.75,): log(4)},
        equals=(
            ("NegativeLogPower(Dice(), exponent=0.5)", "FocalPower(NegativeLogPower(Dice()), exponent=0.5)"),
            ("NegativeLogPower(Dice())", "NegativeLogPower(Tversky(fp=0.5, fn=0.5))"),
        ),
        aliases=("log-Dice", "ExpLog", "exponential logarithmic loss"),
        note="The paper's smoothing of 1 beside 2 TP is smooth = 0.5 here. Below 1 the power is not convex. SegLoss"
        " takes the power of the mean over the classes, clamped at a score of 1e-6, below which it teaches nothing, and"
        " none of the cross-entropy.",
        peers={"SegLoss": "ExpLog_loss"},
    )

    @classmethod
    def examples(cls):
        return [cls(parse("Dice()")), cls(parse("Dice(smooth=0.5)"), exponent=0.3), cls(parse("Jaccard(smooth=0)"))]

    def formula(self, value: Tensor) -> Tensor:
        end = 1 - torch.finfo(value.dtype).eps
        surprise = -torch.log1p(-value.clamp_max(end))
        beyond = (value - end) / (1 - end) - log(1 - end)
        return power(torch.where(value < end, surprise, beyond), self.exponent)
