"""Embeddings as points: their distances, their triplets, and how similar each is to the others."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..lift import Lift
from ..question import Batch, Points, points

ALL = slice(None)


class Compared(NamedTuple):
    """What an embedding formula sees.

    seen:  the arguments of the formula, each (M, Q): Q comparisons of each of the M cases, or of some of them.
    share: (M, Q), the say of each; 0 where there is nothing to compare.
    """

    seen: tuple[Tensor, ...]
    share: Tensor


@dataclass(frozen=True)
class PointLift(Lift):
    """A lift of embeddings, which may first be brought to length 1. Each case is compared with all by itself."""

    normalize: bool = True

    def __call__(self, batch: Batch) -> Compared:
        return self.compare(self.points(batch), ALL)

    @abstractmethod
    def compare(self, cases: Points, rows: slice) -> Compared:
        """Some of the cases with all."""

    def comparisons(self, labels: Tensor) -> int:
        """How many numbers are made on the way for each case, at most."""
        return labels.numel()

    def points(self, batch: Batch) -> Points:
        cases = points(batch)
        return cases._replace(embeddings=unit(cases.embeddings)) if self.normalize else cases


@dataclass(frozen=True)
class Pairs(PointLift):
    """The distance of each case to each other, and whether both are of one class (1) or not (0)."""

    def compare(self, cases: Points, rows: slice) -> Compared:
        share = (cases.weight[rows].unsqueeze(1) * cases.weight).masked_fill(_self(cases, rows), 0.0)
        return Compared((_distances(cases, rows), _same(cases, rows).to(share)), share)


@dataclass(frozen=True)
class Triplets(PointLift):
    """For anchors: how much farther a case of the same class is than a case of another.

    hardest    the farthest of the same class and the nearest of another: one triplet an anchor
    all        every triplet of the batch; memory grows with its size squared times that of its largest class
    violating  those of all triplets in which the other case is not farther by `margin`
    """

    mining: str = "hardest"
    margin: float = 0.0  # only for "violating"

    def compare(self, cases: Points, rows: slice) -> Compared:
        weight = cases.weight[rows]
        distance = _distances(cases, rows)
        friends, others = _friends_and_strangers(cases, rows)
        if self.mining == "hardest" and len(distance):  # the farthest of none is an error
            farthest = distance.masked_fill(~friends, -torch.inf).amax(1)
            nearest = distance.masked_fill(~others, torch.inf).amin(1)
            has_both = friends.any(1) & others.any(1)
            gap = torch.where(has_both, farthest, 0.0) - torch.where(has_both, nearest, 0.0)
            return Compared((gap.unsqueeze(1),), (weight * has_both).unsqueeze(1))
        farther = distance
        friends, others = friends * cases.weight, others * cases.weight
        if not torch.compiler.is_compiling() and friends.numel():  # which wants to know sizes beforehand
            mates = _same(cases, rows) & ~_self(cases, rows)  # by labels alone, which torch.func does not map over
            most = int(mates.sum(1).amax())
            first = mates.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :most]
            farther, friends = distance.gather(1, first), friends.gather(1, first)
        gap = farther.unsqueeze(2) - distance.unsqueeze(1)  # anchor, friend, other
        share = weight[:, None, None] * friends.unsqueeze(2) * others.unsqueeze(1)
        if self.mining == "violating":
            share = torch.where(gap.detach() > -self.margin, share, 0.0)
        return Compared((gap.flatten(1),), share.flatten(1))

    def comparisons(self, labels: Tensor) -> int:
        friends = (
            1 if self.mining == "hardest" or not labels.numel() else int(labels.unique(return_counts=True)[1].max())
        )
        return labels.numel() * friends


@dataclass(frozen=True)
class Similarities(PointLift):
    """The log-probability of each other case under a softmax of similarities, and its share among those of the class.

    similarity: the inner product over a temperature, which is the cosine over it where embeddings have length 1.
    """

    temperature: float = 0.1

    def compare(self, cases: Points, rows: slice) -> Compared:
        others = ~_self(cases, rows) & (cases.weight > 0)
        similarity = (_similarities(cases, rows) / self.temperature).masked_fill(~others, -torch.inf)
        similarity = torch.where(others.any(1, keepdim=True), similarity, 0.0)  # alone: no softmax of nothing
        friends = (_same(cases, rows) & others) * cases.weight
        total = friends.sum(1, keepdim=True)
        share = cases.weight[rows].unsqueeze(1) * friends / torch.where(total > 0, total, 1.0)
        log_p = similarity.log_softmax(1)
        return Compared((torch.where(share > 0, log_p, -1.0),), share)


@dataclass(frozen=True)
class PositivePairs(PointLift):
    """The log-probability of each other case of one's class, among itself and all cases of other classes.

    Every ordered pair of one class is a comparison, and the others of the class are no rivals of it.
    """

    temperature: float = 0.1

    def compare(self, cases: Points, rows: slice) -> Compared:
        friends, strangers = _friends_and_strangers(cases, rows)
        similarity = _similarities(cases, rows) / self.temperature
        log_p = F.logsigmoid(similarity - _logsumexp(similarity, strangers))
        share = friends * strangers.any(1, keepdim=True) * cases.weight[rows].unsqueeze(1) * cases.weight
        return Compared((torch.where(share > 0, log_p, -1.0),), share)


@dataclass(frozen=True)
class Crowds(PointLift):
    """For each case, how far the others of its class are below a similarity, and those of other classes above it.

    Each of the two is a log-sum of exponentials, of as many terms as there are cases; -inf where there are none.
    """

    friends: float = 2.0  # what a lack of similarity is multiplied by
    strangers: float = 50.0  # and what an excess is
    threshold: float = 0.5

    def compare(self, cases: Points, rows: slice) -> Compared:
        excess = _similarities(cases, rows) - self.threshold
        friends, strangers = _friends_and_strangers(cases, rows)
        missing, crowding = _logsumexp(-self.friends * excess, friends), _logsumexp(self.strangers * excess, strangers)
        compared = (friends | strangers).any(1, keepdim=True)
        return Compared((missing, crowding), compared * cases.weight[rows].unsqueeze(1))


def unit(x: Tensor) -> Tensor:
    """Vectors along axis 1, brought to length 1."""
    size = x.detach().abs().amax(1, keepdim=True)
    away = size > 1e-12  # a point at the origin has no direction, and no slope
    x = x / torch.where(away, size, 1.0)  # or squares of 1e20 would be infinite in float32
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return torch.where(away, x / torch.where(away, length, 1.0), 0.0)


def _distances(cases: Points, rows: slice) -> Tensor:
    # differences, not products: |a|^2 + |b|^2 - 2ab would lose small distances to cancellation. It has no second
    # derivative; differences written out would, and take as much memory again for every dimension.
    return torch.cdist(cases.embeddings[rows], cases.embeddings, compute_mode="donot_use_mm_for_euclid_dist")


def _similarities(cases: Points, rows: slice) -> Tensor:
    with torch.autocast(cases.embeddings.device.type, enabled=False):  # it would round similarities to 0.004
        return cases.embeddings[rows] @ cases.embeddings.T


def _logsumexp(x: Tensor, chosen: Tensor) -> Tensor:
    """Along axis 1, of what is chosen; -inf, without a slope, where nothing is."""
    some = chosen.any(1, keepdim=True)
    found = torch.where(some, x.masked_fill(~chosen, -torch.inf), 0.0).logsumexp(1, keepdim=True)
    return torch.where(some, found, -torch.inf)


def _friends_and_strangers(cases: Points, rows: slice) -> tuple[Tensor, Tensor]:
    """Which others, of those that have a say, are of a case's class, and which are not."""
    same, said = _same(cases, rows), cases.weight > 0
    return same & ~_self(cases, rows) & said, ~same & said


def _same(cases: Points, rows: slice) -> Tensor:
    return cases.labels[rows].unsqueeze(1) == cases.labels


def _self(cases: Points, rows: slice) -> Tensor:
    index = torch.arange(len(cases.labels), device=cases.labels.device)
    return index[rows].unsqueeze(1) == index
