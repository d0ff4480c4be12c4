"""What a field of a value may hold: checked, and brought to one form, when the value is made.

One form means that equal values have equal texts: 2 becomes 2.0 where a real number is meant, -0.0 becomes 0.0,
a list becomes a tuple. Texts identify results, so nothing here may depend on how a person happened to write it.
"""

from collections.abc import Callable, Sequence
from dataclasses import MISSING, field
from math import inf, isfinite
from numbers import Real
from typing import Any

from .errors import FieldError

SPEC = "whichloss"  # key of the specification in a dataclass field's metadata


class Spec:
    """How one field reads what it is given; `kind` is set where it holds another value."""

    def __init__(self, read: Callable[[Any], Any], says: str, kind: Callable[[], type] | None = None) -> None:
        self.read, self.says, self.kind = read, says, kind

    def __call__(self, value: Any) -> Any:
        try:
            return self.read(value)
        except (TypeError, ValueError, OverflowError):
            raise FieldError(f"is {value!r}; it must be {self.says}") from None


def _field(default: Any, spec: Spec, **options: Any) -> Any:
    return field(default=default, metadata={SPEC: spec}, **options)


def _optional(spec: Spec) -> Spec:
    return Spec(lambda value: None if value is None else spec.read(value), f"{spec.says}, or None", spec.kind)


def real(value: Any, low: float = -inf, high: float = inf, open_low: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError
    number = float(value)
    if not isfinite(number) or not low <= number <= high or (open_low and number == low):
        raise ValueError
    return number + 0.0  # -0.0 equals 0.0 and must be spelled like it


def number(default: Any = MISSING, *, low: float = -inf, high: float = inf, optional: bool = False) -> Any:
    """A finite real number between `low` and `high`, both included."""
    bounds = " and ".join([f"at least {low:g}"] * (low > -inf) + [f"at most {high:g}"] * (high < inf))
    spec = Spec(lambda value: real(value, low, high), f"a finite number {bounds}".rstrip())
    return _field(default, _optional(spec) if optional else spec)


def positive(default: Any = MISSING) -> Any:
    """A finite real number above 0."""
    return _field(default, Spec(lambda value: real(value, 0.0, open_low=True), "a finite number above 0"))


def nonnegative(default: Any = MISSING, *, optional: bool = False) -> Any:
    """A finite real number, 0 or more."""
    return number(default, low=0.0, optional=optional)


def fraction(default: Any = MISSING, *, optional: bool = False) -> Any:
    """A real number from 0 to 1."""
    return number(default, low=0.0, high=1.0, optional=optional)


def _integer(value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError
    whole = int(value)  # type: ignore[arg-type]
    if whole != value or whole < low:
        raise ValueError
    return whole


def count(default: Any = MISSING, *, low: int = 1, optional: bool = False) -> Any:
    """A whole number, `low` or more."""
    spec = Spec(lambda value: _integer(value, low), f"a whole number of at least {low}")
    return _field(default, _optional(spec) if optional else spec)


def flag(default: Any = MISSING) -> Any:
    """Yes or no."""

    def read(value: Any) -> bool:
        if not isinstance(value, bool):
            raise TypeError
        return value

    return _field(default, Spec(read, "True or False"))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def text(default: Any = MISSING, *, optional: bool = False) -> Any:
    """Any text: the name of an array, a pattern."""
    spec = Spec(_text, "a text")
    return _field(default, _optional(spec) if optional else spec)


def location(*, kw_only: bool = False) -> Any:
    """The path of a file or folder, given first and without its name."""
    return field(kw_only=kw_only, metadata={SPEC: Spec(_text, "a path, as text")})


def choice(default: str, *others: str) -> Any:
    """One of a few words; the first is the default."""
    words = (default, *others)

    def read(value: Any) -> str:
        if value not in words or not isinstance(value, str):
            raise ValueError
        return value

    return _field(default, Spec(read, "one of " + ", ".join(map(repr, words))))


def numbers(default: Any = MISSING, *, low: float = -inf, open_low: bool = False, optional: bool = False) -> Any:
    """A tuple of finite real numbers, each `low` or more; more, where that end is open."""

    def read(value: Any) -> tuple[float, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence) or not value:
            raise TypeError
        return tuple(real(entry, low, open_low=open_low) for entry in value)

    bound = f", each {'above' if open_low else 'at least'} {low:g}" if low > -inf else ""
    spec = Spec(read, f"a list of finite numbers{bound}")
    return _field(default, _optional(spec) if optional else spec)


def matrix(default: Any = MISSING, *, low: float = 0.0, optional: bool = False) -> Any:
    """A square of finite real numbers, each `low` or more, row by row."""
    says = f"a square of finite numbers, each at least {low:g}, such as ((0, 1), (1, 0))"

    def read(value: Any) -> tuple[tuple[float, ...], ...]:
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise TypeError
        if any(isinstance(row, str) or len(row) != len(value) for row in value):
            raise ValueError
        return tuple(tuple(real(entry, low) for entry in row) for row in value)

    spec = Spec(read, says)
    return _field(default, _optional(spec) if optional else spec)


def inner(kind: Callable[[], type], *, kw_only: bool = False, says: str = "a loss, such as Dice()") -> Any:
    """Another value, given first and without its name: the loss that a wrapper wraps.

    `kind` is a function, since a class cannot name itself while it is being made.
    """

    def read(value: Any) -> Any:
        if not isinstance(value, kind()):
            raise TypeError
        return value

    return field(kw_only=kw_only, metadata={SPEC: Spec(read, says, kind)})
