"""Absolute error: how far off, and no more."""

from math import inf

from torch import Tensor

from whichloss.core import Card, RegressionLoss


class AbsoluteError(RegressionLoss):
    r"""The size of the residual $d$.

    $$\ell = |d|$$

    Pulls with the same force however far off a case is, so that a few gross errors do not lead; its minimiser is the
    median. The corner at 0 has no slope.
    """

    card = Card(
        source="yuan2021loss",
        equation="L1 loss",
        range=(0.0, inf),
        smooth=False,
        convex=True,
        golden={(-2.0,): 2.0, (0.0,): 0.0, (0.5,): 0.5},
        aliases=("L1", "MAE"),
        note="Of probabilities it is the mean over the K classes, 2 (1 - p) / K for hard labels; what is called MAE for"
        " wrong labels is the sum, or half of it, 1 - p, which is GeneralizedCrossEntropy(q=1).",
        peers={"torch.nn": "L1Loss", "Keras": "MeanAbsoluteError"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(of="probability")]

    def formula(self, residual: Tensor) -> Tensor:
        return residual.abs()
