"""Mining losses: wrappers under which only some elements have a say, chosen by what they cost."""

from abc import abstractmethod
from math import inf

import torch
from torch import Tensor

from ..errors import FieldError
from ..fields import choice
from ..loss import Reach
from ..prepare import Prepared
from ..terms import Terms
from .wrapper import WrapperLoss


class MiningLoss(WrapperLoss):
    """The mean of another loss over the elements that `chosen` picks, of the batch's or of each image's.

    Elements of weight 0 and ignored ones are never among them.
    """

    takes = (-inf, inf)
    over: str = choice("batch", "image")  # whose elements are chosen from: the batch's, or each image's

    @abstractmethod
    def chosen(self, value: Tensor, weight: Tensor) -> Tensor:
        """How much of each element has a say, 0 to 1; (rows, elements), a row for what is chosen from."""

    def check(self) -> None:
        super().check()
        if self.loss.lumped:
            name = type(self).__name__
            raise FieldError(
                f"{name} chooses among many terms, and {self.loss.label} gives but one, its total: wrap what it is made"
                f" of, as in {name}(CrossEntropy()) + Dice()"
            )

    def formula(self, value: Tensor) -> Tensor:
        return value

    @property
    def reach(self) -> Reach:
        return "batch" if self.over == "batch" and self.loss.reach == "image" else self.loss.reach

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = _in_rows(self.loss.measure(prepared), self.over)
        return Terms(value, weight * self.chosen(value, weight))


def _in_rows(terms: Terms, over: str) -> Terms:
    """Terms (rows, elements): a row for each image, or one for the batch."""
    value, weight = terms
    if over == "batch":
        return Terms(value.reshape(1, -1), weight.reshape(1, -1))
    return Terms(*(part.flatten(1) if part.ndim > 1 else part.unsqueeze(1) for part in terms))


def hardest(value: Tensor, weight: Tensor, share: float) -> Tensor:
    """Of each element (rows, elements) how much of it is among this share of its row with the largest values.

    All of it or nothing; but those that tie for the last places have an equal part of them.
    """
    if not value.numel():
        return torch.ones_like(value)
    told = weight > 0
    hardness = torch.where(told, value.detach(), -torch.inf)
    places = (share * told.sum(1, keepdim=True).double() + 1e-6).floor().clamp_min(1)  # 0.29 times 100 is below 29
    last = _at(hardness, places.long())
    above, level = ~(hardness <= last), hardness == last  # a value that is not a number is above, so that it is seen
    left = (places - above.sum(1, keepdim=True)).clamp_min(0)
    return (above + level * (left / level.sum(1, keepdim=True).clamp_min(1))).to(value)


def _at(hardness: Tensor, places: Tensor) -> Tensor:
    """The value (rows, 1) at one place of each row, counted from the largest."""
    if torch.compiler.is_compiling() or hardness.device.type != "cpu":  # where to look at a place would be to wait
        return hardness.sort(1, descending=True).values.gather(1, places - 1)
    least = [row.kthvalue(len(row) + 1 - int(place)).values for row, place in zip(hardness, places, strict=True)]
    return torch.stack(least).unsqueeze(1)
