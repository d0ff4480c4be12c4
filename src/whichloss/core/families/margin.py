"""Margin losses: a function of how far each score lies on the right side."""

from abc import abstractmethod
from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from ..errors import FieldError
from ..fields import choice
from ..lift import Lift
from ..lifts.margins import Margins, classes_of_pairs
from ..lifts.ranking import Ranking, ranked
from ..loss import Axis, Loss, Reach
from ..prepare import Prepared
from ..task import Task
from ..terms import Terms, average


class MarginLoss(Loss):
    """Sees signed margins: how far each score lies on the right side. `formula` is a function of one number."""

    lift: str = choice("one_versus_rest", "one_versus_one", "each_rival", "top_rival", "sum_to_zero", "ranking")
    per_class: str = choice("mean", "sum")  # of the questions that one element answers; the 1/N of paper 002
    scores: str = choice("logits", "softmax")  # what the margin is made of
    targets: str = choice("signed", "zero_one")  # y in {-1, 1}, or in {0, 1} as Keras 1 has it
    classes: str = choice("auto", "exclusive", "independent")

    axis = Axis("margin", -3.0, 2.0)

    @abstractmethod
    def formula(self, margin: Tensor) -> Tensor: ...

    def check(self) -> None:
        if self.lift == "one_versus_one" and self.scores == "softmax":
            name = type(self).__name__  # turned round, a pair would have another probability
            raise FieldError(f'{name}: a softmax has no meaning over pairs of classes; use scores="logits"')
        if self.lift == "ranking" and self.per_class == "sum":
            raise FieldError(f'{type(self).__name__}: per_class="sum" has no meaning with lift="ranking"; use Total')
        if self.targets == "zero_one" and self.lift != "one_versus_rest":
            raise FieldError(
                f'{type(self).__name__}: targets="zero_one" has a meaning only with lift="one_versus_rest"'
            )

    @property
    def range(self) -> tuple[float, float]:
        low, high = self.formula_range
        return (low, high) if self.per_class == "mean" else (min(low, 0.0), inf if high > 0 else 0.0)

    @property
    def formula_range(self) -> tuple[float, float]:
        """Interval that holds the values of the formula itself."""
        return self.card.range

    def link(self, margin: Tensor) -> Tensor | None:
        """The probability of yes at a margin, where the loss implies one: its minimiser, inverted."""
        return None

    @property
    def reach(self) -> Reach:
        return "pairs" if self.lift == "ranking" else "image"

    def needs(self) -> Sequence[Lift]:
        if self.lift == "ranking":
            return (Ranking(self.classes, self.scores),)
        return (Margins(self.classes, self.lift, self.scores, self.targets),)

    def measure(self, prepared: Prepared) -> Terms:
        if self.lift == "ranking":
            return ranked(self.formula, prepared[self.lifts[0]])
        margin, share, asked = prepared[self.lifts[0]]
        margin = torch.where(share > 0, margin, 0.0)  # what has no say must not send NaN backwards
        value, weight = average(self.formula(margin), share)
        return Terms(value * self.times(asked), weight)

    def times(self, asked: int) -> float:
        """What the mean over the questions that one element answers is multiplied by."""
        return asked if self.per_class == "sum" else 1.0

    def outputs(self, task: Task) -> int:
        classes = len(task.classes)
        return classes * (classes - 1) // 2 if self.lift == "one_versus_one" else super().outputs(task)

    def class_scores(self, logits: Tensor) -> Tensor:
        if self.lift != "one_versus_one" or not self.exclusive(logits):
            return logits
        classes = classes_of_pairs(logits.shape[1])
        first, second = torch.combinations(torch.arange(classes, device=logits.device)).T
        won = (logits > 0).to(logits.dtype)
        none = logits.new_zeros((logits.shape[0], classes, *logits.shape[2:]))
        votes = none.index_add(1, first, won).index_add(1, second, 1 - won)
        lead = none.index_add(1, first, logits).index_add(1, second, -logits)
        return votes + lead / (3 * (lead.abs() + 1))  # margins break ties of votes, and never outvote them

    def probability(self, logits: Tensor) -> Tensor | None:
        plain = self.scores == "logits" and self.targets == "signed" and self.lift != "ranking"
        return self.link(logits) if plain and not self.exclusive(logits) else None
