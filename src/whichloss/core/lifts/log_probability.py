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
    truth: (N, Q, *S), the proportion of each answer in the truth: 1 for an index target.
    yes:   how many leading answers are a "yes", the rest being "no"; 0 where classes exclude each other.
    """

    log_p: Tensor
    share: Tensor
    truth: Tensor
    yes: int

    def prevalence(self, over: str) -> Tensor:
        """The share of yes among what has a say, of each channel: of each image, or of the batch; where nothing has, 0.

        (N or 1, C, ones); one 0 where classes exclude each other, and nothing is a yes.
        """
        if not self.yes:
            return self.share.new_zeros(())
        space = list(range(2, self.share.ndim)) + ([0] if over == "batch" else [])
        said = self.share.sum(space, keepdim=True) if space else self.share
        yes, no = said[:, : self.yes], said[:, self.yes :]
        return yes / torch.where(yes + no > 0, yes + no, 1.0)


@dataclass(frozen=True)
class LogProbability(Lift):
    """Log-softmax of exclusive classes, log-sigmoid of both answers of independent ones."""

    def __call__(self, batch: Batch) -> Answers:
        question = batch.question(self.classes)
        logits, target, weight = question.logits, question.target, question.weight
        if question.indexed:
            truth = target.unsqueeze(1)
            log_p = question.log_probabilities.gather(1, truth)
            return Answers(log_p, weight.expand_as(logits).gather(1, truth), torch.ones_like(log_p), 0)
        if question.exclusive:
            return Answers(question.log_probabilities, target * weight, target, 0)
        log_p = torch.cat([question.log_probabilities, F.logsigmoid(-logits)], 1)
        truth = torch.cat([target, 1 - target], 1)
        share = (weight / logits.shape[1]).expand_as(logits)
        return Answers(log_p, truth * torch.cat([share, share], 1), truth, logits.shape[1])
