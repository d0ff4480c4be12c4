"""Lists: which places in which volumes are candidates, and which lesions are annotated.

LUNA16's files, or yours in the same form, tables with a first row of names: candidates are `seriesuid, coordX, coordY,
coordZ, class` (1: a lesion), annotations `seriesuid, coordX, coordY, coordZ, diameter_mm`. Coordinates are millimetres
in the world (LPS). Optional columns: `candidate` and `lesion`, names within a series; `group` or `patient`; `subgroup`.

The files of TCIA's "CT Lymph Nodes", folders of texts with a point "x y z" in each line, without a first row:

    MED_ABD_LYMPH_CANDIDATES/ABD_LYMPH_001/ABD_LYMPH_001_posCADe_physicalPoints.txt and ..._negCADe_physicalPoints.txt
    MED_ABD_LYMPH_ANNOTATIONS/ABD_LYMPH_001/ABD_LYMPH_001_lymphnodes_physicalPoints.txt and ..._lymphnodes_sizes.txt

A line of sizes has the short axis, or both axes, in mm; the longest counts as the diameter.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import ceil, dist, isfinite
from pathlib import Path

from whichloss.core import UserError

Point = tuple[float, float, float]
SUBGROUPS = {"MED_": "mediastinal", "ABD_": "abdominal"}  # by how TCIA names patients
_SLACK = 0.05  # mm: lists are rounded


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A place that may be a lesion."""

    name: str  # different from all others
    volume: str
    point: Point  # mm, LPS
    positive: bool
    where: str  # in which file and row it stands
    lesion: str = ""
    group: str = ""
    subgroup: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """A lesion that somebody marked."""

    volume: str
    lesion: str
    point: Point
    radius: float  # mm
    named: bool  # by the file; else by its place


@dataclass(frozen=True, kw_only=True)
class Listed:
    """Candidates whose lesions are known, and the lesions that none of them hits, as (volume, lesion)."""

    candidates: list[Candidate]
    missed: tuple[tuple[str, str], ...]


def read_candidates(path: Path) -> list[Candidate]:
    """From a table or a folder; refuses what is there twice."""
    found = list(_lymph_candidates(path) if path.is_dir() else map(_candidate, _rows(path, CANDIDATE_COLUMNS)))
    seen: dict[str, Candidate] = {}
    for one in found:
        if (other := seen.setdefault(one.name, one)) is not one:
            raise UserError(
                f"{one.where}: candidate {one.name!r} is there already, in {other.where}\n"
                "  remedy: leave one out, or tell them apart by names in a column 'candidate'"
            )
    return found


def of_volumes(
    path: Path, candidates: Sequence[Candidate], volumes: Mapping[str, object], leave_out: bool
) -> list[Candidate]:
    """Those whose volumes are there; refuses others, unless they are to be left out, and lists of one class."""
    kept = [one for one in candidates if one.volume in volumes]
    if len(kept) < len(candidates) and not leave_out:
        lost = next(one for one in candidates if one.volume not in volumes)
        close = get_close_matches(lost.volume, volumes, n=1, cutoff=0.8)
        raise UserError(
            f"{lost.where}: no volume is called {lost.volume!r}; there are {len(volumes)}, such as {min(volumes)!r}"
            + (f"; did you mean {close[0]!r}?" if close else "")
            + "\n  remedy: a pattern for volumes= that finds it, or absent='leave out' to go without its candidates"
        )
    fewer = "; or more volumes" if len(kept) < len(candidates) else ""
    for positive, word in ((True, "positive (class 1)"), (False, "negative (class 0)")):
        if not any(one.positive == positive for one in kept):
            raise UserError(
                f"{path}: none of {len(kept)} candidates is {word}; detection is learned from both\n"
                f"  remedy: a list whose class is 1 for lesions and 0 for others{fewer}"
            )
    return kept


def read_annotations(path: Path) -> list[Annotation]:
    found = list(_lymph_annotations(path) if path.is_dir() else map(_annotation, _rows(path, ANNOTATION_COLUMNS)))
    twice = next((key for key, n in Counter((one.volume, one.lesion) for one in found).items() if n > 1), None)
    if twice:
        raise UserError(f"{path}: lesion {twice[1]!r} of {twice[0]!r} is annotated twice; remedy: leave one out")
    return found


# lesions of candidates


def matched(
    candidates: Sequence[Candidate], annotations: Sequence[Annotation], within: float = 0.0, centres: bool = False
) -> Listed:
    """Each positive candidate gets the nearest annotation in whose radius, or `within` mm, it lies.

    Lesions that candidates name need annotations that name them, too. With `centres` the middle of each annotation is a
    candidate as well. Only annotations in volumes of candidates count.
    """
    by_volume = defaultdict(list)
    for one in annotations:
        by_volume[one.volume].append(one)
    known = [_with_lesion(one, by_volume[one.volume], within) if one.positive else one for one in candidates]
    first = {one.volume: one for one in reversed(known)}
    here = [one for one in annotations if one.volume in first]
    if centres:
        known += [_centre(one, first[one.volume]) for one in here]
    hit = {(one.volume, one.lesion) for one in known}
    lesions = ((one.volume, one.lesion) for one in here)
    return Listed(candidates=known, missed=tuple(pair for pair in lesions if pair not in hit))


def _with_lesion(one: Candidate, annotations: Sequence[Annotation], within: float) -> Candidate:
    if one.lesion:
        if not any(other.lesion == one.lesion for other in annotations):
            unnamed = " (they have no column 'lesion')" * any(not other.named for other in annotations)
            raise UserError(f"{one.where}: no annotation of {one.volume!r} is called {one.lesion!r}{unnamed}")
        return one
    far = sorted((dist(one.point, other.point), other.lesion, other.radius) for other in annotations)
    for away, lesion, radius in far:
        if away <= max(radius, within) + _SLACK:
            return replace(one, lesion=lesion)
    if not far:
        tells, remedy = "there is none in its volume", ""
    else:
        away, _, radius = far[0]
        tells = f"the nearest is {away:.1f} mm away, with a radius of {radius:.1f} mm"
        remedy = f"  remedy: within={ceil(10 * away) / 10} takes lesions as hit that are so near\n"
    raise UserError(
        f"{one.where}: this candidate is of class 1 and hits no annotation: {tells}\n"
        f"{remedy}  remedy: name its lesion in a column 'lesion' of both lists"
    )


def _centre(one: Annotation, other: Candidate) -> Candidate:
    return Candidate(
        name=f"{one.volume}/lesion {one.lesion}",
        volume=one.volume,
        point=one.point,
        positive=True,
        where=f"annotation {one.lesion!r} of {one.volume!r}",
        lesion=one.lesion,
        group=other.group,
        subgroup=other.subgroup,
    )


# tables

CANDIDATE_COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "class")
ANNOTATION_COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of a table."""

    where: str
    cells: Mapping[str, str]

    def number(self, column: str, low: float = float("-inf")) -> float:
        try:
            value = float(self.cells[column])
            if isfinite(value) and value >= low:
                return value
        except ValueError:
            pass
        raise UserError(f"{self.where}: {column} is {self.cells[column]!r}; it must be a finite number of millimetres")

    def text(self, *columns: str) -> str:
        return next((cell for column in columns if (cell := self.cells.get(column, ""))), "")

    @property
    def point(self) -> Point:
        return self.number("coordX"), self.number("coordY"), self.number("coordZ")


def _rows(path: Path, needed: Sequence[str]) -> Iterator[Row]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            head = [name.strip() for name in next(lines, [])]
            _refuse_columns(path, head, needed)
            for line in lines:
                where = f"{path}, row {lines.line_num}"
                if len(line) == len(head):
                    cells = dict(zip(head, map(str.strip, line), strict=True))
                    if not cells["seriesuid"]:
                        raise UserError(f"{where}: the seriesuid is empty; it names the volume")
                    yield Row(where=where, cells=cells)
                elif any(map(str.strip, line)):
                    raise UserError(f"{where} has {len(line)} cells; the first row names {len(head)}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a table of comma-separated values: {error}") from error


def _refuse_columns(path: Path, head: Sequence[str], needed: Sequence[str]) -> None:
    if missing := [name for name in needed if name not in head]:
        others = [name for name in head if name not in needed]
        near = [f"{one[0]!r} for {name!r}" for name in missing if (one := get_close_matches(name, others, n=1))]
        raise UserError(
            f"{path} has no column {' and no '.join(map(repr, missing))}; its first row is {','.join(head)!r}"
            + (f"; is {' and '.join(near)} meant?" if near else "")
            + f"\n  remedy: the first row names {','.join(needed)}, as in LUNA16; commas in between"
        )


def _candidate(row: Row) -> Candidate:
    if (kind := row.cells["class"]) not in ("0", "1"):
        raise UserError(f"{row.where}: class is {kind!r}; it must be 1 for a lesion, or 0")
    if (lesion := row.text("lesion")) and kind == "0":
        raise UserError(f"{row.where}: a candidate of class 0 has no lesion, and this has {lesion!r}")
    volume = row.cells["seriesuid"]
    return Candidate(
        name=f"{volume}/{row.text('candidate') or spelled(row.point)}",
        volume=volume,
        point=row.point,
        positive=kind == "1",
        where=row.where,
        lesion=lesion,
        group=row.text("group", "patient") or volume,
        subgroup=row.text("subgroup") or _subgroup(volume),
    )


def _annotation(row: Row) -> Annotation:
    return Annotation(
        volume=row.cells["seriesuid"],
        lesion=row.text("lesion") or spelled(row.point),
        point=row.point,
        radius=row.number("diameter_mm", low=0.0) / 2,
        named=bool(row.text("lesion")),
    )


def spelled(point: Point) -> str:
    """A name made of a place, which stays when other rows come and go."""
    return ",".join(f"{one:.6g}" for one in point)


def _subgroup(volume: str) -> str:
    return next((name for start, name in SUBGROUPS.items() if volume.startswith(start)), "")


# TCIA's lymph nodes


def _lymph_candidates(folder: Path) -> Iterator[Candidate]:
    kinds = {"negCADe": False, "posCADe": True}
    for patient, files in _patients(folder, *(f"_{kind}_physicalPoints.txt" for kind in kinds)):
        for (kind, positive), file in zip(kinds.items(), files, strict=True):
            for number, (where, point) in enumerate(_points(file)):
                yield Candidate(
                    name=f"{patient}/{kind} {number}",
                    volume=patient,
                    point=point,
                    positive=positive,
                    where=where,
                    group=patient,
                    subgroup=_subgroup(patient),
                )


def _lymph_annotations(folder: Path) -> Iterator[Annotation]:
    endings = ("_lymphnodes_physicalPoints.txt", "_lymphnodes_sizes.txt")
    for patient, (places, extents) in _patients(folder, *endings):
        points, sizes = list(_points(places)), list(_lines(extents, 1, 2))
        if len(points) != len(sizes):
            raise UserError(f"{places} has {len(points)} points, {extents.name} has {len(sizes)} sizes")
        for (_, point), (_, size) in zip(points, sizes, strict=True):
            yield Annotation(volume=patient, lesion=spelled(point), point=point, radius=max(size) / 2, named=False)


def _patients(folder: Path, *endings: str) -> Iterator[tuple[str, list[Path]]]:
    patients = sorted(one for one in folder.iterdir() if one.is_dir())
    if not any((one / (one.name + endings[0])).exists() for one in patients):
        raise UserError(
            f"{folder} is a folder, and holds no PATIENT/PATIENT{endings[0]} as TCIA's lymph nodes do\n"
            "  remedy: name a table (.csv)"
        )
    for one in patients:
        files = [one / (one.name + ending) for ending in endings]
        if gone := next((file for file in files if not file.exists()), None):
            raise UserError(f"there is no {gone}")
        yield one.name, files


def _points(file: Path) -> Iterator[tuple[str, Point]]:
    return ((where, (x, y, z)) for where, (x, y, z) in _lines(file, 3, 3))


def _lines(file: Path, least: int, most: int) -> Iterator[tuple[str, list[float]]]:
    """Where each line that is not empty stands, and its numbers."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{file}, row {number}"
        try:
            values = [float(one) for one in line.split()]
        except ValueError:
            values = []
        if not least <= len(values) <= most or not all(map(isfinite, values)):
            wanted = "3 numbers, x y z in millimetres" if most == 3 else "the size in millimetres, or two of them"
            raise UserError(f"{where}: {line.strip()!r}; a line has {wanted}")
        yield where, values
