"""Supervised contrastive loss: cross-entropy over similarities, with the cases of one's own class as the truth."""

from collections.abc import Sequence
from math import inf, log

from torch import Tensor

from whichloss.core import Axis, Card, EmbeddingLoss, positive
from whichloss.core.lift import Lift
from whichloss.core.lifts.points import Similarities


class SupervisedContrastive(EmbeddingLoss):
    r"""How surprised a case is, on average, that the others of its class are near it.

    $$\ell_i = -\frac{1}{|P(i)|} \sum_{p \in P(i)} \ln \frac{e^{z_i z_p / \tau}}{\sum_{a \ne i} e^{z_i z_a / \tau}}$$

    P(i): the other cases of the class of i. The mean is over the cases that have one. A lower temperature $\tau$ looks
    at the nearest others only.
    """

    temperature: float = positive(0.1)

    card = Card(
        source="khosla2020supervised",
        equation="(2)",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (log(0.5),): log(2), (log(0.1),): log(10)},
        aliases=("SupCon",),
        peers={"pytorch-metric-learning": "SupConLoss"},
        note="Not bounded below by 0 in practice: |P(i)| equally near others cost at least ln |P(i)|. The authors' code"
        " is NaN for a case without others of its class; here it has no say.",
    )

    axis = Axis("log-probability of one of the class", -4.0, -0.01)

    def needs(self) -> Sequence[Lift]:
        return (Similarities(normalize=self.normalize, temperature=self.temperature),)

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p
