"""Lists of scored candidates as LUNA16 and its followers have them, scored here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from whichloss.compare.cases import Cases
from whichloss.compare.froc import Froc, Spheres, froc
from whichloss.compare.lines import Line, column_of, lines_of
from whichloss.compare.names import some
from whichloss.compare.score import Score
from whichloss.stats import TableError

SCAN, CENTRE, SCORE, DIAMETER = "seriesuid", ("coordX", "coordY", "coordZ"), "probability", "diameter_mm"
FROC_AREA, CPM = "FROC area", "CPM"


@dataclass(frozen=True)
class Reference:
    """What candidates are held against."""

    annotations: Path
    excluded: Path | None
    cases: Cases  # all scans that were searched

    @cached_property
    def lesions(self) -> list[Line]:
        return _checked(self.annotations, DIAMETER)

    @cached_property
    def irrelevant(self) -> list[Line]:
        return _checked(self.excluded, DIAMETER) if self.excluded is not None else []


def is_luna16(header: Sequence[str]) -> bool:
    return all(column_of(header, name.lower()) for name in (SCAN, *CENTRE, SCORE))


def read(path: Path, loss: str, fold: int | None, seed: int, reference: Reference | None) -> list[Score]:
    """The FROC area up to 10 false positives per scan and the CPM of each fold.

        seriesuid,coordX,coordY,coordZ,probability                       candidates, in mm
        seriesuid,coordX,coordY,coordZ,diameter_mm                       annotations; the excluded findings alike

    All scans that were searched must be listed: false positives are counted per scan, and a scan in which nothing was
    found is in no other file. Their column `fold` divides a list that holds all folds; a list of one fold
    (fold_0/candidates.csv) needs it to know which annotations are its own. Annotations in other scans are left out.
    Every candidate counts: LUNA16's script keeps the 100 highest of a scan.
    """
    if reference is None:
        raise TableError(
            f"{path}: is a list of candidates, which is scored against annotations per scan; add\n"
            f"  --annotations FILE  {SCAN},{','.join(CENTRE)},{DIAMETER}: the lesions\n"
            f"  --cases FILE        {SCAN},fold: all scans that were searched, those without candidates too"
        )
    cases, candidates = reference.cases, _checked(path, SCORE)
    if fold is not None and not cases.has_folds:
        raise TableError(
            f"{path}: is of fold {fold}, and {cases.path} does not say which scans are; add a column fold there"
        )
    folds = {scan: at or 0 for scan, at in cases.folds.items()}
    for line in candidates:
        _check_scan(line, folds, fold, cases)
    return [
        score
        for at in ([fold] if fold is not None else sorted(set(folds.values())))
        for score in _scores(path, loss, at, seed, reference, candidates, {s for s in folds if folds[s] == at})
    ]


def _scores(
    path: Path, loss: str, fold: int, seed: int, reference: Reference, candidates: Sequence[Line], scans: set[str]
) -> list[Score]:
    """Of one fold."""
    origin = f"{path}, fold {fold}"
    if not scans:
        raise TableError(f"{origin}: no scan of {reference.cases.path} is in this fold")
    lesions = _spheres(reference.lesions, scans, DIAMETER)
    if not lesions.scan:
        raise TableError(f"{origin}: no lesion of {reference.annotations} is in its {len(scans)} scans")
    marks, others = _spheres(candidates, scans, SCORE), _spheres(reference.irrelevant, scans, DIAMETER)
    curve: Froc = froc(marks, lesions, others, len(scans))
    return [
        Score(
            loss=loss, metric=metric, value=value, origin=origin, fold=fold, seed=seed, higher_is_better=True,
            tested=reference.cases.patients(scans),
        )
        for metric, value in ((FROC_AREA, curve.area()), (CPM, curve.cpm()))
    ]  # fmt: skip


def _checked(path: Path, last: str) -> list[Line]:
    """The lines, each with the columns as we spell them."""
    lines = lines_of(path)
    found = {name: column_of(lines[0].fields, name.lower()) for name in (SCAN, *CENTRE, last)}
    missing = [name for name, column in found.items() if column is None]
    if missing:
        raise TableError(
            f"{path}, line 1: no column {', '.join(missing)}\n  came: {','.join(lines[0].fields)}\n"
            f"  fits: {','.join(found)}"
        )
    return [
        Line(path, line.number, {name: line.fields[column] for name, column in found.items() if column})
        for line in lines
    ]


def _check_scan(line: Line, folds: dict[str, int], fold: int | None, cases: Cases) -> None:
    scan = line.text(SCAN)
    if scan not in folds:
        raise line.wrong(SCAN, f"{cases.path} has no such scan; it lists {some(list(folds))}")
    if fold is not None and folds[scan] != fold:
        raise line.wrong(SCAN, f"a candidate in the file of fold {fold}; {cases.path} has this scan in {folds[scan]}")


def _spheres(lines: Iterable[Line], scans: set[str], size: str) -> Spheres:
    chosen = [line for line in lines if line.text(SCAN) in scans]
    centre = np.array([[line.finite(axis) for axis in CENTRE] for line in chosen], dtype=float)
    return Spheres(
        [line.text(SCAN) for line in chosen],
        centre.reshape(-1, 3),
        np.array([line.finite(size) for line in chosen], dtype=float),
    )
