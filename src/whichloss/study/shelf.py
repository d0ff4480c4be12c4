"""Shelf: the cases of data sets, loaded once, and of draws, loaded when they are needed."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from whichloss.core import Task, UserError
from whichloss.data import Cases, DataSet

from .study import Design

_DRAWS = 4  # kept at a time; a study may have twenty, and a worker goes through them in order


class Wanted(Protocol):
    """What a run says about its cases."""

    @property
    def data(self) -> DataSet: ...

    @property
    def draw(self) -> int | None: ...


class Shelf:
    """Cases by data set and draw."""

    def __init__(self, roots: Sequence[Path] = ()) -> None:
        self.roots = list(roots)
        self._whole: dict[DataSet, Cases] = {}
        self._drawn: OrderedDict[tuple[DataSet, int], Cases] = OrderedDict()

    def cases(self, data: DataSet, draw: int | None = None) -> Cases:
        """Raises UserError that names the data."""
        if draw is None:
            if data not in self._whole:
                self._whole[data] = _named(data, lambda: data.load(self.roots))
            return self._whole[data]
        if (data, draw) not in self._drawn:
            self._drawn[data, draw] = _named(data, lambda: data.load_draw(draw))
            if len(self._drawn) > _DRAWS:
                self._drawn.popitem(last=False)
        self._drawn.move_to_end((data, draw))
        return self._drawn[data, draw]

    def of(self, run: Wanted) -> Cases:
        return self.cases(run.data, run.draw)

    def task(self, data: DataSet, design: Design) -> Task:
        return self.cases(data, None if design.draws is None else 0).task

    def digest(self, data: DataSet, design: Design) -> str:
        """Of the content; a generator's draws are what its expression and version say."""
        return "" if design.draws is not None else self.cases(data).digest


def _named(data: DataSet, load: Callable[[], Cases]) -> Cases:
    try:
        return load()
    except UserError as error:
        raise UserError(f"{data.label}: {error}") from None
