"""How numbers read on the page: as many digits as their spread deserves, and the exact value beside them."""

from collections.abc import Iterable
from math import floor, isfinite, log10
from statistics import median
from typing import NamedTuple

MINUS, DASH, TIMES = "\u2212", "\u2013", "\u00d7"


class Number(NamedTuple):
    """`text` is for people, `value` goes into `<data value=...>` for machines and for sorting."""

    value: float | None
    text: str


def real(value: object) -> float | None:
    """The number in a cell of a table; None if it holds none.

    >>> real("0.5"), real(""), real("nan")
    (0.5, None, None)
    """
    try:
        x = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return None
    return x if isfinite(x) else None


def reals(values: Iterable[object]) -> list[float]:
    return [x for x in map(real, values) if x is not None]


def places(spreads: Iterable[object], default: int = 3) -> int:
    """Decimals that show two digits of a typical spread.

    >>> places([0.012, 0.034, 0.020])
    3
    """
    positive = [x for x in map(abs, reals(spreads)) if x > 0]
    return max(0, 1 - floor(log10(median(positive)))) if positive else default


def number(value: object, decimals: int, sign: bool = False) -> Number:
    """A rounded number with a true minus.

    >>> number(0.0123, 3, sign=True).text
    '+0.012'
    """
    x = real(value)
    if x is None:
        return Number(None, DASH)
    text = f"{x:.{decimals}f}" if decimals <= 6 else f"{x:.1e}"
    nothing = not text.strip("-0.")  # no sign for what rounds to zero
    plus = "+" if sign and not nothing and x > 0 else ""
    return Number(x, plus + (text.lstrip("-") if nothing else text.replace("-", MINUS)))


def count(value: object) -> Number:
    x = real(value)
    return number(x, 0 if x is None or x == int(x) else 1)


def plain(value: object) -> str:
    """A number in running text, without trailing zeros: 0.01, 95, 12.5."""
    x = real(value)
    return DASH if x is None else f"{x:.6g}".replace("-", MINUS)


def percent(fraction: object) -> str:
    x = real(fraction)
    return DASH if x is None else f"{plain(100 * x)} %"
