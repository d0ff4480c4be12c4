"""What a field may hold: one form for each value, and a sentence for everything else."""

import pickle
from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest
import torch

from whichloss import Dice
from whichloss.core import (
    FieldError,
    Value,
    choice,
    count,
    flag,
    fraction,
    inner,
    nonnegative,
    number,
    numbers,
    parse,
    positive,
    text,
)


class Sample(Value):
    """One field of each kind."""

    real: float = number(0.5)
    bounded: float = number(0.0, low=-1, high=1)
    above: float = positive(1.0)
    least: float = nonnegative(0.0)
    maybe: float | None = nonnegative(None, optional=True)
    share: float = fraction(0.5)
    whole: int = count(3, low=2)
    perhaps: int | None = count(None, optional=True)
    yes: bool = flag(True)
    word: str = choice("one", "two", "three")
    name: str = text("a")
    note: str | None = text(None, optional=True)
    several: tuple[float, ...] = numbers((1.0,), low=0)
    none: tuple[float, ...] | None = numbers(None, optional=True)


@pytest.mark.parametrize(
    ("field", "given", "held"),
    [
        ("real", 2, 2.0),
        ("real", -0.0, 0.0),
        ("real", np.float32(0.5), 0.5),
        ("real", np.int64(3), 3.0),
        ("real", Fraction(1, 4), 0.25),
        ("real", 10**300, 1e300),
        ("bounded", -1, -1.0),
        ("bounded", 1, 1.0),
        ("above", 5e-324, 5e-324),
        ("least", 0, 0.0),
        ("maybe", None, None),
        ("maybe", 1, 1.0),
        ("share", 1, 1.0),
        ("whole", 2.0, 2),
        ("whole", np.int32(7), 7),
        ("perhaps", None, None),
        ("yes", False, False),
        ("word", "three", "three"),
        ("name", "", ""),
        (
            "name",
            "a 'b' \"c\" \\ \n \x00 \u2028 é \U0001d7d7 \ud800",
            "a 'b' \"c\" \\ \n \x00 \u2028 é \U0001d7d7 \ud800",
        ),
        ("note", None, None),
        ("several", [1, 2], (1.0, 2.0)),
        ("several", (0,), (0.0,)),
        ("several", range(3), (0.0, 1.0, 2.0)),
        ("none", None, None),
    ],
)
def test_what_a_field_takes_and_holds(field, given, held):
    value = Sample(**{field: given})
    found = getattr(value, field)
    assert found == held
    assert type(found) is type(held)
    assert repr(found) == repr(held)  # -0.0 equals 0.0, and is not spelled so
    assert parse(repr(value), Sample) == value
    assert pickle.loads(pickle.dumps(value)) == value


@pytest.mark.parametrize(
    ("field", "given", "says"),
    [
        ("real", "1", "real is '1'; it must be a finite number"),
        ("real", nan, "real is nan; it must be a finite number"),
        ("real", inf, "real is inf"),
        ("real", True, "real is True"),
        ("real", None, "real is None"),
        ("real", 1j, "real is 1j"),
        ("real", 10**400, "it must be a finite number"),
        ("real", torch.tensor(1.0), "real is tensor(1.); it must be a finite number"),
        ("real", np.array(1.0), "it must be a finite number"),
        ("bounded", 1.0001, "it must be a finite number at least -1 and at most 1"),
        ("above", 0, "above is 0; it must be a finite number above 0"),
        ("above", -1, "it must be a finite number above 0"),
        ("least", -1e-9, "it must be a finite number at least 0"),
        ("maybe", -1, "it must be a finite number at least 0, or None"),
        ("share", 1.5, "it must be a finite number at least 0 and at most 1"),
        ("whole", 2.5, "whole is 2.5; it must be a whole number of at least 2"),
        ("whole", 1, "it must be a whole number of at least 2"),
        ("whole", True, "it must be a whole number of at least 2"),
        ("whole", "3", "it must be a whole number of at least 2"),
        ("whole", inf, "it must be a whole number of at least 2"),
        ("whole", nan, "it must be a whole number of at least 2"),
        ("perhaps", 0, "it must be a whole number of at least 1, or None"),
        ("yes", 1, "yes is 1; it must be True or False"),
        ("yes", None, "it must be True or False"),
        ("word", "four", "word is 'four'; it must be one of 'one', 'two', 'three'"),
        ("word", None, "it must be one of 'one', 'two', 'three'"),
        ("word", ["one"], "it must be one of 'one', 'two', 'three'"),
        ("name", 3, "name is 3; it must be a text"),
        ("note", 3, "it must be a text, or None"),
        ("several", [], "several is []; it must be a list of finite numbers, each at least 0"),
        ("several", "12", "it must be a list of finite numbers, each at least 0"),
        ("several", [1, -1], "it must be a list of finite numbers, each at least 0"),
        ("several", [1, True], "it must be a list of finite numbers, each at least 0"),
        ("several", [1, nan], "it must be a list of finite numbers, each at least 0"),
        ("several", {1, 2}, "it must be a list of finite numbers, each at least 0"),
        ("several", torch.ones(2), "it must be a list of finite numbers, each at least 0"),
        ("none", 3, "it must be a list of finite numbers, or None"),
    ],
)
def test_what_a_field_refuses(field, given, says):
    with pytest.raises(FieldError) as error:
        Sample(**{field: given})
    assert says in str(error.value)
    assert f"Sample: {field} is " in str(error.value)


def test_fields_are_given_by_name_and_do_not_change():
    with pytest.raises(TypeError):
        Sample(1.0)
    with pytest.raises(TypeError):
        Sample(reel=1.0)
    with pytest.raises(AttributeError):
        Sample().real = 2.0
    with pytest.raises(AttributeError):
        del Sample().real


def test_equal_fields_make_equal_values():
    assert Sample(several=[1, 2]) == Sample(several=(1.0, 2.0))
    assert hash(Sample(several=[1, 2])) == hash(Sample(several=(1.0, 2.0)))
    assert Sample() != Sample(real=1)
    assert Sample() != Dice()
    assert {Sample(): 1}[Sample(real=0.5)] == 1


class Box(Value):
    """A value that holds another."""

    held: Sample = inner(lambda: Sample)
    size: int = count(1)


def test_a_value_within_a_value():
    box = Box(Sample(real=2), size=2)
    assert box.label == "Box(Sample(real=2.0), size=2)"
    assert list(box.parts()) == [Sample(real=2)]
    with pytest.raises(FieldError, match="Box: held is 3"):
        Box(3)
    with pytest.raises(FieldError, match="Box: held is "):
        Box(Dice())


class Grown(Value):
    """A value that got a field when results had been kept under its text."""

    old: float = positive(1.0)
    new: int = count(0, low=0)

    later = ("new",)


def test_a_field_that_came_later_is_spelled_only_where_it_matters():
    """Runs that are finished are known by texts without it."""
    name = f"{__name__}:Grown"
    assert repr(Grown()) == f"{name}(old=1.0)"
    assert repr(Grown(new=2)) == f"{name}(old=1.0, new=2)"
    assert parse(repr(Grown()), Grown) == Grown(new=0)
    assert Grown(new=2).label == "Grown(new=2)"
    assert len({Grown(), Grown(new=0), Grown(new=1)}) == 2
