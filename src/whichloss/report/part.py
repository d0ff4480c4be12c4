"""One part of what stands beside the verdict, and the words and cells that all parts share."""

from collections.abc import Mapping
from dataclasses import dataclass

from whichloss.report.figures import Figure
from whichloss.report.inks import Ink
from whichloss.report.numerals import DASH, Number, number, real
from whichloss.report.tables import Cell, Row, Table

Inks = Mapping[str, Ink]
NONE = Cell((DASH,), None, "number")


@dataclass(frozen=True)
class Part:
    """The answer to one question that the verdict leaves open."""

    id: str
    title: str
    lines: tuple[str, ...]
    tables: tuple[Table, ...] = ()
    figure: Figure | None = None
    methods: str = ""  # a sentence for a paper: how it was found
    listed: tuple[str, ...] = ()  # a line for each loss, instead of the tables on the page


def measured(verdict: Row) -> str:
    """The primary metric and its unit."""
    return verdict["primary_label"] + (f" ({verdict['unit']})" if verdict["unit"] else "")


def plus(verdict: Row) -> str:
    """The head of a column of differences."""
    return "Difference" if verdict["higher_is_better"] else "Difference (plus is better)"


def span(low: object, high: object, decimals: int, sign: bool = False) -> Cell:
    ends = number(low, decimals, sign), number(high, decimals, sign)
    return Cell(("[", ends[0], ", ", ends[1], "]"), ends[0].value, "number") if real(low) is not None else NONE


def chance(value: object) -> Number:
    """A probability: 0.032, < 0.001, > 0.999."""
    x = real(value)
    if x is None or 0.001 <= x <= 0.999 or x in (0, 1):
        return number(x, 3)
    return Number(x, "< 0.001" if x < 0.5 else "> 0.999")
