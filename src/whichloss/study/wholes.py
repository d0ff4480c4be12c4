"""A field of several whole numbers: axes, the size of a patch."""

from collections.abc import Sequence
from dataclasses import field
from numbers import Real
from typing import Any

from whichloss.core.fields import SPEC, Spec


def wholes(default: Any, *, low: int, optional: bool = False) -> Any:
    """A tuple of whole numbers, each `low` or more; None as well where it is optional."""

    def read(value: Any) -> tuple[int, ...] | None:
        if value is None and optional:
            return None
        if isinstance(value, str) or not isinstance(value, Sequence) or not value:
            raise TypeError
        return tuple(_whole(entry, low) for entry in value)

    says = f"a list of whole numbers, each at least {low}" + (", or None" if optional else "")
    return field(default=default, metadata={SPEC: Spec(read, says)})


def _whole(value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError
    if (whole := int(value)) != value or whole < low:  # type: ignore[arg-type]
        raise ValueError
    return whole
