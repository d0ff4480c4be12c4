"""Quantile loss: too low and too high have different prices."""

from math import inf

import torch
from torch import Tensor

from whichloss.core import Card, FieldError, RegressionLoss, fraction


class Quantile(RegressionLoss):
    r"""The size of the residual $d$ (output less target), at one price for too low and another for too high.

    $$\ell = \max(-\tau d,\ (1 - \tau)\, d)$$

    Its minimiser is the value that a share $\tau$ of the targets lies below: with 0.9 the network answers what nine in
    ten cases stay under. $\tau$ = 0.5 is half the absolute error, and its minimiser the median. The force on a case
    does not depend on how far off it is.
    """

    tau: float = fraction(0.5)  # which quantile

    card = Card(
        source="koenker1978regression",
        equation="definition",
        range=(0.0, inf),
        smooth=False,
        convex=True,
        golden={(-2.0,): 1.0, (0.0,): 0.0, (3.0,): 1.5},
        equals=(("Quantile()", "0.5 * AbsoluteError()"),),
        aliases=("pinball",),
        peers={"scikit-learn": "mean_pinball_loss (a metric)"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(tau=0.9), cls(tau=0.1, of="probability")]

    def check(self) -> None:
        if self.tau in (0, 1):
            raise FieldError(
                f"Quantile: tau is {self.tau:g}, a quantile that nothing but infinity is; say 0.05 or 0.95"
            )

    def formula(self, residual: Tensor) -> Tensor:
        return torch.maximum(-self.tau * residual, (1 - self.tau) * residual)
