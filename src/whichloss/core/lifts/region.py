"""Soft true positives, false positives and false negatives of each image and class: three sums."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ..lift import Lift
from ..question import Batch


class Counts(NamedTuple):
    """Soft numbers of elements, weighted by the weight map; each (N, C)."""

    tp: Tensor
    fp: Tensor
    fn: Tensor
    elements: Tensor

    @property
    def tn(self) -> Tensor:
        return self.elements - self.tp - self.fp - self.fn


@dataclass(frozen=True)
class RegionSums(Lift):
    """Sums over the elements of an image, in float32 or better.

    Each is a sum of non-negative products: a difference of large sums would lose a small lesion to cancellation.
    """

    def __call__(self, batch: Batch) -> Counts:
        question = batch.question(self.classes)
        images = (*question.logits.shape[:2], -1)
        p, y = question.probabilities.reshape(images), question.proportions.reshape(images)
        weight = question.weight.expand_as(question.logits).reshape(images)
        wp, wy = weight * p, weight * y
        return Counts((wp * y).sum(2), (wp * (1 - y)).sum(2), (wy * (1 - p)).sum(2), weight.sum(2))
