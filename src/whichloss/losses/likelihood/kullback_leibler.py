"""Kullback-Leibler divergence: cross-entropy less what no prediction could save."""

from math import inf, log

import torch
from torch import Tensor

from whichloss.core import Card, LikelihoodLoss
from whichloss.core.prepare import Prepared
from whichloss.core.terms import Terms, average


class KullbackLeibler(LikelihoodLoss):
    r"""How much more surprised the network is by the truth than the truth itself.

    $$\ell = \sum_c y_c \ln \frac{y_c}{p_c} = \mathrm{CE}(y, p) - H(y), \qquad 0 \ln 0 = 0$$

    Has the gradient of cross-entropy for fixed labels, and its value for hard ones. With soft labels it is zero when
    they are met exactly.
    """

    card = Card(
        source="yuan2021loss",
        equation="(9)",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (log(0.5),): log(2), (log(0.1),): log(10)},
        aliases=("KL",),
        peers={"torch.nn": "KLDivLoss", "Keras": "KLDivergence"},
    )

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p

    def measure(self, prepared: Prepared) -> Terms:
        answers = prepared[self.lifts[0]]
        said = answers.share > 0
        truth = torch.where(said, answers.truth, 1.0)
        return average(truth.log() + self.formula(torch.where(said, answers.log_p, -1.0)), answers.share)
