"""Adaptive logarithmic wrapper: steeper near zero, so that small errors still teach."""

from math import inf, isfinite, log, log1p

import torch
from torch import Tensor

from whichloss.core import Card, FieldError, WrapperLoss, choice, positive


class AdaptiveLog(WrapperLoss):
    r"""Logarithmic below a threshold, the loss itself plus a constant above it.

    $$\ell(v) = \omega \ln(1 + v/\varepsilon) \text{ if } v < \gamma, \quad v - C \text{ otherwise}$$

    with $\gamma$: threshold, $\omega$: scale, $\varepsilon$: offset, and $C$ such that the value is continuous. As
    published the slope jumps at the threshold, from $\omega / (\varepsilon + \gamma)$ = 16.7 to 1: above it training
    is that of the inner loss, step for step; below it the learning rate is 17 to 20 times as high. `join="smooth"`
    sets the scale to $\varepsilon + \gamma$, the only one whose slope does not jump.
    """

    threshold: float = positive(0.1)  # the paper's gamma: value at which the logarithmic branch ends
    scale: float = positive(10.0)  # omega: height of the logarithmic branch
    offset: float = positive(0.5)  # epsilon: how soon it bends
    join: str = choice("continuous", "smooth")

    card = Card(
        source="kaul2021penalizing",
        equation="(1)",
        range=(0.0, inf),
        smooth=False,
        convex=False,
        golden={(0.0,): 0.0, (0.05,): 10 * log(1.1), (0.1,): 10 * log(1.2), (0.6,): 10 * log(1.2) + 0.5},
        equals=(("AdaptiveLog(Dice(), join='smooth')", "AdaptiveLog(Dice(), scale=0.6)"),),
        note="The paper calls it differentiable at gamma. It is continuous there; its slope falls from 16.7 to 1.",
    )

    @classmethod
    def examples(cls):
        printed = super().examples()
        return [*printed, *(cls(one.loss, join="smooth") for one in printed)]

    def check(self) -> None:
        super().check()
        if self.join == "smooth":
            if not isfinite(self.offset + self.threshold):
                raise FieldError("AdaptiveLog: offset + threshold, the scale of a smooth join, is beyond all numbers")
            self._set("scale", self.offset + self.threshold)

    def formula(self, value: Tensor) -> Tensor:
        return logarithmic(value, self.threshold, self.scale, self.offset)


def logarithmic(value: Tensor, threshold: float, scale: float, offset: float) -> Tensor:
    """scale ln(1 + value / offset) below the threshold; above it the value, moved so that both meet."""
    near = scale * torch.log1p(value / offset)
    constant = threshold - scale * log1p(threshold / offset)
    return torch.where(value < threshold, near, value - constant)
