"""Soft true and false positives and negatives of each image and class: four sums."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ..lift import Lift
from ..question import Batch
from .region import by_image


class FourCounts(NamedTuple):
    """Soft numbers of elements, as Counts has them; TN is a sum of its own, not what the others leave of all."""

    tp: Tensor
    fp: Tensor
    fn: Tensor
    elements: Tensor
    tn: Tensor


@dataclass(frozen=True)
class FourSums(Lift):
    """For losses that need a TN which is small beside the others, such as that of the background beside a lesion."""

    def __call__(self, batch: Batch) -> FourCounts:
        p, y, weight = by_image(batch.question(self.classes))
        wy, wn = weight * y, weight * (1 - y)
        hit, alarm, miss, rest = (part.sum(2) for part in (wy * p, wn * p, wy * (1 - p), wn * (1 - p)))
        return FourCounts(hit, alarm, miss, weight.sum(2), rest)
