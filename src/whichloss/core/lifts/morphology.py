"""Soft erosions, openings and skeletons: what minima and maxima over neighbours make of an image.

An element without weight is not there: for its neighbours it is what lies beyond the edge of the image.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..lift import Lift
from ..question import Batch, Question, space_of


class Skeletons(NamedTuple):
    """What clDice sees of each image and class, (N, C, *S) each; 0 where nothing has a say.

    predicted, true: the soft skeletons of prediction and target. p, y: the probability, and the proportion in truth.
    """

    predicted: Tensor
    true: Tensor
    p: Tensor
    y: Tensor


@dataclass(frozen=True)
class SoftSkeletons(Lift):
    """What erosions take away that openings do not give back: after as many erosions nothing thicker is thinned."""

    iterations: int = 3

    def __call__(self, batch: Batch) -> Skeletons:
        question = batch.question(self.classes)
        present = _present(question)
        p, y = (torch.where(present, one, 0.0) for one in (question.probabilities, question.proportions))
        predicted, true = (skeleton(one, present, self.iterations) for one in (p, y))
        return Skeletons(predicted, true, p, y)


@dataclass(frozen=True)
class Erosions(Lift):
    """The squared error after one erosion, two, ... `times`; a tuple of (N, C, *S).

    An erosion is the mean over an element and its neighbours along the axes, of which `threshold` is taken off, down to
    0 at most; and what is left of an image and class is stretched to 0 to 1, if it is not the same everywhere. Along an
    axis of one element there are no neighbours.
    """

    times: int = 10
    threshold: float = 0.5

    def __call__(self, batch: Batch) -> tuple[Tensor, ...]:
        question = batch.question(self.classes)
        present = _present(question)
        error = torch.where(present, question.probabilities - question.proportions, 0.0).square()
        eroded = []
        for _ in range(self.times):
            error = _stretched(F.relu(_mean_of_cross(error) - self.threshold), present)
            eroded.append(error)
        return tuple(eroded)


def _present(question: Question) -> Tensor:
    space_of(question)
    return question.weight.expand_as(question.logits) > 0


def _axes(x: Tensor) -> list[int]:
    return [axis for axis in range(2, x.ndim) if x.shape[axis] > 1]


def skeleton(x: Tensor, present: Tensor, iterations: int) -> Tensor:
    """The soft skeleton of x (N, C, *S), from 0 to 1, by Shit et al. (2021)."""
    thin = F.relu(x - opened(x, present))
    for _ in range(iterations):
        x = eroded(x, present)
        rest = F.relu(x - opened(x, present))
        thin = thin + F.relu(rest - thin * rest)
    return thin


def opened(x: Tensor, present: Tensor) -> Tensor:
    return dilated(eroded(x, present), present)


def eroded(x: Tensor, present: Tensor) -> Tensor:
    """The least of an element and its two neighbours along each axis."""
    x = torch.where(present, x, torch.inf)
    least = x
    for axis in _axes(x):
        least = torch.minimum(least, -_largest(-x, axis))
    return torch.where(present, least, 0.0)


def dilated(x: Tensor, present: Tensor) -> Tensor:
    """The largest in the block of 3 elements along each axis."""
    x = torch.where(present, x, -torch.inf)
    for axis in _axes(x):
        x = _largest(x, axis)
    return torch.where(present, x, 0.0)


def _largest(x: Tensor, axis: int) -> Tensor:
    """The largest of an element and its two neighbours along an axis; beyond the edge lies nothing."""
    edge = torch.full_like(x.narrow(axis, 0, 1), -torch.inf)
    last = x.shape[axis] - 1
    before = torch.cat([edge, x.narrow(axis, 0, last)], axis)
    after = torch.cat([x.narrow(axis, 1, last), edge], axis)
    return torch.maximum(torch.maximum(before, x), after)


def _mean_of_cross(x: Tensor) -> Tensor:
    """The mean over an element and its two neighbours along each axis, where beyond the edge lies 0."""
    total, axes = x, _axes(x)
    for axis in axes:
        edge, last = torch.zeros_like(x.narrow(axis, 0, 1)), x.shape[axis] - 1
        total = total + torch.cat([edge, x.narrow(axis, 0, last)], axis)
        total = total + torch.cat([x.narrow(axis, 1, last), edge], axis)
    return total / (1 + 2 * len(axes))


def _stretched(x: Tensor, present: Tensor) -> Tensor:
    space = list(range(2, x.ndim))
    least = torch.where(present, x, torch.inf).amin(space, keepdim=True)
    most = torch.where(present, x, -torch.inf).amax(space, keepdim=True)
    differ = most > least
    least, most = torch.where(differ, least, 0.0), torch.where(differ, most, 1.0)
    return torch.where(present, (x - least) / (most - least), 0.0)
