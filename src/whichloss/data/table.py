"""Cases listed in a table."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from whichloss.core import FieldError, UserError, location, text

from .class_folders import SIDES
from .files import Entry, FileSet
from .files.image import is_image
from .files.place import Place, above, beside, find_place, some
from .find import Root

COLUMNS = ("path", "label", "id", "group", "fold", "domain", "subgroup")
FACTS = ("fold", "domain", "subgroup")


class Table(FileSet):
    """A CSV file with a first row of names: path, label, and where known id, group, fold, domain, subgroup.

    `path` is an image, or a folder with a DICOM series; several, joined by `;`, are channels of one. `label` is the
    name of a class; or, where all of them are files, a mask; or, with `quantity`, a number in this `unit`. Paths begin
    at the folder of the table. `group` is the patient; `id` names the case, else its path does. Folds hold their share
    of every domain, else of every subgroup.

    A column `fold` that says train, val and test is the split that `design: {split: given}` asks for, val a part of
    the training side. Where it numbers folds, say `design: {splits: table.csv}`.
    """

    path: str = location()
    quantity: str = text("")
    unit: str = text("")

    @classmethod
    def examples(cls) -> list[Self]:
        return [
            cls(path="cases.csv"),
            cls(path="outlines.csv", channels=1),
            cls(path="ages.csv", quantity="age", unit="years"),
        ]

    def check(self) -> None:
        super().check()
        if self.unit and not self.quantity:
            raise FieldError(f"Table: unit is {self.unit!r}, and nothing is measured; name it: quantity='radius'")

    def entries(self, root: Root = None) -> list[Entry]:
        table = find_place(self.path, root)
        rows = read_rows(table)
        drawn = not self.quantity and all(_is_file(beside(above(table), row["label"])) for _, row in rows)
        sides = _sides([row.get("fold", "") for _, row in rows])
        return [self._entry(table, where, row, drawn, side) for (where, row), side in zip(rows, sides, strict=True)]

    def _entry(self, table: Place, where: str, row: dict[str, str], drawn: bool, side: str) -> Entry:
        images = tuple(beside(above(table), one.strip()) for one in row["path"].split(";"))
        for image in images:
            if not image.exists():
                raise UserError(f"{where}: there is no {image}; paths begin at the folder of the table")
        label = self._number(where, row["label"]) if self.quantity else row["label"]
        return Entry(
            id=row.get("id") or row["path"],
            images=images,
            label=(beside(above(table), row["label"]),) if drawn else label,
            group=row.get("group", ""),
            side=side,
            stratum=row.get("domain") or row.get("subgroup", ""),
            columns={name: row[name] for name in FACTS if name in row},
        )

    def _number(self, where: str, label: str) -> float:
        try:
            return float(label)
        except ValueError:
            raise UserError(f"{where}: label is {label!r}; quantity={self.quantity!r} needs a number") from None

    def _asked(self, entries: Sequence[Entry], masks: np.ndarray) -> tuple[np.ndarray, dict]:
        if not self.quantity:
            return super()._asked(entries, masks)
        labels = np.array([one.label for one in entries], np.float32)
        return labels, {"kind": "regression", "quantity": self.quantity, "unit": self.unit}


def read_rows(table: Place) -> list[tuple[str, dict[str, str]]]:
    """Each row by the names of the columns, and in which line it stands."""
    try:
        lines = list(csv.reader(table.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{table} cannot be read as a table: {error}") from error
    head = [one.strip() for one in lines[0]] if lines else []
    if missing := [one for one in COLUMNS[:2] if one not in head]:
        raise UserError(
            f"{table} has no column {some(map(repr, missing))}; it has {some(map(repr, head), 12) or 'nothing'}\n"
            f"  a table of cases has the columns path and label, and may have {', '.join(COLUMNS[2:])}"
        )
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cells):
            continue
        where = f"{table}, row {number}"
        if len(cells) != len(head):
            raise UserError(f"{where} has {len(cells)} cells; the first row names {len(head)}")
        row = {name: cell.strip() for name, cell in zip(head, cells, strict=True)}
        if empty := next((name for name in COLUMNS[:2] if not row[name]), None):
            raise UserError(f"{where}: the {empty} is empty; leave out the row, or fill it in")
        rows.append((where, row))
    if not rows:
        raise UserError(f"{table} has no rows")
    return rows


def _is_file(place: Place) -> bool:
    return (is_image(place) and place.is_file()) or (isinstance(place, Path) and place.is_dir())


def _sides(folds: list[str]) -> list[str]:
    """Where the column names the parts of a split."""
    return (
        [SIDES[one.lower()] for one in folds] if {one.lower() for one in folds} <= SIDES.keys() else [""] * len(folds)
    )
