"""Regression losses: a function of the residual."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ..fields import choice
from ..lift import Lift
from ..lifts.residual import Residual
from ..loss import Axis, Loss
from ..prepare import Prepared
from ..task import CLASSES, QUANTITY, Kind
from ..terms import Terms, average


class RegressionLoss(Loss):
    """Sees the residual. `formula` is a function of one number.

    of="output": outputs are quantities, and the target has their shape. of="probability": outputs are logits, and the
    residual is what their probabilities lack of the target, which may be whatever `classes` allows.
    """

    of: str = choice("output", "probability")
    classes: str = choice("auto", "exclusive", "independent")  # of logits; quantities have no classes

    axis = Axis("residual", -3.0, 3.0)

    @abstractmethod
    def formula(self, residual: Tensor) -> Tensor: ...

    @property
    def tasks(self) -> frozenset[Kind]:
        return QUANTITY if self.of == "output" else CLASSES

    @property
    def range(self) -> tuple[float, float]:
        if self.of == "output":
            return self.card.range
        ends = self.formula(torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64))
        return float(ends.min()), float(ends.max())

    def needs(self) -> Sequence[Lift]:
        return (Residual(self.classes, self.of),)

    def measure(self, prepared: Prepared) -> Terms:
        residual, share = prepared[self.lifts[0]]
        return average(self.formula(residual), share)
