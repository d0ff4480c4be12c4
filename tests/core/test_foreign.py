"""Somebody else's losses: named by their path, imported only where a person writes them."""

import pickle
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whichloss import Dice, FocalPower, parse, registry
from whichloss.contract import check
from whichloss.core import ExpressionError, FieldError, Foreign, Loss, UserError, catalogue

SOMEONES = r'''
import torch
from torch import nn

from whichloss.core import Card, MarginLoss, WrapperLoss, numbers, positive


class Squared(nn.Module):
    def __init__(self, scale=1.0, power=2):
        super().__init__()
        self.scale, self.power = scale, power

    def forward(self, output, target):
        return self.scale * (output.sigmoid() - target).abs().pow(self.power).mean()


class Holder:
    class Inner(Squared):
        pass


def absolute(output, target, scale=1.0):
    return scale * (output.sigmoid() - target).abs().mean()


def each(output, target):
    return (output - target).abs()


def number(output, target):
    return 1.0


NOTHING = 3


class Mine(MarginLoss):
    r"""$\max(0, w - m)$."""

    width: float = positive(1.0)
    levels: tuple[float, ...] = numbers((1.0,))

    card = Card(source="me", equation="(1)", smooth=False, convex=True, golden={(0.0,): 1.0})

    def formula(self, margin):
        return (self.width - margin).clamp_min(0)


class Twice(WrapperLoss):
    r"""$2 v$."""

    card = Card(source="me", equation="(2)", smooth=True, convex=True, golden={(1.0,): 2.0})

    def formula(self, value):
        return 2 * value
'''


@pytest.fixture
def someone(tmp_path, monkeypatch):
    """A module of losses that is not ours, and its file."""
    registry(Loss)  # a module imported meanwhile would never be known again
    monkeypatch.setitem(catalogue._known, Loss, dict(catalogue._known[Loss]))
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "someone.py"
    file.write_text(SOMEONES)
    yield file
    sys.modules.pop("someone", None)


LOGITS, TARGET = torch.tensor([[0.3], [-1.0]], dtype=torch.float64), torch.tensor([[1.0], [0.0]], dtype=torch.float64)


def read(text):
    return parse(text, imports=True)


# a text that nobody vouches for


def test_a_foreign_name_is_not_imported_unless_asked():
    loss = parse("no.such.module:Loss(a=1, b=Dice())")
    assert isinstance(loss, Foreign)
    assert loss == parse(" no.such.module:Loss( a = 1,b=Dice() ) ")
    assert hash(loss) == hash(parse("no.such.module:Loss(a=1, b=Dice())"))
    assert loss != parse("no.such.module:Loss(a=2, b=Dice())")
    assert loss != parse("no.such.module:Loss(b=Dice(), a=1)")  # another text
    assert parse(repr(loss)) == loss
    assert loss.label == "Loss(a=1, b=Dice)"
    assert "no" not in sys.modules


def test_what_is_only_a_text_cannot_act():
    loss = parse("0.5 * no.such.module:Loss() + Dice()")
    with pytest.raises(UserError, match="is known only by its text here; it is imported where a person writes it"):
        loss(LOGITS, TARGET)


def test_a_text_may_be_summed_wrapped_pickled_and_compared():
    loss = parse("FocalPower(a.b:C(x=1) + 2 * Dice(), exponent=0.5)")
    assert parse(repr(loss)) == loss
    assert pickle.loads(pickle.dumps(loss)) == loss
    assert loss.range[0] >= 0


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
LITERALS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True).filter(
    lambda name: name not in ("true", "false", "null")
)
FOREIGN = st.recursive(
    st.just(Dice()),
    lambda inner: st.builds(
        lambda path, arguments: Foreign(path=path, arguments=tuple(arguments.items())),
        st.sampled_from(["a:b", "a.b:C", "a.b.c:D.E"]),
        st.dictionaries(NAMES, LITERALS | inner, max_size=3),
    ),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(FOREIGN)
def test_any_foreign_value_can_be_read_back(loss):
    assert repr(parse(repr(loss))) == repr(loss)
    assert parse(repr(loss)) == loss


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(SCALARS, SCALARS)
def test_foreign_values_are_equal_by_text(one, other):
    one, other = (Foreign(path="a:b", arguments=(("x", value),)) for value in (one, other))
    assert (one == other) == (repr(one) == repr(other))
    assert one != other or hash(one) == hash(other)


@pytest.mark.parametrize(("one", "other"), [("1", "1.0"), ("1", "True"), ("0", "False"), ("0.0", "-0.0")])
def test_arguments_that_python_calls_equal_have_texts_of_their_own(one, other):
    assert (parse(f"a:b(x={one})") == parse(f"a:b(x={other})")) == (
        repr(parse(f"a:b(x={one})")) == repr(parse(f"a:b(x={other})"))
    )


@pytest.mark.parametrize("value", ["(1, 2)", "[1, 2]", "()", "(1.0,)", "((1, 2), 'x')", "[None, True]"])
def test_a_list_as_an_argument(value):
    loss = parse(f"a:b(x={value})")
    assert parse(repr(loss)) == loss


@pytest.mark.parametrize("value", ["(Dice())", "2 * Dice()", "(2 * Dice() + Focal)", "Dice + Focal"])
def test_a_loss_as_an_argument(value):
    assert dict(parse(f"a:b(x={value})").arguments)["x"] == parse(value)


@pytest.mark.parametrize("text", ["a:b(x=1, x=2)", "a:b(x=Dice(), y=1, x=Dice())"])
def test_an_argument_given_twice_is_refused(text):
    with pytest.raises(ExpressionError, match="twice"):
        parse(text)


def test_foreign_values_are_one_bounded_tree_too():
    loss = Dice()
    for _ in range(31):
        loss = Foreign(path="a:b", arguments=(("x", loss),))
    assert parse(repr(loss)) == loss
    with pytest.raises(FieldError, match="more than 32 values within each other"):
        Foreign(path="a:b", arguments=(("x", loss),))


# what a person writes


def test_a_module_is_made_with_the_arguments(someone):
    loss = read("someone:Squared(scale=3.0)")
    assert isinstance(loss, Foreign)
    assert loss(LOGITS, TARGET).item() == pytest.approx(3 * (LOGITS.sigmoid() - TARGET).square().mean().item())
    assert read("someone:Squared(3.0)")(LOGITS, TARGET) == loss(LOGITS, TARGET)
    assert read("someone:Holder.Inner(scale=3.0)")(LOGITS, TARGET) == loss(LOGITS, TARGET)


def test_a_function_is_called_with_the_arguments(someone):
    loss = read("someone:absolute(scale=2.0)")
    assert loss(LOGITS, TARGET).item() == pytest.approx(2 * (LOGITS.sigmoid() - TARGET).abs().mean().item())
    assert read("someone:absolute")(LOGITS, TARGET).item() == pytest.approx(loss(LOGITS, TARGET).item() / 2)


def test_arguments_of_a_function_have_names(someone):
    with pytest.raises(UserError):
        read("someone:absolute(2.0)")(LOGITS, TARGET)


def test_a_foreign_loss_has_a_gradient_and_takes_part_in_the_algebra(someone):
    logits = LOGITS.clone().requires_grad_()
    one, other = read("someone:absolute()"), Dice()
    total = 0.5 * one + other
    total(logits, TARGET).backward()
    assert logits.grad.abs().sum() > 0
    assert total(LOGITS, TARGET).item() == pytest.approx(
        0.5 * one(LOGITS, TARGET).item() + other(LOGITS, TARGET).item()
    )
    assert FocalPower(one, exponent=2.0)(LOGITS, TARGET).item() == pytest.approx(one(LOGITS, TARGET).item() ** 2)
    assert read(repr(total)) == total
    assert read("FocalPower(someone:absolute(), exponent=2.0)") == FocalPower(one, exponent=2.0)


@pytest.mark.parametrize("given", [{"weight": torch.ones(2)}, {"ignore_index": 255}], ids=["weight", "ignore_index"])
def test_weights_are_refused_rather_than_dropped(someone, given):
    for text in ("someone:absolute()", "Dice() + someone:absolute()"):
        with pytest.raises(UserError, match="someone:absolute is not ours and knows no weight map and no ignore_index"):
            read(text)(LOGITS, TARGET, **given)


@pytest.mark.parametrize("name", ["each", "number"])
def test_a_foreign_loss_gives_one_number(someone, name):
    with pytest.raises(UserError, match="must give one number as a tensor"):
        read(f"someone:{name}()")(LOGITS, TARGET)


def test_a_foreign_loss_is_identified_by_its_source(someone):
    loss = read("someone:absolute(scale=2.0)")
    assert loss.source == sha256(Path(someone).read_bytes()).hexdigest()
    assert loss == read("someone:absolute(scale=2.0)")
    assert loss != parse("someone:absolute(scale=2.0)")  # the text alone
    assert repr(loss) == repr(parse("someone:absolute(scale=2.0)"))
    someone.write_text(SOMEONES + "\n# another version\n")
    assert read("someone:absolute(scale=2.0)") != loss


def test_a_foreign_loss_can_be_pickled_after_use(someone):
    loss = read("someone:Squared(scale=3.0)")
    value = loss(LOGITS, TARGET)
    copy = pickle.loads(pickle.dumps(loss))
    assert copy == loss
    assert "_made" not in copy.__dict__
    assert copy(LOGITS, TARGET) == value


def test_the_promises_can_be_tried_on_a_foreign_loss(someone):
    assert not [error for error in check(read("someone:Squared()")) if "AttributeError" in str(error)]


# a loss written with this library, elsewhere


def test_a_loss_of_a_user_is_itself(someone):
    loss = read("someone:Mine(width=2, levels=[1, 2])")
    assert type(loss).__name__ == "Mine"
    assert repr(loss).startswith("someone:Mine(width=2.0, levels=(1.0, 2.0), lift=")
    assert loss.label == "Mine(width=2.0, levels=(1.0, 2.0))"
    assert parse(repr(loss)) == loss  # known by now, and not imported again
    assert loss(torch.zeros(1, 1), torch.ones(1, 1)) == 2


def test_a_loss_of_a_user_can_be_read_from_its_text_in_a_new_process(someone):
    text = repr(read("someone:Mine(levels=[1, 2])"))
    sys.modules.pop("someone")
    catalogue._known[Loss].pop("someone:Mine")
    assert repr(read(text)) == text


def test_a_wrapper_of_a_user_takes_a_loss(someone):
    for text in ("someone:Twice(Dice())", "someone:Twice(loss=Dice())", "someone:Twice((Dice()))"):
        assert read(text)(LOGITS, TARGET).item() == pytest.approx(2 * Dice()(LOGITS, TARGET).item())


@pytest.mark.parametrize(
    "text",
    [
        "someone:Mine(with=1)",
        "someone:Mine(width=-1)",
        "someone:Mine(1)",
        "someone:Mine(width=1, width=2)",
        "someone:Twice()",
        "someone:Twice(1)",
        "someone:Missing()",
        "someone:NOTHING()",
        "no.such.module:Loss()",
        "whichloss.core:MarginLoss()",
        "whichloss.core:RegionLoss(smooth=1)",
        "whichloss.core:Sum()",
        "whichloss.core:Sum(addends=[1])",
        "whichloss.core:Foreign(path='someone:absolute')",
    ],
)
def test_what_cannot_be_made_is_an_expression_error(someone, text):
    with pytest.raises(ExpressionError):
        read(text)


def test_an_import_that_fails_says_why(someone):
    someone.write_text("raise RuntimeError('half an installation')")
    with pytest.raises(
        ExpressionError, match="cannot import someone:x: RuntimeError: half an installation; is its folder"
    ):
        read("someone:x()")


def test_a_loss_of_ours_by_its_path_is_that_loss():
    assert read("whichloss.losses.region.dice:Dice(class_weight=(1, 2))") == Dice(class_weight=(1.0, 2.0))
