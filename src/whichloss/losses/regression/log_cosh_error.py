"""Log-cosh error: the absolute error with its corner rounded."""

from math import inf, log

from torch import Tensor

from whichloss.core import Card, RegressionLoss
from whichloss.losses.wrap.log_cosh import log_cosh


class LogCoshError(RegressionLoss):
    r"""The logarithm of the hyperbolic cosine of the residual $d$.

    $$\ell = \ln \cosh d$$

    Half the square of a small residual, and $|d| - \ln 2$ of a large one: like Huber's with $\delta = 1$, but with
    every derivative. A case pulls with the force $\tanh d$, never more than 1.
    """

    card = Card(
        source="saleh2022statistical",
        equation="definition",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (log(2),): log(1.25), (-log(2),): log(1.25), (log(3),): log(5 / 3)},
        aliases=("log-cosh",),
        note="Written as log(cosh(d)) it is infinite beyond |d| = 89 in float32, and 0 below 0.0003.",
        peers={"Keras": "LogCosh", "pytorch-toolbelt": "LogCoshLoss"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(of="probability")]

    def formula(self, residual: Tensor) -> Tensor:
        return log_cosh(residual)
