"""Logistic loss: cross-entropy of a yes/no question, as a function of the margin."""

from math import inf, log

import torch.nn.functional as F
from torch import Tensor

from whichloss.core import Card, MarginLoss


class Logistic(MarginLoss):
    r"""The standard against which robust margin losses are held.

    $$\ell(m) = \ln(1 + e^{-m})$$

    Convex, with a slope of at most 1; never quite zero, so that easy cases go on pulling, and every wrong case pulls
    with nearly full weight however wrong it is.
    """

    card = Card(
        source="barbu2018robust",
        equation="(2)",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): log(2), (log(3),): log(4 / 3), (-log(3),): log(4)},
        equals=(("Logistic(classes='independent')", "CrossEntropy(classes='independent')"),),
        aliases=("log loss", "logit loss"),
        note="(2) is written for two outputs; with one output f it is a function of the margin y f.",
        peers={
            "torch.nn": "BCEWithLogitsLoss",
            "MONAI": "DiceCELoss (1 channel)",
            "Keras": "BinaryCrossentropy",
            "smp": "SoftBCEWithLogitsLoss",
        },
    )

    def formula(self, margin: Tensor) -> Tensor:
        return -F.logsigmoid(margin)

    def link(self, margin: Tensor) -> Tensor:
        return margin.sigmoid()
