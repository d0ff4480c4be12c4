"""Multi-similarity loss: the cases of one's class above a similarity, all others below it, the worst first."""

from collections.abc import Sequence
from math import inf, log

import torch.nn.functional as F
from torch import Tensor

from whichloss.core import Card, EmbeddingLoss, number, positive
from whichloss.core.lift import Lift
from whichloss.core.lifts.points import Crowds


class MultiSimilarity(EmbeddingLoss):
    r"""Two soft maxima: of what is missing in one's own class, and of what is too near among the others.

    $$\ell_i = \tfrac1\alpha \ln\Big(1 + \sum_{p \in P(i)} e^{-\alpha (S_{ip} - \lambda)}\Big)
    + \tfrac1\beta \ln\Big(1 + \sum_{n \notin P(i)} e^{\beta (S_{in} - \lambda)}\Big)$$

    S: similarities (cosines), P(i): the other cases of the class of i. A pair pulls by how it stands among its
    rivals: with a large $\beta$ nearly all of the force goes to the nearest stranger, with a small $\alpha$ every
    friend has some of it. Each case is a term, also one that is alone in its class.
    """

    alpha: float = positive(2.0)  # for the cases of one's class
    beta: float = positive(50.0)  # for those of others
    threshold: float = number(0.5, low=-1.0, high=1.0)  # lambda; a similarity

    card = Card(
        source="wang2019multi",
        equation="multi-similarity loss",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={
            (0.0, 0.0): log(2) / 2 + log(2) / 50,
            (log(3), log(7)): log(4) / 2 + log(8) / 50,
        },
        aliases=("MS loss",),
        peers={"pytorch-metric-learning": "MultiSimilarityLoss (threshold: base)"},
        note="The authors first mine the pairs, and leave out those that are right by a margin; here every pair of the"
        " batch counts, as in pytorch-metric-learning without a miner.",
    )

    def needs(self) -> Sequence[Lift]:
        return (Crowds(normalize=self.normalize, friends=self.alpha, strangers=self.beta, threshold=self.threshold),)

    def formula(self, missing: Tensor, crowding: Tensor) -> Tensor:
        return -F.logsigmoid(-missing) / self.alpha - F.logsigmoid(-crowding) / self.beta
