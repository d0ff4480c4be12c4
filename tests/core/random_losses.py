"""Random losses for property tests: every class of the library, with any fields that it may have.

What a field may hold is read from what it says of itself, so that a loss is covered on the day it exists.
"""

import re
from ast import literal_eval
from dataclasses import MISSING, fields

from hypothesis import assume
from hypothesis import strategies as st

from whichloss import registry
from whichloss.core import FieldError, Loss
from whichloss.core.fields import SPEC

OURS = [cls for cls in registry(Loss).values() if cls.__module__.startswith("whichloss.")]
WRAPPERS = [cls for cls in OURS if any(not one.kw_only for one in fields(cls))]  # the loss that they hold
PLAIN = [cls for cls in OURS if cls not in WRAPPERS]

WEIGHTS = st.one_of(st.integers(1, 1000), st.floats(1e-6, 1e6))


def reals(low: float, high: float, open_low: bool = False):
    """Numbers as a person may write them: integers, floats, minus zero, the largest and the least."""
    floats = st.floats(low, high, exclude_min=open_low, allow_nan=False, allow_infinity=False)
    integers = st.integers(int(low) + open_low, int(min(high, 10**6)))
    odd = [
        x
        for x in (-0.0, 0.1, 5e-324, 1e22, 1.7976931348623157e308, 1 / 3)
        if low <= x <= high and not (open_low and x == 0)
    ]
    return st.one_of(integers, floats, st.sampled_from(odd or [high]))


def holding(says: str):
    """Values that a field takes, from the sentence in which it says what it must be."""
    if says.endswith(", or None"):
        return st.none() | holding(says.removesuffix(", or None"))
    if says.startswith("one of "):
        return st.sampled_from(literal_eval(f"({says.removeprefix('one of ')},)"))
    if says == "a finite number above 0":
        return reals(0.0, 1e300, open_low=True)
    if says == "True or False":
        return st.booleans()
    if match := re.fullmatch(r"a finite number at least (\S+)(?: and at most (\S+))?", says):
        return reals(float(match[1]), float(match[2] or 1e300))
    if match := re.fullmatch(r"a finite number at most (\S+)", says):
        return reals(-1e300, float(match[1]))
    if match := re.fullmatch(r"a whole number of at least (\S+)", says):
        return st.integers(int(match[1]), 1000)
    if match := re.fullmatch(r"a list of finite numbers, each (at least|above) (\S+)", says):
        several = st.lists(reals(float(match[2]), 1e300, match[1] == "above"), min_size=1, max_size=4)
        return several | several.map(tuple)
    if says.startswith("a square of finite numbers, each at least 0"):
        entries = st.lists(reals(0.0, 1.0), min_size=3, max_size=3)
        return entries.map(lambda e: ((0, e[0], e[1]), (e[0], 0.0, e[2]), [e[1], e[2], 0]))
    raise NotImplementedError(f"teach random_losses.py what a field holds that must be {says}")


def settings_of(cls: type):
    """Some of the fields of a class, with values; those without a default always."""
    free = [one for one in fields(cls) if one.kw_only]
    values = {one.name: holding(one.metadata[SPEC].says) for one in free}
    needed = {one.name: values.pop(one.name) for one in free if one.default is MISSING}
    return st.fixed_dictionaries(needed, optional=values)


@st.composite
def made(draw, classes, *inner):
    """An instance of one of these classes around the given values."""
    cls = draw(st.sampled_from(classes))
    try:
        return cls(*(draw(one) for one in inner), **draw(settings_of(cls)))
    except FieldError:  # fields that do not go together
        assume(False)


@st.composite
def summed(draw, parts):
    terms = draw(st.lists(st.tuples(st.none() | WEIGHTS, parts), min_size=1, max_size=3))
    total = None
    for weight, loss in terms:
        loss = loss if weight is None else weight * loss
        total = loss if total is None else total + loss
    return total


LOSSES = st.recursive(made(PLAIN), lambda inner: made(WRAPPERS, inner) | summed(inner), max_leaves=6)
