"""Detections against annotations: which lesion each mark finds, by the rules of LUNA16."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from whichloss.core import UserError
from whichloss.metrics.detection.froc import COUNTS, Froc, known

UNKNOWN_DIAMETER = 10.0  # mm


@dataclass(frozen=True, eq=False)
class Marks:
    """D detections."""

    volume: Sequence  # (D,): the name or number of the volume of each
    centre: Any  # (D, 3), mm
    score: Any  # (D,)


@dataclass(frozen=True, eq=False)
class Spheres:
    """A annotations, or other findings."""

    volume: Sequence  # (A,)
    centre: Any  # (A, 3), mm
    diameter: Any  # (A,), mm; below 0: unknown, taken for 10 mm


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """What D detections find among A lesions."""

    score: Tensor  # (D,), float64
    hits: Tensor  # (P, 2): detection and lesion of each pair in which one hits the other
    ignored: Tensor  # (D,), bool: hits no lesion, but an irrelevant finding
    lesions: int  # A
    named: int  # volumes in which something is detected or annotated

    @property
    def false(self) -> Tensor:
        """(D,), bool: hits nothing at all."""
        return ~self.ignored.index_fill(0, self.hits[:, 0], True)

    @property
    def missed(self) -> Tensor:
        """Which lesions no detection hits, ascending."""
        return torch.ones(self.lesions).index_fill(0, self.hits[:, 1], 0).nonzero().flatten()

    def froc(self, *, volumes: int, count: str = "lesion") -> Froc:
        """The curve; volumes: all that were searched, with those in which nothing was detected. count: see Froc.of."""
        if volumes < self.named:
            raise UserError(f"{volumes} volumes; but detections and lesions are in {self.named}")
        detection, lesion = self.hits.T
        if known(count, COUNTS) == "candidate":  # one that hits two lesions is one candidate
            detection = lesion = detection.unique()
        return Froc.judged(
            self.score[detection],
            lesion,
            self.score[self.false],
            volumes=volumes,
            missed=len(self.missed) if count == "lesion" else 0,
            candidates=int((~self.ignored).sum()),
        )


def match(marks: Marks, lesions: Spheres, irrelevant: Spheres | None = None) -> Matches:
    """Which lesions are hit, as LUNA16 counts (Setio et al. 2017).

    A detection hits what it is closer to than the radius: $|x - c| < d/2$. The highest score of its hits counts for a
    lesion; its other hits are neither true nor false, and one detection may hit two lesions. A detection that hits no
    lesion but an irrelevant finding (too small, or marked by too few readers) is ignored; all others are false
    positives.

    >>> marks = Marks(["a", "a", "b"], [[0.0, 0, 1], [9, 0, 0], [0, 0, 0]], [0.9, 0.8, 0.3])
    >>> found = match(marks, Spheres(["a", "b"], [[0.0, 0, 0], [5, 0, 0]], [4.0, 6.0]))
    >>> found.hits.tolist(), found.false.tolist(), found.missed.tolist()
    ([[0, 0]], [False, True, True], [1])
    >>> found.froc(volumes=2).sensitivity_at(1)
    0.5
    """
    score = _real(marks.score)
    hits = _hits(marks, lesions)
    ignored = torch.zeros(len(score), dtype=torch.bool)
    if irrelevant is not None:
        ignored = ignored.index_fill(0, _hits(marks, irrelevant)[:, 0], True).index_fill(0, hits[:, 0], False)
    names = {*_names(marks.volume), *_names(lesions.volume)}
    return Matches(score=score, hits=hits, ignored=ignored, lesions=len(lesions.volume), named=len(names))


def _hits(marks: Marks, spheres: Spheres) -> Tensor:
    """Pairs of a detection and the sphere it is in, (P, 2), volume by volume."""
    centre, middle = (_real(one).reshape(-1, 3) for one in (marks.centre, spheres.centre))
    diameter = _real(spheres.diameter)
    radius = torch.where(diameter < 0, UNKNOWN_DIAMETER, diameter) / 2
    here, there = _by_volume(marks.volume), _by_volume(spheres.volume)
    pairs = [torch.empty(0, 2, dtype=torch.long)]
    for volume in here.keys() & there.keys():
        i, j = here[volume], there[volume]
        distance2 = (centre[i].unsqueeze(1) - middle[j]).square().sum(2)
        near = (distance2 < radius[j].square()).nonzero()
        pairs.append(torch.stack([i[near[:, 0]], j[near[:, 1]]], 1))
    return torch.cat(pairs).unique(dim=0)


def _real(values: Any) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def _by_volume(volumes: Sequence) -> dict[Any, Tensor]:
    """The places of each volume."""
    places: dict[Any, list[int]] = {}
    for place, name in enumerate(_names(volumes)):
        places.setdefault(name, []).append(place)
    return {name: torch.tensor(at) for name, at in places.items()}


def _names(volumes: Any) -> list:
    return volumes.tolist() if hasattr(volumes, "tolist") else list(volumes)
