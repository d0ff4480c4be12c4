"""What the command names: files, the loss that each is of, and the form in which it is written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from whichloss.compare import luna16, mist, nnunet, tidy
from whichloss.compare.lines import column_of, digest, header_of
from whichloss.compare.place import number_on
from whichloss.compare.score import Score
from whichloss.stats import COLUMNS, TableError

OWN = "results of whichloss"
TIDY_ALONE = ("fold", "seed", "value", "metric", *tidy.NAMES["loss"])


@dataclass(frozen=True)
class Source:
    """One file, read."""

    path: Path
    loss: str  # "": the table says
    form: str
    sha256: str
    scores: tuple[Score, ...]


def read(tables: Iterable[str], reference: luna16.Reference | None = None) -> list[Source]:
    """Every file that the arguments name: FILE, or NAME=FILE, where FILE may hold * and **.

    Raises TableError where nothing fits, and for a file that is named twice.
    """
    sources = [_read(path, loss, reference) for table in tables for loss, path in _named(table)]
    for at, source in enumerate(sources):
        if any(source.path.samefile(other.path) for other in sources[:at]):
            raise TableError(f"{source.path} is named twice; give each file once")
    return sources


def _named(table: str) -> list[tuple[str, Path]]:
    """(name of the loss, file) of everything that an argument names."""
    loss, pattern = ("", table) if Path(table).is_file() else split(table)
    found = [Path(one) for one in sorted(glob(pattern, recursive=True))]
    files = [one for one in found if one.is_file()] or [one for one in (Path(pattern),) if one.is_file()]
    if not files:
        raise TableError(
            f"{table}: no such file\n"
            "  fits: scores.csv, or NAME=FILE for files of one loss: dice='runs/dice/fold_*/validation/summary.json'"
        )
    return [(loss, file) for file in files]


def split(table: str) -> tuple[str, str]:
    """NAME and FILE: apart at the first = outside brackets, since the name may be an expression.

    >>> split("Tversky(fp=0.3, fn=0.7)=runs/fold_*/summary.json")
    ('Tversky(fp=0.3, fn=0.7)', 'runs/fold_*/summary.json')
    >>> split("scores.csv")
    ('', 'scores.csv')
    """
    depth = 0
    for at, mark in enumerate(table):
        depth += (mark == "(") - (mark == ")")
        if mark == "=" and depth == 0:
            return table[:at].strip(), table[at + 1 :]
    return "", table


def _read(path: Path, loss: str, reference: luna16.Reference | None) -> Source:
    fold, seed = number_on(path, "fold"), number_on(path, "seed") or 0
    form = _form(path)
    if form in ("tidy", OWN):
        scores = tidy.read(path, loss, fold, seed)
    elif not loss:
        raise TableError(f"{path}: is of the form {form}, which does not name the loss; write NAME={path}")
    elif form == "nnU-Net":
        scores = nnunet.read(path, loss, fold, seed)
    elif form == "LUNA16":
        scores = luna16.read(path, loss, fold, seed, reference)
    else:
        scores = mist.read(path, loss, fold, seed)
    return Source(path, loss, form, digest(path), tuple(scores))


def _form(path: Path) -> str:
    """By what is in the file."""
    if path.suffix.lower() == ".json":
        return "nnU-Net"
    header = header_of(path)
    if luna16.is_luna16(header):
        return "LUNA16"
    if mist.is_mist(header) and column_of(header, *TIDY_ALONE) is None:
        return "MIST"
    return OWN if _is_own(header) else "tidy"


def _is_own(header: Sequence[str]) -> bool:
    return set(COLUMNS) <= set(header)
