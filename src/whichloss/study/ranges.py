"""Ranges over which a setting is tuned, as a study writes them: loguniform(1e-4, 1e-1)."""

import re
from ast import literal_eval
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Setting = float | int | str | bool
LARGEST = 1e15  # of a number: the sampler computes in floats, in which whole numbers beyond are not exact
_FORMS = "loguniform(low, high), uniform(low, high), integers(low, high) or choice(a, b, ...)"


@dataclass(frozen=True)
class Range:
    """What a setting may be. `loguniform` and `uniform` of real numbers, `integers`, or `choice` of a few."""

    form: str
    ends: tuple[Setting, ...]

    def __str__(self) -> str:
        return f"{self.form}({', '.join(map(repr, self.ends))})"

    @classmethod
    def parse(cls, given: Any) -> "Range":
        """Raises ValueError that says what may stand there."""
        if isinstance(given, Range):
            return given
        if not isinstance(given, str) or not (match := re.fullmatch(r"\s*(\w+)\s*(\(.*\))\s*", given, re.DOTALL)):
            raise ValueError(f"a range is {_FORMS}")
        form, inside = match[1], match[2]
        try:
            ends = literal_eval(f"({inside[1:-1]},)") if inside[1:-1].strip() else ()
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise ValueError(f"{inside} holds more than numbers and texts; a range is {_FORMS}") from None
        return cls._checked(form, ends)

    @classmethod
    def _checked(cls, form: str, ends: tuple[Any, ...]) -> "Range":
        if form == "choice":
            if len(ends) < 2 or len(set(map(repr, ends))) < len(ends) or not all(map(_plain, ends)):
                raise ValueError("choice(a, b, ...) needs two or more different numbers or texts")
            return cls(form, ends)
        if form not in ("loguniform", "uniform", "integers"):
            raise ValueError(f"{form} is no range; a range is {_FORMS}")
        numbers = [e for e in ends if not isinstance(e, str | bool) and _plain(e)]
        whole = form != "integers" or all(isinstance(e, int) for e in numbers)
        if len(ends) != 2 or len(numbers) != 2 or not whole or not numbers[0] < numbers[1]:
            raise ValueError(f"{form}(low, high) needs two {'whole ' * (form == 'integers')}numbers, the lower first")
        if form == "loguniform" and numbers[0] <= 0:
            raise ValueError("loguniform(low, high) needs numbers above 0")
        return cls(form, tuple(numbers) if form == "integers" else tuple(map(float, numbers)))

    @property
    def samples(self) -> tuple[Setting, ...]:
        """Its ends; and one number between them that is not whole, where it may be."""
        if self.form in ("choice", "integers"):
            return self.ends
        low, high = map(float, self.ends)
        return (low, low + (high - low) / 3**0.5, high)

    def distribution(self) -> "BaseDistribution":
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.form == "choice":
            return CategoricalDistribution(self.ends)
        low, high = self.ends
        if self.form == "integers":
            return IntDistribution(int(low), int(high))
        return FloatDistribution(float(low), float(high), log=self.form == "loguniform")

    def holds(self, value: Any) -> bool:
        """Whether a value, such as the published default, lies in the range."""
        if self.form == "choice":
            return value in self.ends
        low, high = map(float, self.ends)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return low <= value <= high and (self.form != "integers" or float(value).is_integer())


def _plain(value: Any) -> bool:
    """Whether it is a text, yes or no, or a number that is not too large to be drawn."""
    return isinstance(value, str) or (isinstance(value, int | float) and abs(value) <= LARGEST)
