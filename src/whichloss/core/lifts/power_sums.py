"""Sums of a region in which probabilities and errors count by a power of them."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ..lift import Lift
from ..question import Batch
from .region import Counts, by_image


@dataclass(frozen=True)
class PowerSums(Lift):
    """Overlap as it is, sizes by a power: TP + FP + FN is the sum of p^e + y^e - p y for hard labels y.

    So FP is the sum of (1 - y) p^e, and FN that of y (1 + p^e - 2 p), which is y (1 - p)^2 for e = 2. With e from 1 to
    2 neither is negative. A soft label counts in its proportion.
    """

    exponent: float = 2.0

    def __call__(self, batch: Batch) -> Counts:
        p, y, weight = by_image(batch.question(self.classes))
        size = p.square() if self.exponent == 2 else p**self.exponent
        miss = (1 - p).square() if self.exponent == 2 else (1 - p) - (p - size)  # of numbers that are nearly equal
        wy, wn = weight * y, weight * (1 - y)
        return Counts((wy * p).sum(2), (wn * size).sum(2), (wy * miss).sum(2), weight.sum(2))


class ErrorCounts(NamedTuple):
    """Sums as Counts has them, FP and FN of squares, and the sum of |p - y|^gamma."""

    tp: Tensor
    fp: Tensor
    fn: Tensor
    elements: Tensor
    error: Tensor


@dataclass(frozen=True)
class ErrorSums(Lift):
    """The sums of squares, and that of errors to a power gamma from 1 to 2."""

    gamma: float = 1.5

    def __call__(self, batch: Batch) -> ErrorCounts:
        p, y, weight = by_image(batch.question(self.classes))
        error = weight * (y * (1 - p) ** self.gamma + (1 - y) * p**self.gamma)
        return ErrorCounts(*PowerSums(self.classes)(batch), error.sum(2))
