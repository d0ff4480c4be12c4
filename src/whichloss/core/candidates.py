"""Candidates: what detection is judged by: which candidate a case shows, in which volume, of which lesion."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

ANSWER, CANDIDATE, VOLUME, LESION = range(4)  # the columns of `truth`
NONE = -1  # of no lesion; of no candidate


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """For each case, a view of one candidate, the names of candidate, volume and lesion; and what no candidate hits.

    Views of one candidate have the same volume, lesion and label. Several candidates may hit one lesion.
    """

    candidate: tuple[str, ...]
    volume: tuple[str, ...]
    lesion: tuple[str, ...]  # "": none
    missed: tuple[tuple[str, str], ...] = ()  # volume and name of each lesion that no candidate hits

    def __post_init__(self) -> None:
        if not len(self.candidate) == len(self.volume) == len(self.lesion):
            raise ValueError(
                f"{len(self.candidate)} candidates, {len(self.volume)} volumes, {len(self.lesion)} lesions"
            )
        seen: dict[str, tuple[str, str]] = {}
        for name, volume, lesion in zip(self.candidate, self.volume, self.lesion, strict=True):
            if seen.setdefault(name, (volume, lesion)) != (volume, lesion):
                raise ValueError(f"views of candidate {name!r} are of two volumes or two lesions")

    def subset(self, at: Sequence[int]) -> "Candidates":
        """Of these cases; what was missed stays with its volume."""
        volumes = {self.volume[i] for i in at}
        return Candidates(
            candidate=tuple(self.candidate[i] for i in at),
            volume=tuple(self.volume[i] for i in at),
            lesion=tuple(self.lesion[i] for i in at),
            missed=tuple(one for one in self.missed if one[0] in volumes),
        )

    def __add__(self, other: "Candidates") -> "Candidates":
        return Candidates(
            candidate=self.candidate + other.candidate,
            volume=self.volume + other.volume,
            lesion=self.lesion + other.lesion,
            missed=self.missed + other.missed,
        )

    @cached_property
    def numbers(self) -> Tensor:
        """Which candidate each case is a view of, (N,): 0, 1, ... in the order in which they come."""
        return _numbered(self.candidate)

    def truth(self, answers: Tensor, at: Sequence[int]) -> Tensor:
        """What metrics compare answers with, (n + m, 4), integers: answer, candidate, volume and lesion.

        A row for each of the n cases `at`, then one for each of the m missed lesions of their volumes, with candidate
        -1. answers: (N,), the label of each case, as far as it is known: where it says that a lesion is none, the row
        has none; where it says that there is one and no name is known, the candidate is a lesion of its own.
        """
        here = self.subset(at)
        named = [(*pair,) for pair in zip(here.volume, here.lesion, strict=True)]
        said = answers[list(at)].tolist()
        lesions = [
            NO_LESION if not yes else (volume, lesion) if lesion else (volume, "", candidate)
            for yes, (volume, lesion), candidate in zip(said, named, here.candidate, strict=True)
        ]
        rows = torch.stack(
            [
                torch.tensor(said + [1] * len(here.missed), dtype=torch.long),
                torch.cat([_numbered(here.candidate), torch.full((len(here.missed),), NONE)]),
                _numbered([*here.volume, *(volume for volume, _ in here.missed)]),
                _numbered([*lesions, *here.missed], none=NO_LESION),
            ],
            1,
        )
        return rows


NO_LESION = ()


def _numbered(names: Sequence, none: object = None) -> Tensor:
    """0, 1, ... in the order in which names come; -1 for the name that is none."""
    numbers: dict = {} if none is None else {none: NONE}
    first = len(numbers)
    return torch.tensor([numbers.setdefault(name, len(numbers) - first) for name in names], dtype=torch.long)
