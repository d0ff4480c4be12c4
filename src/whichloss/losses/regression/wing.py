"""Wing loss: small and middling errors count most."""

from math import inf, log

from torch import Tensor

from whichloss.core import Card, RegressionLoss, positive
from whichloss.losses.wrap.adaptive_log import logarithmic


class Wing(RegressionLoss):
    r"""Logarithmic in the size of the residual $d$ up to a width, the size itself, moved to meet it, beyond.

    $$\ell = \omega \ln(1 + |d|/\varepsilon) \text{ if } |d| < \omega, \quad
    |d| - \omega + \omega \ln(1 + \omega/\varepsilon) \text{ otherwise}$$

    with $\omega$: width and $\varepsilon$: curvature. The last millimetre pulls $\omega/\varepsilon$ = 5 times as hard
    as a gross error does, so that landmarks end sharper; the pull never fades, and at the target its sign jumps. The
    defaults are the paper's, for residuals in pixels; in a study they are in standard deviations of the training cases,
    where Wing(width=1.0, curvature=0.2) has the same form.
    """

    width: float = positive(10.0)  # omega, in the unit of the residual
    curvature: float = positive(2.0)  # epsilon

    card = Card(
        source="feng2018wing",
        equation="definition",
        range=(0.0, inf),
        smooth=False,
        convex=False,
        golden={(0.0,): 0.0, (2.0,): 10 * log(2), (-6.0,): 10 * log(4), (10.0,): 10 * log(6), (12.0,): 2 + 10 * log(6)},
        note="Continuous, but at the width the slope jumps from 10/12 to 1. smp and pytorch-toolbelt default to width 5"
        " and curvature 0.5, twice as steep at 0: Wing(width=5.0, curvature=0.5).",
        peers={"smp": "wing_loss (private)", "pytorch-toolbelt": "WingLoss"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(width=1.0, curvature=0.2), cls(width=0.5, curvature=0.1, of="probability")]

    def formula(self, residual: Tensor) -> Tensor:
        return logarithmic(residual.abs(), self.width, self.width, self.curvature)
