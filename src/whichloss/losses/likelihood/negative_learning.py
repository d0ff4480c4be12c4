"""Negative learning: not "it is this", but "it is not that", which is seldom wrong."""

from math import inf, log

import torch
from torch import Tensor

from whichloss.core import Alternatives, Card, DistributionLoss, choice
from whichloss.core.lifts.distribution import log_not


class NegativeLearning(DistributionLoss):
    r"""The surprise at a complementary label $\bar y$, a class that a case is said not to be of.

    $$\ell = -\ln(1 - p_{\bar y}), \qquad
    \text{over all } \bar y \neq y: \ -\frac{1}{K - 1} \sum_{k \neq y} \ln(1 - p_k)$$

    Where a label is wrong, most of the other classes are rightly called wrong. labels="given": the target is the label,
    and the loss is the mean over the complementary labels that the paper draws evenly, so that it has no chance in it:
    the same in expectation, with less noise. labels="complementary": the target is a complementary label itself, drawn
    or collected by whoever asks. While all classes are equally likely the slope is $1/(K - 1)^2$ of that of
    cross-entropy, so with many classes it begins slowly; a yes/no question has one other answer, and there the two are
    the same.
    """

    labels: str = choice("given", "complementary")

    card = Card(
        source="kim2019nlnl",
        equation="NL loss",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(log(0.5),): log(2), (log(0.75),): log(4 / 3), (0.0,): 0.0},
        equals=(("NegativeLearning(classes='independent')", "CrossEntropy(classes='independent')"),),
        aliases=("NL", "NLNL", "complementary-label loss"),
        note="The paper draws one complementary label a step. Its selective and positive stages (SelNL, SelPL) choose"
        " cases, not losses. Active-Passive-Losses clamps 1 - p at 1e-5: no slope where an answer is surely wrong.",
        peers={"Active-Passive-Losses": "NLNL"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(labels="complementary")]

    def values(self, seen: Alternatives) -> Tensor:
        cost = self.formula(log_not(seen.log_p))
        if self.labels == "complementary":
            return cost
        said = seen.share.sum(2, keepdim=True)
        others = 1 - seen.share / torch.where(said > 0, said, 1.0)
        return (others * cost).sum(2, keepdim=True) / (cost.shape[2] - 1)

    def formula(self, log_not: Tensor) -> Tensor:
        return -log_not
