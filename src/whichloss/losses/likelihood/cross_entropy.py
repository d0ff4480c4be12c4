"""Cross-entropy: how surprised the network is by the truth."""

from math import inf, log

from torch import Tensor

from whichloss.core import Answers, Card, LikelihoodLoss, Prices, positive


class CrossEntropy(LikelihoodLoss):
    r"""The negative log-probability of the truth; for soft labels, the mean over the classes in their proportions.

    $$\ell = -\ln p_y \qquad \text{yes/no: } -(\beta y \ln p + (1 - y) \ln(1 - p)), \ \beta: \texttt{positive\_weight}$$

    The slope on the logits is $p - y$: it never vanishes for a wrong case, and never quite for a right one.
    """

    positive_weight: float = positive(1.0)  # of a yes against a no, where classes are independent

    card = Card(
        source="yuan2021loss",
        equation="(6)",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (log(0.5),): log(2), (log(0.1),): log(10)},
        aliases=("CE", "BCE", "W-BCE", "negative log-likelihood"),
        note="(5) lacks the brackets that put both terms under the minus sign.",
        peers={
            "torch.nn": "CrossEntropyLoss, BCEWithLogitsLoss(pos_weight)",
            "MONAI": "in DiceCELoss",
            "smp": "SoftCrossEntropyLoss",
            "nnU-Net": "RobustCrossEntropyLoss",
            "Keras": "CategoricalCrossentropy",
        },
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(positive_weight=3.0)]

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p

    @property
    def focus(self) -> float:
        return 0.0

    def prices(self, answers: Answers) -> Prices | None:
        return None if self.positive_weight == 1 else (self.positive_weight, 1.0)
