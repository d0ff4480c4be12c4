"""Boundary losses: a function of where elements lie, and not only of how they are answered."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..fields import choice, flag
from ..loss import Loss
from ..prepare import Prepared
from ..question import Question
from ..task import Kind
from ..terms import Terms, average


class BoundaryLoss(Loss):
    """Sees images and volumes, (N, C, *S), and how their elements lie. An element without weight is not there."""

    classes: str = choice("auto", "exclusive", "independent")

    @abstractmethod
    def formula(self, *args: Any, **kwargs: Any) -> Tensor: ...  # as many numbers as it sees

    @property
    def spatial(self) -> bool:
        return True

    @property
    def tasks(self) -> frozenset[Kind]:
        return frozenset({"segmentation"})


class OutlineLoss(BoundaryLoss):
    """A boundary loss that asks each class for its own object, and may leave out the background.

    background: whether class 0 has a say, where there are several.
    """

    background: bool = flag(True)

    @abstractmethod
    def seen(self, prepared: Prepared, question: Question) -> tuple[Tensor, ...]:
        """What the formula sees of each element and class, (N, C, *S) each."""

    def measure(self, prepared: Prepared) -> Terms:
        """One term for each element, the mean over its classes."""
        question = prepared.batch.question(self.classes)
        weight = self.told(question.weight.expand_as(question.logits))
        share = weight / weight.shape[1]
        seen = (torch.where(share > 0, self.told(one), 0.0) for one in self.seen(prepared, question))
        return average(self.formula(*seen), share)

    def told(self, x: Tensor) -> Tensor:
        """The channels of (N, C, *S) that have a say."""
        if not self.background and x.shape[1] == 1:
            raise UserError(f"{self.label}: one output is the foreground, so background=False leaves nothing")
        return x if self.background else x[:, 1:]
