"""A row for each score: tables written by hand or by a script, and whichloss's own results.csv."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from whichloss.compare.lines import NOTHING, Line, column_of, lines_of
from whichloss.compare.place import number_in
from whichloss.compare.score import Score
from whichloss.stats import TableError
from whichloss.stats.table import SPLITS

NAMES = {  # what a column says: the names that it may bear, the first that is there
    "loss": ("loss", "method", "model"),
    "value": ("value", "score"),
    "metric": ("metric", "measure"),
    "fold": ("fold",),
    "seed": ("seed",),
    "case": ("case", "case_id", "id", "image"),
    "group": ("group", "patient", "patient_id"),
    "part": ("structure",),
    "data": ("data", "dataset"),
    "network": ("network",),
    "stress": ("stress",),
    "split": ("split",),
    "unit": ("unit",),
    "n_train": ("n_train",),
    "n_test": ("n_test",),
    "higher_is_better": ("higher_is_better",),
    "run": ("run",),
    "study": ("study",),
    "nothing": ("", "unnamed: 0", "index"),  # the row numbers that pandas writes
}
YES, NO = {"true", "yes", "1", "1.0"}, {"false", "no", "0", "0.0"}


class Outside(NamedTuple):
    """What the command and the path say of a file, where its columns do not."""

    loss: str
    fold: int | None
    seed: int


def read(path: Path, loss: str = "", fold: int | None = None, seed: int = 0) -> list[Score]:
    """The scores of a CSV file, one or more to a row.

    Needed: `loss` (or `method`, `model`), unless the name is given from outside, and either `value`, with the name of
    the metric in `metric` ("score" where there is none), or a column of numbers for each metric. Read where they are:
    `fold`, `seed`, `case` (or `id`), `group` (or `patient`), `structure` (of several: a run's score is the mean over
    them), `data`, `network`, `stress`, `split`, `unit`, `n_train`, `n_test`, `higher_is_better`. A row without a case
    is the score of a whole test fold, and if its value is empty its run failed; on a case an empty value, or NaN, is
    an undefined one. fold, seed: of the file, where it has no such column.

    Raises TableError, with file, line, column and remedy.
    """
    lines = lines_of(path)
    header = list(lines[0].fields)
    columns = {what: column_of(header, *names) for what, names in NAMES.items()}
    if loss and columns["loss"] is not None:
        raise TableError(
            f"{path} has a column {columns['loss']!r}, and the command calls it {loss!r}; give the file alone"
        )
    if not loss and columns["loss"] is None:
        raise TableError(
            f"{path}, line 1: no column loss\n  came: {','.join(header)}\n"
            "  fits: loss,fold,seed,metric,value (see docs/compare.md), or NAME=FILE for the file of one loss"
        )
    measured = {columns["value"]: ""} if columns["value"] else _metrics(lines, columns)
    return [
        _score(line, columns, column, name, Outside(loss, fold, seed))
        for line in lines
        for column, name in measured.items()
    ]


def _metrics(lines: Sequence[Line], columns: dict[str, str | None]) -> dict[str, str]:
    """A column for each metric: those that hold numbers and mean nothing else. Texts are left out."""
    known = set(columns.values())
    found = {column: column for column in lines[0].fields if column not in known and _numbers(lines, column)}
    if not found:
        raise TableError(
            f"{lines[0].path}, line 1: no column value, and no column of numbers that could be a metric\n"
            f"  came: {','.join(lines[0].fields)}\n  fits: loss,fold,seed,metric,value or loss,fold,seed,dice,hd95"
        )
    return found


def _numbers(lines: Sequence[Line], column: str) -> bool:
    """Whether a column holds numbers; raises TableError where it holds some numbers and some texts."""
    filled = [line for line in lines if line.text(column).lower() not in NOTHING]
    texts = [line for line in filled if not _is_number(line.text(column))]
    if texts and len(texts) < len(filled):
        texts[0].number_of(column)
    return bool(filled) and not texts


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _score(line: Line, columns: dict[str, str | None], column: str, name: str, outside: Outside) -> Score:
    def text(what: str) -> str:
        return line.text(columns[what])

    def needed(what: str) -> str:
        said = columns[what]
        if said is not None and not text(what):
            raise line.wrong(said, "fill it in, or take the column out")
        return text(what)

    split = text("split") or "test"
    if columns["split"] is not None and split not in SPLITS:
        raise line.wrong(columns["split"], f"write one of {', '.join(SPLITS)}")
    return Score(
        loss=outside.loss or needed("loss"),
        metric=name or needed("metric") or "score",
        value=line.number_of(column),
        origin=line.origin,
        fold=_whole(line, columns["fold"], "fold") if columns["fold"] else outside.fold,
        seed=_whole(line, columns["seed"], "seed") if columns["seed"] else outside.seed,
        case=needed("case"),
        group=needed("group"),
        part=text("part"),
        data=text("data"),
        network=text("network"),
        stress=text("stress"),
        split=split,
        unit=text("unit"),
        n_train=line.count(columns["n_train"]),
        n_test=line.count(columns["n_test"]),
        higher_is_better=_truth(line, columns["higher_is_better"]),
        run=text("run"),
    )


def _whole(line: Line, column: str, word: str) -> int:
    """3, fold_3 and "fold 3" are the fold 3."""
    number = number_in(line.text(column), word)
    if number is None:
        raise line.wrong(column, "write a whole number such as 0")
    return number


def _truth(line: Line, column: str | None) -> bool | None:
    said = line.text(column).lower()
    if column is None or not said:
        return None
    if said not in YES | NO:
        raise line.wrong(column, "write true or false")
    return said in YES
