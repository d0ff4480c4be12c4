"""CSV as people send it: read line by line, so that every complaint can name its place."""

import csv
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TextIO

from whichloss.stats import TableError

NOTHING = {"", "nan", "na", "n/a", "none", "null"}  # what spreadsheets, pandas and R write where there is no number


@dataclass(frozen=True)
class Line:
    """One line of a table, by column."""

    path: Path
    number: int
    fields: dict[str, str]

    @property
    def origin(self) -> str:
        return f"{self.path}, line {self.number}"

    def wrong(self, column: str, remedy: str) -> TableError:
        return TableError(f"{self.origin}, column {column}: {self.fields[column]!r}; {remedy}")

    def text(self, column: str | None) -> str:
        """Without the blanks around it; nothing where there is no such column."""
        return self.fields[column].strip() if column is not None else ""

    def number_of(self, column: str) -> float | None:
        """None where the field says that there is none. Raises TableError for a text."""
        text = self.text(column)
        if text.lower() in NOTHING:
            return None
        try:
            number = float(text)
        except ValueError:
            raise self.wrong(column, "write a number such as 0.713, or nothing") from None
        return None if isnan(number) else number

    def finite(self, column: str) -> float:
        number = self.number_of(column)
        if number is None or abs(number) == float("inf"):
            raise self.wrong(column, "write a number such as 0.713")
        return number

    def count(self, column: str | None) -> int | None:
        """A whole number, 0 or more; None where the field is empty."""
        text = self.text(column)
        if column is None or not text:
            return None
        number = self.number_of(column)
        if number is None or number < 0 or not number.is_integer():
            raise self.wrong(column, "write a whole number such as 12")
        return int(number)


def header_of(path: Path) -> list[str]:
    """The names in the first line."""
    with open_text(path) as file:
        return [name.strip() for name in next(csv.reader(file), [])]


def lines_of(path: Path) -> list[Line]:
    """Every line below the header that is not empty. Raises TableError for what is no table."""
    with open_text(path) as file:
        reader = csv.reader(file, strict=True)
        header = [name.strip() for name in next(reader, [])]
        _check(path, header)
        found = []
        for fields in reader:
            if any(field.strip() for field in fields):
                if len(fields) != len(header):
                    raise TableError(
                        f"{path}, line {reader.line_num}: {len(fields)} fields for {len(header)} columns; "
                        "quote texts with commas, as losses with several arguments have them"
                    )
                found.append(Line(path, reader.line_num, dict(zip(header, fields, strict=True))))
    if not found:
        raise TableError(f"{path}: has a header and nothing below it")
    return found


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """A text file, with or without the byte order mark that a spreadsheet writes; what is none is a TableError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield file
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: is not UTF-8 text ({error}); save it as UTF-8") from error
    except csv.Error as error:
        raise TableError(f"{path}: is not CSV ({error}); quote texts with commas, double quotes inside") from error


def column_of(header: Iterable[str], *names: str) -> str | None:
    """The column that bears the first of these names, whatever its case."""
    known = {column.lower(): column for column in header}
    return next((known[name] for name in names if name in known), None)


def digest(path: Path) -> str:
    """SHA-256 of the file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check(path: Path, header: list[str]) -> None:
    if not header:
        raise TableError(f"{path}: is empty")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise TableError(f"{path}, line 1: {header[0]!r} is one column; save it with commas between columns")
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise TableError(f"{path}, line 1: column {', '.join(map(repr, twice))} comes twice; keep one")
