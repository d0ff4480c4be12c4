"""Presets: the losses of other libraries, said in our terms."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from torch import Tensor

from ..fields import choice
from ..lift import Lift
from ..loss import Loss, Reach
from ..prepare import Prepared
from ..terms import Terms
from ..value import Value


class PresetLoss(Loss):
    """Another library's loss under its origin's name: what it means in ours, and its numbers where these are finite."""

    classes: str = choice("auto", "exclusive", "independent")

    means: ClassVar[Loss]  # meaning(), worked out when the preset is made; not a field
    offset: ClassVar[float] = 0.0  # added to the value; it moves no gradient

    @abstractmethod
    def meaning(self) -> Loss:
        """The expression in our terms."""

    def check(self) -> None:
        self._set("means", self.meaning().asking(self.classes))
        self._set("axis", self.means.axis)

    def along(self, x: Tensor) -> Tensor:
        return self.means.along(x) + self.offset

    def needs(self) -> Sequence[Lift]:
        return self.means.needs()

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = self.means.measure(prepared)
        return Terms(value + self.offset, weight)

    def needs_of_mean(self) -> Sequence[Lift]:
        return self.lifts if self.offset else self.means.lifts_of_mean

    def mean(self, prepared: Prepared) -> Tensor:
        return super().mean(prepared) if self.offset else self.means.mean(prepared)

    @property
    def reach(self) -> Reach:
        return self.means.reach

    @property
    def range(self) -> tuple[float, float]:
        low, high = self.means.range
        return low + self.offset, high + self.offset

    def parts(self) -> Iterator[Value]:
        return iter((self.means,))  # whose results_version decides results, too
