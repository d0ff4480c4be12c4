"""Training size: fewer patients to learn from."""

from collections.abc import Sequence
from typing import get_args

import numpy as np

from whichloss.core import FieldError, UserError, fraction
from whichloss.core.task import Kind
from whichloss.data.cases import Cases
from whichloss.data.folds import inner

from .stress import Stress, StressCard

LEAST = 2  # patients: an inner split has one on each side


class TrainingSize(Stress):
    """`round(share * n)` of the n training patients remain, with their share of strata and classes, as in folds.

    At least two of them, and as many as it takes to have each class that the training part has.

    The patients are halved, the half that is needed is halved again, and so on, each time as an inner split is drawn:
    so a smaller share is part of a larger one, and every share is stratified.
    """

    share: float = fraction(0.5)  # of the training patients

    card = StressCard(
        title="training size",
        meaning="only this share of the training patients is there to learn from",
        axis="size",
        tasks=get_args(Kind),
        changes="cases",
        unit="share of the training patients",
    )

    def check(self) -> None:
        if not self.share:
            raise FieldError("TrainingSize: share is 0; it must be above 0, and 1 leaves the data as they are")

    @property
    def none(self) -> bool:
        return self.share == 1

    def keep(self, cases: Cases, train: Sequence[int], random: np.random.Generator) -> tuple[int, ...]:
        patients = _patients(cases, train)
        if len(patients) < LEAST:
            raise UserError(f"{self.label}: there is only {len(patients)} training patient; {LEAST} are needed")
        seeds = random.integers(2**31, size=len(patients)).tolist()
        wanted = max(LEAST, round(self.share * len(patients)))
        kept = _first(wanted, cases, train, seeds)
        while _classes(cases, kept) < _classes(cases, train):
            wanted += 1
            kept = _first(wanted, cases, train, seeds)
        return tuple(sorted(kept))


def _first(wanted: int, cases: Cases, train: Sequence[int], seeds: Sequence[int]) -> list[int]:
    """The cases of the first so many patients, in an order that the seeds decide and `wanted` does not.

    seeds: one for each halving within a halving; there cannot be more than there are patients.
    """
    if wanted >= len(_patients(cases, train)):
        return list(train)
    first, second = inner(cases, train, fraction=0.5, seed=seeds[0])
    if len(_classes(cases, second)) > len(_classes(cases, first)):
        first, second = second, first  # so that a class of a single patient comes early
    size = len(_patients(cases, first))
    if wanted <= size:
        return _first(wanted, cases, first, seeds[1:])
    return [*first, *_first(wanted - size, cases, second, seeds[1:])]


def _patients(cases: Cases, index: Sequence[int]) -> set[str]:
    return {cases.groups[i] for i in index}


def _classes(cases: Cases, index: Sequence[int]) -> set[int]:
    """Of cases; masks and quantities have none."""
    return set(cases.labels[list(index)].tolist()) if cases.task.by_image else set()
