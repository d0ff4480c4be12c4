"""Squared error: gross errors count most."""

from math import inf

from torch import Tensor

from whichloss.core import Card, RegressionLoss


class SquaredError(RegressionLoss):
    r"""The square of the residual $d$.

    $$\ell = d^2$$

    Pulls in proportion to the error; its minimiser is the mean. On probabilities (`of="probability"`, the Brier
    score) its slope vanishes where the network is confidently wrong: a likelihood or margin loss recovers there.
    """

    card = Card(
        source="yuan2021loss",
        equation="MSE loss",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(-2.0,): 4.0, (0.0,): 0.0, (0.5,): 0.25},
        aliases=("L2", "MSE", "Brier score"),
        note="The survey lists it as a classification loss; there its slope carries the factor p (1 - p) <= 1/4.",
        peers={"torch.nn": "MSELoss", "Keras": "MeanSquaredError"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(of="probability")]

    def formula(self, residual: Tensor) -> Tensor:
        return residual.square()
