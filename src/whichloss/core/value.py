"""Value: frozen, comparable, hashable, picklable, printable. Losses, data sets, networks and metrics are values."""

from abc import ABC
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from inspect import get_annotations, isabstract
from typing import Any, ClassVar, dataclass_transform

from . import catalogue
from .errors import FieldError
from .fields import SPEC, inner, location

DEEPEST = 32  # values within values; texts of deeper trees are refused by the parser, so the trees are too


@dataclass_transform(
    frozen_default=True,
    kw_only_default=True,
    field_specifiers=(inner, location),  # of the others the right-hand side is the default, as far as type checkers see
)
@dataclass(frozen=True, kw_only=True, repr=False)
class Value(ABC):  # noqa: B024  its kinds are abstract, each in its own way
    """A class below this one is either abstract or final, and a frozen dataclass of keyword-only, checked fields.

    `repr` spells every field and identifies results: `parse(repr(value)) == value`. A field that came later is not
    spelled at its default, at which results are what they were before.
    `label` hides what is left at its default; it is for figures.
    """

    results_version: ClassVar[int] = 1  # raised by a person when results change
    listed: ClassVar[bool] = True  # whether catalogues show it
    later: ClassVar[tuple[str, ...]] = ()  # fields that came when results had been kept under texts without them

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for base in cls.__mro__[1:]:
            if base is not Value and issubclass(base, Value) and not isabstract(base) and not _is_kind(base):
                raise TypeError(f"{base.__name__} is final: wrap it, or write a sibling, instead of {cls.__name__}")
        for name, value in vars(cls).items():
            if isinstance(value, Field) and any(
                hasattr(base, name) and not _holds(base, name) for base in cls.__bases__
            ):
                raise TypeError(f"{cls.__name__}: a field cannot be called {name!r}, which every value has already")
        dataclass(frozen=True, kw_only=True, repr=False)(cls)
        catalogue.add(cls.kind(), cls)

    @classmethod
    def kind(cls) -> type:
        """The class directly below `Value`: Loss, DataSet, Network, Metric, ..."""
        return next(base for base in reversed(cls.__mro__) if base is not Value and issubclass(base, Value))

    @classmethod
    def examples(cls) -> Sequence["Value"]:
        """Instances with which tests, documentation and benchmarks show this class."""
        return [cls()]

    def __post_init__(self) -> None:
        for one in fields(self):
            spec = one.metadata.get(SPEC)
            if spec is not None:
                try:
                    self._set(one.name, spec(getattr(self, one.name)))
                except FieldError as error:
                    raise FieldError(f"{catalogue.spelled(type(self))}: {one.name} {error}") from None
        self.check()
        if self._depth() > DEEPEST:
            raise FieldError(f"{type(self).__name__}: more than {DEEPEST} values within each other")

    def check(self) -> None:  # noqa: B027  most have nothing to check
        """What must hold between fields; raises FieldError."""

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # only while the value is being made

    def parts(self) -> Iterator["Value"]:
        """The values that this one holds."""
        return (part for one in fields(self) if isinstance(part := getattr(self, one.name), Value))

    def _depth(self) -> int:
        return 1 + max((part._depth() for part in self.parts()), default=0)

    def __repr__(self) -> str:
        return self.spell(hide_defaults=False)

    @property
    def label(self) -> str:
        """The short name for people: only what differs from the defaults."""
        return self.spell(hide_defaults=True)

    def spell(self, hide_defaults: bool) -> str:
        """The expression of this value, every field (identity) or only what differs from the defaults (label)."""
        name = type(self).__name__ if hide_defaults else catalogue.spelled(type(self))
        own = get_annotations(type(self))  # what is particular to a class comes before what it inherits
        order = sorted(fields(self), key=lambda one: (one.kw_only, one.name not in own))
        hidden = {one.name for one in order if hide_defaults} or set(self.later)
        shown = [one for one in order if not (one.name in hidden and _is_default(one, getattr(self, one.name)))]
        parts = [self._spell_field(one, hide_defaults) for one in shown]
        return f"{name}({', '.join(parts)})" if parts or not hide_defaults else name

    def _spell_field(self, one: Field, hide_defaults: bool) -> str:
        value = getattr(self, one.name)
        spelled = value.spell(hide_defaults) if isinstance(value, Value) else repr(value)
        return f"{one.name}={spelled}" if one.kw_only else spelled


def _is_kind(cls: type) -> bool:
    return Value in cls.__bases__


def _holds(cls: type, name: str) -> bool:
    return name in getattr(cls, "__dataclass_fields__", {})


def _is_default(one: Field, value: Any) -> bool:
    return one.default is not MISSING and one.default == value
