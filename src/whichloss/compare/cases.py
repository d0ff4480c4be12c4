"""A list of all cases: which fold each was tested in, and which patient it is of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from whichloss.compare.lines import Line, column_of, header_of, lines_of, open_text
from whichloss.compare.names import some
from whichloss.compare.place import number_in
from whichloss.compare.score import Score
from whichloss.compare.tidy import NAMES
from whichloss.stats import TableError


@dataclass(frozen=True)
class Cases:
    """What a list says of each case."""

    path: Path
    folds: Mapping[str, int | None]  # every case is a key; None: the list does not say
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_folds(self) -> bool:
        return any(fold is not None for fold in self.folds.values())

    def patients(self, cases: Iterable[str]) -> frozenset[str]:
        """Of these cases; a case without a group is a patient by itself."""
        return frozenset(self.groups.get(case, case) for case in cases)

    def place(self, score: Score) -> Score:
        """The score with its fold and patient. Raises TableError where the list and the score disagree."""
        if not score.case:
            return score
        if score.case not in self.folds:
            raise TableError(f"{score.origin}: the case {score.case!r} is not in {self.path}; list every case there")
        fold = self.folds[score.case]
        if None not in (fold, score.fold) and fold != score.fold:
            raise TableError(
                f"{score.origin}: the case {score.case!r} was tested in fold {score.fold}, and {self.path} says {fold};"
                " put one of them right"
            )
        group = self.groups.get(score.case, "")
        if score.group and group and score.group != group:
            raise TableError(f"{score.origin}: {score.case!r} is of {score.group!r}, and {self.path} says {group!r}")
        return score._replace(fold=fold if score.fold is None else score.fold, group=score.group or group)


def read(path: Path) -> Cases:
    """A CSV file with a column `case` (or `id`, `seriesuid`), and `fold` and `group` (or `patient`) where known.

    MIST's train_paths.csv is one; so is a bare list of names, one to a line, such as LUNA16's seriesuids.csv.
    """
    header = header_of(path)
    name = column_of(header, *NAMES["case"], "seriesuid")
    if name is None and len(header) == 1:
        return _bare(path)
    if name is None:
        raise TableError(f"{path}, line 1: no column case (or id, seriesuid); came: {','.join(header) or 'nothing'}")
    group, fold = column_of(header, *NAMES["group"]), column_of(header, "fold")
    lines = lines_of(path)
    _once(path, [line.text(name) for line in lines])
    return Cases(
        path,
        {line.text(name): _fold(line, fold) for line in lines},
        {line.text(name): line.text(group) for line in lines if line.text(group)},
    )


def _bare(path: Path) -> Cases:
    with open_text(path) as file:
        names = [line.strip() for line in file if line.strip()]
    _once(path, names)
    return Cases(path, dict.fromkeys(names))


def _once(path: Path, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise TableError(f"{path}: {some([repr(name) for name in twice])} stands there more than once; keep one line")


def _fold(line: Line, column: str | None) -> int | None:
    if column is None:
        return None
    number = number_in(line.text(column), "fold")
    if number is None:
        raise line.wrong(column, "write a whole number such as 0")
    return number
