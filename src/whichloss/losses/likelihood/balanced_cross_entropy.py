"""Balanced cross-entropy: yes and no weigh by how rare the other is."""

from math import inf, log

from torch import Tensor

from whichloss.core import Answers, Card, FieldError, LikelihoodLoss, Prices, Reach, choice, fraction


class BalancedCrossEntropy(LikelihoodLoss):
    r"""Cross-entropy of yes/no questions, with yes weighed by the share of no and no by the share of yes.

    $$\ell = -(\beta y \ln p + (1 - \beta)(1 - y) \ln(1 - p)), \qquad \beta = 1 - \operatorname{mean}(y)$$

    The mean of y is taken over each image, over the batch, or over the whole data set (then `beta` is given). An image
    without foreground has beta = 1 and teaches nothing when it is taken by itself: its false positives are free.
    """

    over: str = choice("image", "batch", "data")
    beta: float | None = fraction(None, optional=True)  # share of no in the data set; only with over="data"

    card = Card(
        source="xie2015holistically",
        equation="(2)",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (log(0.5),): log(2)},
        equals=(
            (
                "BalancedCrossEntropy(over='data', beta=0.75, classes='independent')",
                "0.25 * CrossEntropy(positive_weight=3.0, classes='independent')",
            ),
        ),
        aliases=("B-BCE", "class-balanced cross-entropy"),
        note="Yuan (11) prints 1 - y/(HW) where the sum of y is meant. Golden values are those of the plain formula.",
        peers={"pytorch-toolbelt": "BalancedBCEWithLogitsLoss"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(over="batch"), cls(over="data", beta=0.9)]

    def check(self) -> None:
        if (self.over == "data") != (self.beta is not None):
            raise FieldError('BalancedCrossEntropy: beta is the share of no in the data set; give it with over="data"')

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p

    @property
    def focus(self) -> float:
        return 0.0

    @property
    def reach(self) -> Reach:
        return "batch" if self.over == "batch" else "image"

    def prices(self, answers: Answers) -> Prices:
        beta = self.beta if self.beta is not None else 1 - answers.prevalence(self.over)
        return beta, 1 - beta
