"""Log-probability of each possible answer, and its share of the truth."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..lift import Lift
from ..question import Batch


class Answers(NamedTuple):
    """What a likelihood formula sees.

    log_p: (N, Q, *S), log-probability of each answer that has a share: the truth alone for an index target.
    share: (N, Q, *S), the say of each; the shares of an element sum to its weight.
    yes:   how many leading answers are a "yes", the rest being "no"; 0 where classes exclude each other.
    """

    log_p: Tensor
    share: Tensor
    yes: int


@dataclass(frozen=True)
class LogProbability(Lift):
    """Log-softmax of exclusive classes, log-sigmoid of both answers of independent ones."""

    def __call__(self, batch: Batch) -> Answers:
        question = batch.question(self.classes)
        logits, target, weight = question.logits, question.target, question.weight
        if question.indexed:
            truth = target.unsqueeze(1)
            return Answers(question.log_probabilities.gather(1, truth), weight.expand_as(logits).gather(1, truth), 0)
        if question.exclusive:
            return Answers(question.log_probabilities, target * weight, 0)
        share = weight / logits.shape[1]
        log_p = torch.cat([question.log_probabilities, F.logsigmoid(-logits)], 1)
        return Answers(log_p, torch.cat([target * share, (1 - target) * share], 1), logits.shape[1])
