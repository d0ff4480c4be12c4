"""Distribution: the log-probability of every answer that could have been given, not of the truth alone."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..lift import Lift
from ..question import Batch
from ..terms import Terms, average


class Alternatives(NamedTuple):
    """What a loss sees that compares the truth with what else could have been answered.

    Q questions, one of several classes or a yes/no for each channel; each with K answers: the classes, or no and yes.

    log_p: (N, Q, K, *S), log-probability of each answer. truth: (N, Q, K, *S), its proportion in the truth.
    share: (N, Q, K, *S), its say; the shares of an element sum to its weight.
    binary: whether the answers are no (0) and yes (1), and not classes.
    """

    log_p: Tensor
    truth: Tensor
    share: Tensor
    binary: bool

    def terms(self, value: Tensor) -> Terms:
        """One term per case, from the value of each answer if it is the truth, or (N, Q, 1, *S) of a whole question."""
        return average(value.expand_as(self.share).flatten(1, 2), self.share.flatten(1, 2))


def log_not(log_p: Tensor) -> Tensor:
    """ln(1 - p) of each answer along axis 2; of the likeliest from all others, as 1 - p would be 0 with p near 1."""
    if log_p.shape[2] == 2:
        return log_p.flip(2)
    first = log_p.argmax(2, keepdim=True)
    likeliest = torch.zeros_like(log_p, dtype=torch.bool).scatter(2, first, True)
    others = torch.where(likeliest, -torch.inf, log_p)
    return torch.where(likeliest, others.logsumexp(2, keepdim=True), torch.log1p(-others.exp()))


@dataclass(frozen=True)
class Distribution(Lift):
    """Log-softmax of exclusive classes; log-sigmoid of no and of yes for independent ones."""

    def __call__(self, batch: Batch) -> Alternatives:
        question = batch.question(self.classes)
        logits, weight = question.logits, question.weight.expand_as(question.logits)
        if question.exclusive:
            log_p, truth, say = question.log_probabilities.unsqueeze(1), question.proportions.unsqueeze(1), weight
            return Alternatives(log_p, truth, truth * say.unsqueeze(1), False)
        log_p = torch.stack([F.logsigmoid(-logits), question.log_probabilities], 2)
        truth = torch.stack([1 - question.target, question.target], 2)
        return Alternatives(log_p, truth, truth * (weight / logits.shape[1]).unsqueeze(2), True)
