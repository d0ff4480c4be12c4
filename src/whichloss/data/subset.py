"""Some of the cases of a data set: for a first look, or for a budget."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.random import default_rng

from whichloss.core import FieldError, UserError, count, inner

from .cases import Cases
from .dataset import DataSet
from .files import FileSet
from .find import Root
from .folds import share_of


class Subset(DataSet):
    """About `cases` of the cases, whole groups, with their share of classes, strata and sides.

    The same seed gives the same cases; the smaller of two subsets of one seed need not be part of the larger. Of a data
    set of files no others are read.
    """

    data: DataSet = inner(lambda: DataSet, says="a data set, such as Folder('cells')")
    cases: int = count(low=2)
    seed: int = count(0, low=0)

    @classmethod
    def examples(cls) -> list[Self]:
        from .class_folders import ClassFolders
        from .nodules import Nodules

        return [cls(Nodules(cases=40), cases=20), cls(ClassFolders(path="kinds"), cases=6)]

    def check(self) -> None:
        if isinstance(self.data, Subset):
            raise FieldError("Subset: of a subset; say once how many cases are wanted")

    def load(self, root: Root = None) -> Cases:
        if isinstance(self.data, FileSet):
            data = self.data
            entries = data.entries(root)
            facts = [(one.label if isinstance(one.label, str) else "", one.stratum, one.side) for one in entries]
            chosen = self._chosen([one.group or data.patient(one.id) for one in entries], facts)
            return data.cases([entries[at] for at in chosen])
        cases = self.data.load(root)
        labels = map(str, cases.labels.tolist()) if cases.task.by_image else [""] * len(cases)
        strata, sides = cases.strata or [""] * len(cases), cases.sides or [""] * len(cases)
        chosen = self._chosen(cases.groups, list(zip(labels, strata, sides, strict=True)))
        return replace(cases.subset(chosen.tolist()), part=False)

    def _chosen(self, groups: Sequence[str], facts: Sequence[tuple[str, ...]]) -> np.ndarray:
        if self.cases >= len(groups):
            raise UserError(f"Subset: {self.cases} cases of {len(groups)} are not fewer; leave out Subset")
        return share_of(groups, facts, self.cases / len(groups), default_rng(self.seed))
