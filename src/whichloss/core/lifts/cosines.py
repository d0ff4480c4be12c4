"""Cosines of a case and the classes: that of the truth, and all that stands against it."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..lift import Lift
from ..question import Batch


class Contest(NamedTuple):
    """What a formula of cosines sees.

    cosine: (N, Q, *S), of each class that has a share of the truth: the true one alone for an index target.
    rivals: (N, Q, *S), the log-sum of exponentials of all other cosines times the scale.
    share:  (N, Q, *S), the say of each; the shares of an element sum to its weight.
    """

    cosine: Tensor
    rivals: Tensor
    share: Tensor


@dataclass(frozen=True)
class Cosines(Lift):
    """Of exclusive classes. Numbers beyond -1 and 1, which are no cosines, count as they come."""

    scale: float = 64.0

    def __call__(self, batch: Batch) -> Contest:
        question = batch.question(self.classes)
        cosines, target, weight = question.logits, question.target, question.weight
        scaled = self.scale * cosines
        if question.indexed:
            truth = target.unsqueeze(1)
            rivals = scaled.scatter(1, truth, -torch.inf).logsumexp(1, keepdim=True)
            return Contest(cosines.gather(1, truth), rivals, weight.expand_as(cosines).gather(1, truth))
        others = torch.eye(cosines.shape[1], dtype=torch.bool, device=cosines.device)
        others = others.reshape(*others.shape, *[1] * (cosines.ndim - 2))  # (C, C, ones): which one is left out
        rivals = [scaled.masked_fill(out, -torch.inf).logsumexp(1, keepdim=True) for out in others]
        return Contest(cosines, torch.cat(rivals, 1), target * weight)
