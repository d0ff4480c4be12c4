"""The one results table: a row per measured fact, sorted, the same bytes for the same rows."""

import csv
import io
import os
from collections.abc import Iterable
from math import isnan
from pathlib import Path
from typing import NamedTuple

SPLITS = ("test", "chance", "train")


class TableError(ValueError):
    """The table says something that cannot be right; the message names the place and the remedy."""


class Row(NamedTuple):
    """One score. A run is one loss on one fold of one seed, on one data set, network and stress."""

    study: str
    run: str
    loss: str
    data: str
    network: str
    fold: int
    seed: int
    stress: str
    split: str  # "test": measured; "chance": what the best constant answer scores on that test fold
    # "train": measured on the cases that were fitted to
    metric: str
    unit: str
    value: float | None  # None: the run failed
    n_train: int  # patients (or other groups) where there are groups, else cases
    n_test: int


COLUMNS = Row._fields
INTEGERS = ("fold", "seed", "n_train", "n_test")


def read(path: str | os.PathLike[str]) -> list[Row]:
    """The rows of a CSV file in the order of the file; other columns than ours are left out."""
    path = Path(path)
    try:
        # utf-8-sig: a spreadsheet puts a byte order mark before the first column's name
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            _check_header(path, header)
            return [_row(path, lines.line_num, header, fields) for fields in lines if fields]
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: is not UTF-8 text ({error}); save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise TableError(f"{path}: is not CSV ({error}); quote texts with commas, double quotes inside") from error


def write(path: str | os.PathLike[str], rows: Iterable[Row]) -> None:
    """Write the rows sorted, aside and renamed: a reader sees the old table or the new one, never a half."""
    path, text = Path(path), as_text(rows)
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    try:
        with aside.open("w", newline="", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def as_text(rows: Iterable[Row]) -> str:
    """The rows as CSV, sorted."""
    text = io.StringIO()
    lines = [_fields(row) for row in in_order(rows)]
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *lines])
    return text.getvalue()


def in_order(rows: Iterable[Row]) -> list[Row]:
    """The rows as a file has them: for people first, then by every field."""
    return sorted(rows, key=_order)


def _order(row: Row) -> tuple[str | int, ...]:
    """For people first; then every field as it is written, so that rows which tie are the same bytes."""
    cell = (row.study, row.data, row.network, row.stress, row.metric, row.loss, row.seed, row.fold, row.split)
    return (*cell, *_fields(row))


def _fields(row: Row) -> list[str]:
    if row.value is not None and isnan(row.value):
        raise TableError(f"{row}: value is NaN; None (an empty value) says that the run failed")
    # float(): the repr of a numpy number is not a number's text
    number = "" if row.value is None else repr(float(row.value))
    fields = [str(field) for field in row._replace(value=None)]
    fields[COLUMNS.index("value")] = number
    # the csv module of Python 3.11 leaves a bare carriage return unquoted and then cannot read it
    if any(mark in field for field in fields for mark in "\r\n\0"):
        raise TableError(f"{row}: a text holds a line break or a null character; take it out")
    return fields


def _check_header(path: Path, header: list[str]) -> None:
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise TableError(
            f"{path}, line 1: no column {', '.join(missing)}\n"
            f"  came: {','.join(header) or 'nothing'}\n"
            f"  fits: {','.join(COLUMNS)} (in any order)"
        )
    twice = [column for column in COLUMNS if header.count(column) > 1]
    if twice:
        raise TableError(f"{path}, line 1: column {', '.join(twice)} comes twice; keep one")


def _row(path: Path, line: int, header: list[str], fields: list[str]) -> Row:
    if len(fields) != len(header):
        raise TableError(
            f"{path}, line {line}: {len(fields)} fields for {len(header)} columns; quote texts with commas"
        )
    text = dict(zip(header, fields, strict=True))

    def wrong(column: str, remedy: str) -> TableError:
        return TableError(f"{path}, line {line}, column {column}: {text[column]!r}; {remedy}")

    def integer(column: str) -> int:
        try:
            return int(text[column])
        except ValueError:
            raise wrong(column, "write a whole number such as 0") from None

    def value() -> float | None:
        if not text["value"].strip():
            return None
        try:
            number = float(text["value"])
        except ValueError:
            raise wrong("value", "write a number such as 0.713, or nothing if the run failed") from None
        if isnan(number):
            raise wrong("value", "leave it empty if the run failed")
        return number

    if text["split"] not in SPLITS:
        raise wrong("split", f"write one of {', '.join(SPLITS)}")
    numbers = {column: integer(column) for column in INTEGERS}
    for column in ("n_train", "n_test"):
        if numbers[column] < 0:
            raise wrong(column, "a count is 0 or more")
    parsed = text | numbers | {"value": value()}
    return Row._make(parsed[column] for column in COLUMNS)
