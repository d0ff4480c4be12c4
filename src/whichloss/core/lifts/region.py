"""Soft true positives, false positives and false negatives of each image and class: three sums."""

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from torch import Tensor

from ..lift import Lift
from ..question import Batch, Question


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
    Squared: an error counts as its square, so FN is the sum of y (1 - p)^2 and FP that of (1 - y) p^2.
    """

    squared: bool = False

    def __call__(self, batch: Batch) -> Counts:
        p, y, weight = by_image(batch.question(self.classes))
        hit, miss, alarm = (p * (2 - p), (1 - p).square(), p.square()) if self.squared else (p, 1 - p, p)
        wy, wn = weight * y, weight * (1 - y)
        return Counts((wy * hit).sum(2), (wn * alarm).sum(2), (wy * miss).sum(2), weight.sum(2))


def by_image(question: Question) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities, proportions and weights, each (N, C, M) of the M elements of an image."""
    images = (*question.logits.shape[:2], prod(question.logits.shape[2:]))
    weight = question.weight.expand_as(question.logits)
    return question.probabilities.reshape(images), question.proportions.reshape(images), weight.reshape(images)
