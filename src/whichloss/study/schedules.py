"""Schedules of the learning rate, as values: a factor for each share of the training that is done."""

from abc import abstractmethod
from math import cos, pi

from whichloss.core import FieldError, Value, numbers, positive


class Schedule(Value):
    """What the learning rate is multiplied by as training goes on."""

    @abstractmethod
    def factor(self, done: float) -> float:
        """The factor after a share `done`, from 0 to 1, of all steps."""


class Constant(Schedule):
    """The same rate from first to last."""

    def factor(self, done: float) -> float:
        return 1.0


class Cosine(Schedule):
    """Half a cosine, from 1 to 0, without restarts."""

    def factor(self, done: float) -> float:
        return 0.5 * (1 + cos(pi * done))


class Step(Schedule):
    """Smaller by a factor at each of some shares of the training."""

    at: tuple[float, ...] = numbers((0.5, 0.75), low=0.0)
    by: float = positive(0.1)

    def check(self) -> None:
        if list(self.at) != sorted(set(self.at)) or not all(0 < share < 1 for share in self.at):
            raise FieldError(f"Step: at is {self.at}; it must rise, between 0 and 1: shares of all steps")

    def factor(self, done: float) -> float:
        return self.by ** sum(done >= share for share in self.at)


class Polynomial(Schedule):
    """A power of what is left to do, as nnU-Net has it."""

    power: float = positive(0.9)

    def factor(self, done: float) -> float:
        return (1 - done) ** self.power
