"""Wrappers: a function of the value of another loss."""

from abc import abstractmethod
from collections.abc import Sequence
from math import inf
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import FieldError
from ..expression import parse
from ..fields import inner
from ..lift import Lift
from ..loss import Axis, Loss
from ..prepare import Prepared
from ..terms import Terms


class WrapperLoss(Loss):
    """Changes the value of another loss, term by term. `formula` is a function of one number, as a rule 0 or more."""

    loss: Loss = inner(lambda: Loss, kw_only=False)

    axis = Axis("value of the inner loss", 0.0, 1.0)
    takes: ClassVar[tuple[float, float]] = (0.0, inf)  # the values that `formula` has a meaning for

    @abstractmethod
    def formula(self, value: Tensor) -> Tensor: ...

    @classmethod
    def examples(cls) -> Sequence["WrapperLoss"]:
        return [cls(parse("Dice()")), cls(parse("CrossEntropy()"))]

    def check(self) -> None:
        low, high = self.takes
        if self.loss.range[0] < low:
            raise FieldError(f"{type(self).__name__} needs a loss that is never negative; {self.loss.label} can be")
        if self.loss.range[1] > high:
            raise FieldError(
                f"{type(self).__name__} needs a loss of at most {high:g}, such as Dice();"
                f" {self.loss.label} can be {self.loss.range[1]:g}"
            )

    def needs(self) -> Sequence[Lift]:
        return self.loss.needs()

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = self.loss.measure(prepared)
        return Terms(self.formula(torch.where(weight > 0, value, 0.0)), weight)

    @property
    def range(self) -> tuple[float, float]:
        ends = torch.tensor(self.loss.range, dtype=torch.float64)
        low, high = self.formula(ends).tolist()  # every wrapper rises with the value
        return low, high
