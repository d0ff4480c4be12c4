"""Kullback-Leibler divergence: cross-entropy less what no prediction could save."""

from math import inf, log

from torch import Tensor

from whichloss.core import Card, LikelihoodLoss


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

    def least(self, truth: Tensor) -> Tensor:
        return -truth.log()
