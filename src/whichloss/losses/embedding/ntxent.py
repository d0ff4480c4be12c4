"""Normalised temperature-scaled cross-entropy: each pair of one class against all cases of other classes."""

from collections.abc import Sequence
from math import inf, log

from torch import Tensor

from whichloss.core import Axis, Card, EmbeddingLoss, positive
from whichloss.core.lift import Lift
from whichloss.core.lifts.points import PositivePairs


class NTXent(EmbeddingLoss):
    r"""How surprised a case is by one other of its class, if all the rest are strangers.

    $$\ell_{ip} = -\ln \frac{e^{z_i z_p / \tau}}{e^{z_i z_p / \tau} + \sum_{n \notin P(i)} e^{z_i z_n / \tau}}$$

    p: another case of the class of i, n: those of other classes. Every ordered pair of one class is a term. Unlike
    under `SupervisedContrastive` the cases of a class are no rivals of each other, so that the loss goes to 0 however
    many they are. A lower temperature $\tau$ looks at the nearest others only.
    """

    temperature: float = positive(0.1)

    card = Card(
        source="chen2020simple",
        equation="(1)",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (log(0.5),): log(2), (log(0.1),): log(10)},
        aliases=("NT-Xent", "SimCLR loss"),
        peers={"pytorch-metric-learning": "NTXentLoss"},
        note="(1) is for two views of each image, given the same label: then it is SupervisedContrastive, whose sum has"
        " no more of the class than the one friend. With more of a class the two differ; this is the reading of"
        " pytorch-metric-learning, whose default temperature is 0.07.",
    )

    axis = Axis("log-probability of one of the class", -4.0, -0.01)

    def needs(self) -> Sequence[Lift]:
        return (PositivePairs(normalize=self.normalize, temperature=self.temperature),)

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p
