"""A value is its text: every loss can be read back, and every other text is refused with one kind of error."""

import io
import pickle
import random
import sys
import tokenize

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.random_losses import LOSSES, PLAIN, WRAPPERS, made, settings_of
from whichloss import AdaptiveLog, CrossEntropy, Dice, FocalPower, Hinge, SmoothHinge, parse
from whichloss.core import ExpressionError, FieldError, Sum, Value, foreign

quick = settings(max_examples=150, deadline=None, derandomize=True, database=None)


# there and back


@quick
@given(LOSSES)
def test_a_loss_can_be_read_back_from_its_text(loss):
    again = parse(repr(loss))
    assert again == loss
    assert hash(again) == hash(loss)
    assert repr(again) == repr(loss)
    assert repr(pickle.loads(pickle.dumps(loss))) == repr(loss)


@quick
@given(LOSSES)
def test_a_loss_can_be_read_back_from_its_label(loss):
    assert parse(loss.label) == loss


@quick
@given(
    st.one_of(
        st.tuples(LOSSES, LOSSES),
        st.sampled_from(PLAIN).flatmap(lambda cls: st.tuples(made([cls]), made([cls]))),
        LOSSES.map(lambda loss: (loss, parse(repr(loss)))),
    )
)
def test_equal_values_have_equal_texts_and_no_others_do(pair):
    one, other = pair
    assert (one == other) == (repr(one) == repr(other))
    assert one != other or hash(one) == hash(other)


def respelled(value):
    """The same, as another person would write it."""
    if isinstance(value, list | tuple):
        return tuple(map(respelled, value)) if isinstance(value, list) else list(map(respelled, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if value else -0.0
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


@quick
@given(st.sampled_from(PLAIN).flatmap(lambda cls: st.tuples(st.just(cls), settings_of(cls))))
def test_a_text_does_not_depend_on_how_a_person_writes_numbers(made_of):
    cls, fields = made_of
    try:
        one, other = cls(**fields), cls(**{name: respelled(value) for name, value in fields.items()})
    except FieldError:
        assume(False)
    assert one == other
    assert repr(one) == repr(other)


def spaced(text, gaps):
    """The tokens of a text with other white space between them; a sign is a part of its number."""
    tokens = [one.string for one in tokenize.generate_tokens(io.StringIO(text).readline) if one.string.strip()]
    return "".join(token + gaps[at % len(gaps)] * (token != "-") for at, token in enumerate(tokens))


@quick
@given(LOSSES, st.lists(st.sampled_from(["", " ", "  ", "\t", "\n", " \r\n "]), min_size=1, max_size=7))
def test_white_space_means_nothing(loss, gaps):
    assert parse(spaced(repr(loss), gaps)) == loss
    assert parse(gaps[0] + spaced(loss.label, gaps)) == loss


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Dice", Dice()),
        ("Dice()", Dice()),
        ("Dice(smooth=2)", Dice(smooth=2.0)),
        ("Dice(smooth=+.5e1,)", Dice(smooth=5.0)),
        ("Dice(smooth=-0.0)", Dice(smooth=0)),
        ("Dice(smooth=- 0.0)", Dice(smooth=0)),
        ('Dice(over="batch")', Dice(over="batch")),
        ("Dice(background=false, class_weight=null)", Dice(background=False)),
        ("Dice(class_weight=[1, 2])", Dice(class_weight=(1.0, 2.0))),
        ("Dice(class_weight=(1,))", Dice(class_weight=(1.0,))),
        ("(Dice())", Dice()),
        ("1 * Dice()", Dice()),
        ("Dice()+2*Hinge", Dice() + 2 * Hinge()),
        ("Dice() +2 * Hinge", Dice() + 2 * Hinge()),
        ("2 * (Dice() + 0.5 * Hinge())", 2 * Dice() + Hinge()),
        ("AdaptiveLog(Dice + 2 * CrossEntropy, scale=3)", AdaptiveLog(Dice() + 2 * CrossEntropy(), scale=3.0)),
        ("FocalPower(loss=Dice())", FocalPower(Dice())),
        ("FocalPower(2 * Dice())", FocalPower(2 * Dice())),
        ("FocalPower((Dice()))", FocalPower(Dice())),
        ("SmoothHinge(half_width=1e-3)", SmoothHinge(half_width=0.001)),
    ],
)
def test_what_a_person_may_write(text, value):
    assert parse(text) == value


def test_a_text_spells_every_field_and_a_label_only_what_is_unusual():
    loss = FocalPower(0.5 * Dice(over="batch") + CrossEntropy())
    assert loss.label == "FocalPower(0.5 * Dice(over='batch') + CrossEntropy)"
    assert repr(loss) == (
        "FocalPower(0.5 * Dice(over='batch', smooth=1.0, empty='formula', background=True, class_weight=None,"
        " classes='auto') + CrossEntropy(positive_weight=1.0, classes='auto'), exponent=0.75)"
    )


def test_what_is_particular_to_a_loss_comes_before_what_it_inherits():
    assert repr(SmoothHinge()).startswith("SmoothHinge(half_width=0.1, lift='one_versus_rest'")


def test_values_are_one_deep_tree_or_no_value():
    loss = Dice()
    for _ in range(31):
        loss = FocalPower(loss)
    assert parse(repr(loss)) == loss
    with pytest.raises(FieldError, match="more than 32 values within each other"):
        FocalPower(loss)


@pytest.mark.parametrize(
    "addends", [((1.0, Dice()),), ((2.0, Dice() + Hinge()),), ((1, Dice()), (2, Hinge()))], ids=str
)
def test_a_sum_made_by_hand_is_the_sum_of_the_algebra(addends):
    """Equal texts, equal values: either the sum is brought to its one form, or it is refused."""
    try:
        loss = Sum(addends=addends)
    except FieldError:
        return
    assert parse(repr(loss)) == loss


# what is refused, and how it is said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Lorentz()", "no loss is called 'Lorentz'; did you mean 'Lorenz'?"),
        ("dice()", "did you mean 'Dice'?"),
        ("Xyzzy()", "no loss is called 'Xyzzy'"),
        ("MarginLoss()", "no loss is called 'MarginLoss'"),
        ("Sum()", "no loss is called 'Sum'"),
        ("Dice(smoth=1)", "Dice has no field 'smoth': Dice(over, smooth, empty, background, class_weight, classes)"),
        ("Dice(smooth=1, smooth=2)", "Dice is given 'smooth' twice"),
        ("FocalPower(Dice(), loss=Dice())", "FocalPower is given 'loss' twice"),
        ("Dice(1)", "Dice takes its fields by name"),
        ("FocalPower()", "FocalPower needs loss: FocalPower(<loss>, exponent)"),
        ("FocalPower(exponent=2)", "FocalPower needs loss"),
        ("Dice(smooth=-1)", "Dice: smooth is -1; it must be a finite number at least 0"),
        ("Dice(smooth=1e999)", "Dice: smooth is inf; it must be a finite number at least 0"),
        ("Dice(smooth=True)", "Dice: smooth is True; it must be a finite number at least 0"),
        ("Dice(smooth='1')", "Dice: smooth is '1'"),
        ("Dice(smooth=None)", "Dice: smooth is None"),
        ("Dice(over='images')", "Dice: over is 'images'; it must be one of 'image', 'batch', 'ranks'"),
        ("Dice(background=1)", "Dice: background is 1; it must be True or False"),
        (
            "Dice(class_weight=[])",
            "Dice: class_weight is (); it must be a list of finite numbers, each at least 0, or None",
        ),
        ("Dice(class_weight=[1, -2])", "Dice: class_weight is (1, -2)"),
        ("Dice(class_weight=3)", "Dice: class_weight is 3"),
        ("Focal(alpha=1.5)", "Focal: alpha is 1.5; it must be a finite number at least 0 and at most 1, or None"),
        ("SmoothHinge(half_width=0)", "SmoothHinge: half_width is 0; it must be a finite number above 0"),
        ("Dice(smooth=Hinge())", "expected a number, a 'text', True, False, None or a list of these before 'Hinge'"),
        ("FocalPower(1)", "FocalPower: loss is 1; it must be a loss, such as Dice()"),
        ("0 * Dice()", "a loss can be weighted by a finite number above 0, not by 0"),
        ("-2 * Dice()", "a loss can be weighted by a finite number above 0, not by -2"),
        ("1e999 * Dice()", "a loss can be weighted by a finite number above 0, not by inf"),
        ("2 Dice()", "expected '*' before 'Dice'"),
        ("2 * 3 * Dice()", "expected a name such as 'Dice' before '3'"),
        ("Dice() Dice()", "expected a '+' or the end before 'Dice'"),
        ("Dice() - Dice()", "cannot read '- Dice()'"),
        ("Dice() +", "expected a name such as 'Dice' before 'the end'"),
        ("Dice(", "Dice takes its fields by name"),
        ("Dice(smooth=)", "expected"),
        ("Dice(smooth)", "Dice takes its fields by name"),
        ("Dice(smooth=1", "expected ')' before 'the end'"),
        ("", "expected a name such as 'Dice' before 'the end'"),
        ("__import__('os')", "no loss is called '__import__'"),
        ("Dice().__class__", "cannot read '.__class__'"),
        ("Dice(over='ba\ntch')", "cannot read"),
        ("Dice(over='\\q')", "means nothing"),
        ("Dice(over='\\U00110000')", "is no character"),
        (f"{'1' * 301} * Dice()", "is too long"),
        (" + ".join(["Dice()"] * 3000), "characters is too long; 20000 are read"),
        ("(" * 500 + "Dice()" + ")" * 500, "more than 32 values within each other"),
        ("Dice(class_weight=" + "[" * 500 + "]" * 500 + ")", "more than 32 lists within each other"),
        ("FocalPower(" * 40 + "Dice()" + ")" * 40, "more than 32 values within each other"),
    ],
)
def test_a_refusal_says_what_is_wrong(text, says):
    with pytest.raises(ExpressionError) as error:
        parse(text)
    assert says in str(error.value)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("thing", [None, 1, b"Dice()", Dice(), ["Dice()"]], ids=repr)
def test_only_a_text_is_read(thing):
    with pytest.raises(ExpressionError, match="an expression is a text such as"):
        parse(thing)


# anything at all

SEEDS = [
    "CrossEntropy() + 0.5 * Dice()",
    "FocalPower(Tversky(fp=0.3, fn=0.7, over='batch'), exponent=0.75)",
    "AdaptiveLog(Dice(class_weight=(1.0, 2.0), background=False) + 2 * Focal(alpha=None, gamma=2e0))",
    "Hinge(lift='each_rival', per_class=\"sum\", scores='softmax')",
    "0.25 * CrossEntropy(positive_weight=3) + (Lorenz + Tangent(form='original'))",
    "someone.losses:Mine(a=1, b='x', c=[1, (2, 3)], d=Dice()) + 3 * Dice",
    "FocalPower(someone.losses:Mine(), exponent=2)",
]
SOUP = [
    *(
        [
            "Dice",
            "Hinge",
            "FocalPower",
            "AdaptiveLog",
            "CrossEntropy",
            "Focal",
            "Sum",
            "Foreign",
            "smooth",
            "exponent",
            "over",
            "loss",
            "alpha",
            "x",
        ]
    ),
    *(
        [
            "(",
            ")",
            "(",
            ")",
            "[",
            "]",
            ",",
            ",",
            "=",
            "=",
            "+",
            "*",
            ":",
            ".",
            "a:b",
            "a.b:c.d",
            "None",
            "True",
            "false",
            "null",
            "''",
            "'batch'",
            '"sum"',
            "'\\x41'",
            "'\\'",
            "\\",
            "#",
        ]
    ),
    *(
        [
            "0",
            "1",
            "-1",
            "+2",
            "0.5",
            ".5",
            "1.",
            "1e5",
            "1e999",
            "-0.0",
            "1e-400",
            "0x10",
            "1_000",
            "inf",
            "nan",
            "00",
            "1.2.3",
            "99999999999999999999",
        ]
    ),
    " ",
    "\n",
    "\t",
]
LETTERS = [
    *map(chr, range(32, 127)),
    *"\0\n\r\t\x0b\x1c\x85\xa0\u2028\u3000\ud800\ufeffé²٣\U0001d7d7ªDice()",
    *"()=,*+:'0123456789.",
]


def anything(rng):
    """A text: random letters, a valid expression with a few mistakes, or its words in any order."""
    sort = rng.random()
    if sort < 0.25:
        return "".join(rng.choices(LETTERS, k=rng.randrange(30)))
    if sort < 0.5:
        return rng.choice(["", " "]).join(rng.choices(SOUP, k=rng.randrange(1, 14)))
    letters = list(rng.choice(SEEDS))
    for _ in range(rng.randrange(1, 4)):
        at, mistake = rng.randrange(len(letters)), rng.randrange(4)
        if mistake == 0:
            del letters[at : at + rng.choice([1, 1, 1, 5])]
        elif mistake == 1:
            letters.insert(at, rng.choice(rng.choice([LETTERS, SOUP])))
        elif mistake == 2:
            other = rng.randrange(len(letters))
            letters[at], letters[other] = letters[other], letters[at]
        else:
            letters[at:at] = letters[at : at + rng.randrange(12)]
    return "".join(letters)


def test_any_text_is_a_value_or_an_expression_error_and_imports_nothing(monkeypatch):
    imported = []
    monkeypatch.setattr(foreign, "import_module", imported.append)
    modules = set(sys.modules)
    rng = random.Random(2024)
    values = 0
    for _ in range(100_000):
        text = anything(rng)
        try:
            value = parse(text)
        except ExpressionError:
            continue
        except Exception as error:
            pytest.fail(f"{type(error).__name__}: {error} from {text!r}")
        assert isinstance(value, Value), text
        spelled = repr(value)
        assert parse(spelled) == value, text
        assert repr(parse(spelled)) == spelled, text
        values += 1
    assert values > 3_000  # it does not only see nonsense
    assert not imported
    assert set(sys.modules) == modules


def test_the_classes_that_wrap_are_known():
    assert {AdaptiveLog, FocalPower} <= set(WRAPPERS)


def test_a_field_without_default_is_asked_for():
    with pytest.raises(ExpressionError, match="KorniaFocal needs num_classes"):
        parse("KorniaFocal()")
