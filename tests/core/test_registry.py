"""Names: every class is known by one from the moment it is defined, and a name means one class."""

import subprocess
import sys
from os import environ, pathsep
from textwrap import dedent

import pytest

from whichloss import Dice, parse, registry
from whichloss.core import (
    Card,
    ExpressionError,
    Loss,
    MarginLoss,
    RegionLoss,
    Value,
    catalogue,
    find,
    positive,
    suggestion,
)


@pytest.fixture(autouse=True)
def _leaves_no_trace(monkeypatch):
    registry(Loss)  # a module imported meanwhile would never be known again
    monkeypatch.setitem(catalogue._known, Loss, dict(catalogue._known[Loss]))


def define(name, module, base=MarginLoss, **body):
    """A loss as if it stood in a module."""
    return type(base)(name, (base,), {"__module__": module, "__qualname__": name, "formula": abs, "card": CARD, **body})


CARD = Card(source="nobody", equation="(0)", smooth=True, convex=True)


def test_two_of_ours_with_one_name_are_an_error():
    define("Twin", "whichloss.losses.margin.one")
    with pytest.raises(
        NameError, match=r"two classes are called Twin: in whichloss\.losses\.margin\.one and in whichloss"
    ):
        define("Twin", "whichloss.losses.margin.other")


def test_a_class_may_be_defined_again_in_its_module():
    """Which is what a notebook does."""
    define("Again", "__main__")
    second = define("Again", "__main__")
    assert find(Loss, "__main__:Again") is second


def test_two_users_may_use_one_name_and_one_of_ours():
    one, other = define("Dice", "someone.losses"), define("Dice", "another.losses")
    assert find(Loss, "someone.losses:Dice") is one
    assert find(Loss, "another.losses:Dice") is other
    assert find(Loss, "Dice") is Dice


def test_a_class_of_a_user_is_spelled_with_its_module():
    mine = define("Mine", "someone.losses")
    assert repr(mine()).startswith("someone.losses:Mine(lift='one_versus_rest'")
    assert mine().label == "Mine"
    assert parse(repr(mine())) == mine()
    assert "someone.losses:Mine" in registry(Loss)
    with pytest.raises(ExpressionError, match="no loss is called 'Mine'"):
        parse("Mine()")


def test_a_class_within_a_class_is_spelled_with_both():
    held = type(MarginLoss)(
        "Held", (MarginLoss,), {"__module__": "someone", "__qualname__": "Box.Held", "formula": abs, "card": CARD}
    )
    assert repr(held()).startswith("someone:Box.Held(")
    assert parse(repr(held())) == held()


def test_a_final_class_has_no_descendants():
    with pytest.raises(TypeError, match="Dice is final: wrap it, or write a sibling, instead of Better"):
        define("Better", "someone", base=Dice)


def test_an_abstract_class_may_have_them_and_is_in_no_list():
    class Half(MarginLoss):
        half: float = positive(0.5)

    whole = define("Whole", "someone", base=Half)
    assert whole(half=2).half == 2.0
    assert catalogue.spelled(Half) not in registry(Loss)
    assert find(Loss, catalogue.spelled(Half)) is None


def test_what_is_not_listed_is_found_by_code_and_in_no_list():
    define("Quiet", "whichloss.losses.margin.quiet", listed=False)
    assert find(Loss, "Quiet") is not None
    assert "Quiet" not in registry(Loss)
    with pytest.raises(ExpressionError, match="no loss is called 'Quiet'"):
        parse("Quiet()")


def test_kinds_do_not_share_names():
    class Instrument(Value):
        """A kind of its own."""

    assert find(Instrument, "Dice") is None
    assert Loss not in Instrument.__mro__
    assert catalogue.spelled(Instrument) in registry(Instrument)
    assert RegionLoss.kind() is Loss


def test_the_list_is_sorted_and_has_one_class_a_file():
    ours = {name: cls for name, cls in registry(Loss).items() if cls.__module__.startswith("whichloss.")}
    assert list(registry(Loss)) == sorted(registry(Loss))
    for name, cls in ours.items():
        begins = [at > 0 and one.isupper() and not name[at - 1].isupper() for at, one in enumerate(name)]
        file = "".join("_" * begin + one.lower() for begin, one in zip(begins, name, strict=True))
        assert cls.__module__.rpartition(".")[2] == file
        assert cls.__name__ == name
    assert len({cls.__module__ for cls in ours.values()}) == len(ours)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Lorentz", "Lorenz"),
        ("dice", "Dice"),
        ("CROSSENTROPY", "CrossEntropy"),
        ("Hing", "Hinge"),
        ("FocalPowr", "FocalPower"),
    ],
)
def test_a_name_that_is_nearly_one(typed, meant):
    assert suggestion(Loss, typed) == f"; did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("IoU", "'Jaccard' (IoU)"),
        ("IoULoss", "'Jaccard' (IoU)"),
        ("mse", "'SquaredError' (MSE)"),
        ("SymmetricCrossEntropy", "0.1 * CrossEntropy() + ReverseCrossEntropy()"),
        ("MAEOfProbabilities", "(q=1.0)"),
    ],
)
def test_what_others_call_it(typed, found):
    assert suggestion(Loss, typed).startswith("; here it is '") and found in suggestion(Loss, typed)


def test_no_name_is_what_others_call_something_else():
    losses = registry(Loss)
    for name in losses:
        assert suggestion(Loss, name) == f"; did you mean {name!r}?" or name in suggestion(Loss, name), name


def test_a_name_that_is_nothing_like_one():
    assert suggestion(Loss, "Xyzzy") == ""


def test_one_expression_imports_one_file():
    """Only a list walks the folder."""
    code = """
        import sys
        from whichloss import parse
        parse("SmoothHinge() + 2 * FocalPower(Dice())")
        found = [name.split(".") for name in sys.modules if name.startswith("whichloss.losses.")]
        print(*sorted(name[3] for name in found if len(name) == 4))
    """
    environment = environ | {"PYTHONPATH": pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["dice", "focal_power", "smooth_hinge"]
