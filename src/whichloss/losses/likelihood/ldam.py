"""LDAM: a margin for each class, and the wider the rarer it is."""

from math import inf, log

import torch.nn.functional as F
from torch import Tensor

from whichloss.core import Alternatives, Card, DistributionLoss, UserError, nonnegative, numbers, positive
from whichloss.core.lifts.distribution import log_not


class LDAM(DistributionLoss):
    r"""Cross-entropy after a margin has been taken off the logit of the truth (s: scale).

    $$\ell = -\ln \frac{e^{s (u_y - \Delta_y)}}{e^{s (u_y - \Delta_y)} + \sum_{k \neq y} e^{s u_k}}, \qquad
    \Delta_k = \mathit{margin} \left(\frac{\min_j n_j}{n_k}\right)^{1/4}$$

    With n the number of training cases of each class, the rarest has the full margin and is learned until it is right
    by that much. Made for logits that are cosines, from -1 to 1, which a scale of 30 spreads; a network with a plain
    last layer has such logits by itself, and wants scale=1. A yes/no question has the counts of no and of yes. The
    deferred weights of the paper (DRW) are a weight map from some epoch on, and not here.
    """

    counts: tuple[float, ...] = numbers(
        low=0.0, open_low=True
    )  # training cases of each class; only their ratios matter
    margin: float = nonnegative(0.5)  # of the rarest class, before the scale
    scale: float = positive(30.0)

    card = Card(
        source="cao2019learning",
        equation="LDAM loss",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(15.0, 0.5): log(2), (15.0 + log(3), 0.5): log(4 / 3), (0.0, 0.0): log(2)},
        equals=(
            ("LDAM(counts=(9.0, 4.0, 1.0), margin=0.0, scale=1.0)", "CrossEntropy()"),
            ("LDAM(counts=(9.0, 4.0, 1.0))", "LDAM(counts=(900.0, 400.0, 100.0))"),
        ),
        aliases=("label-distribution-aware margin loss", "additive margin softmax (equal counts)"),
        note="In the official code the focal loss beside it takes its power of the weighted cross-entropy, so that a"
        " class weight bends the loss; a weight map scales it. Its LDAM takes (N, C) on a GPU only.",
        peers={"LDAM-DRW": "LDAMLoss"},
    )

    axis = None

    @classmethod
    def examples(cls):
        return [cls(counts=(1000.0, 100.0, 10.0)), cls(counts=(900.0, 100.0), scale=1.0)]

    def values(self, seen: Alternatives) -> Tensor:
        questions, answers = seen.log_p.shape[1:3]
        if questions > 1:
            raise UserError(
                f"{self.label} knows the counts of one question, and these are {questions}, a yes/no for each channel:"
                ' say classes="exclusive", or give each channel a loss of its own'
            )
        if len(self.counts) != answers:
            raise UserError(
                f"{self.label}: counts has {len(self.counts)} entries, and there are {answers} "
                + ("answers, no and yes" if seen.binary else "classes")
            )
        rarest = min(self.counts)
        margins = seen.log_p.new_tensor([self.margin * (rarest / n) ** 0.25 for n in self.counts])
        log_p = (self.scale * seen.log_p).log_softmax(2)
        space = [1] * (log_p.ndim - 3)
        return self.formula(log_p - log_not(log_p), margins.reshape(1, 1, -1, *space))

    def formula(self, log_odds: Tensor, margin: Tensor) -> Tensor:
        return -F.logsigmoid(log_odds - self.scale * margin)
