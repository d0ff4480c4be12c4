"""The catalogue, for people and for programs; and one loss."""

import json
import math
import re
from pathlib import Path

import pytest

import whichloss
from small_studies import cli, write_code
from whichloss.core import Loss, parse, registry

FAMILIES = {"margin", "likelihood", "region", "boundary", "embedding", "regression", "wrap", "compat"}


def names() -> list[str]:
    assert whichloss.losses
    return [name for name in registry(Loss) if ":" not in name]


def test_the_table_shows_every_loss() -> None:
    answer = cli("losses")
    assert (answer.code, answer.err) == (0, "")
    for name in names():
        assert re.search(rf"^{name}\b", answer.out, re.MULTILINE), name


def test_the_list_for_programs_says_the_same() -> None:
    answer = cli("losses", "--json")
    assert answer.code == 0
    listed = json.loads(answer.out)
    assert {one["name"] for one in listed} >= set(names())
    bibliography = (Path(__file__).parents[2] / "src" / "whichloss" / "references.bib").read_text()
    for one in listed:
        if one["name"] not in names():
            continue
        assert parse(one["expression"]).label == one["label"]
        assert type(parse(one["expression"])).__name__ == one["name"]
        assert one["family"] in FAMILIES
        assert one["meaning"] and one["meaning"][-1] == "."
        assert f"{{{one['source']}," in bibliography, one["name"]
        low, high = one["range"]
        assert high is None or low is None or low < high


def test_one_loss_for_programs_is_one_object() -> None:
    one = json.loads(cli("losses", "SmoothHinge(half_width=0.5)", "--json").out)
    assert (one["name"], one["label"], one["family"]) == ("SmoothHinge", "SmoothHinge(half_width=0.5)", "margin")


def test_one_loss_comes_with_formula_card_and_curve() -> None:
    answer = cli("losses", "Logistic")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert parse(lines[0]) == parse("Logistic()")
    assert r"\ell(m) = \ln(1 + e^{-m})" in answer.out
    assert "barbu2018robust" in answer.out and "(2)" in answer.out
    assert "log loss" in answer.out


def test_the_curve_is_that_of_the_formula() -> None:
    """Worked out again from ln(1 + e^-m): the row of the star in each column."""
    lines = cli("losses", "Logistic()").out.splitlines()
    axis = next(at for at, line in enumerate(lines) if line and set(line.strip()) == {"-"})
    begins, columns = lines[axis].index("-"), lines[axis].count("-")
    top = max(at for at in range(axis) if not lines[at].strip()) + 1
    height = axis - top - 1
    assert height >= 8 and columns >= 40
    assert "-3" in lines[axis + 1] and "margin" in lines[axis + 1]
    highest, lowest = (math.log1p(math.exp(-margin)) for margin in (-3, 2))
    assert f"{lowest:.2f}" in lines[axis + 2] and f"{highest:.2f}" in lines[axis + 2]
    for column in range(columns):
        rows = [at for at in range(top, axis) if lines[at].ljust(begins + columns)[begins + column] == "*"]
        margin = -3 + 5 * column / (columns - 1)
        level = height * (math.log1p(math.exp(-margin)) - lowest) / (highest - lowest)
        assert len(rows) == 1
        assert axis - 1 - rows[0] == pytest.approx(level, abs=0.51)


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_curve_can_be_kept_as_a_picture(tmp_path: Path, ending: str, begins: bytes) -> None:
    path = tmp_path / f"curve.{ending}"
    assert cli("losses", "Logistic", "--plot", path).code == 0
    assert path.read_bytes().startswith(begins)


@pytest.mark.parametrize(
    ("expression", "file", "says"),
    [
        ("Dice() + CrossEntropy()", "a.png", "no curve"),
        ("Logistic", "a.xyz", "a.xyz"),
        ("Logistic", "no/folder/a.png", "no/folder/a.png"),
    ],
)
def test_a_picture_that_cannot_be_made_is_a_mistake(tmp_path: Path, expression: str, file: str, says: str) -> None:
    answer = cli("losses", expression, "--plot", file, here=tmp_path)
    assert answer.code == 2
    assert says in answer.err and "Traceback" not in answer.err


@pytest.mark.parametrize("expression", ["Dice", "CrossEntropy() + 0.5 * Dice()", "AdaptiveLog(Dice())", "Tangent()"])
def test_every_kind_of_loss_is_shown(expression: str) -> None:
    answer = cli("losses", expression)
    assert (answer.code, answer.err) == (0, "")
    assert parse(answer.out.splitlines()[0]) == parse(expression)


@pytest.mark.parametrize("name", names())
def test_every_loss_is_shown(name: str) -> None:
    shown = repr(registry(Loss)[name].examples()[0])
    assert cli("losses", shown).code == 0
    assert json.loads(cli("losses", shown, "--json").out)["expression"] == shown


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Dise", "did you mean 'Dice'?"),
        ("Dice(smooth=-1)", "smooth"),
        ("0.5 *", "expected"),
        ("no:where", "no:where"),
        ("LDAM()", "counts"),
        ("LDAM(counts=(9, 0))", "each above 0"),
        ("Normalized(Dice())", "CrossEntropy(), Focal() and ReverseCrossEntropy() are"),
        ("Normalized(Focal(alpha=0.25))", "weighs yes against no"),
        ("ReverseCrossEntropy(A=0)", "such as -4"),
        ("BiTempered(t1=1, t2=0.9)", "take t1 below 1"),
        ("Asymmetric(clip=2)", "clip is 2"),
        ("Poly1(epsilon=-2)", "at least -1"),
        ("NegativeLearning(labels='drawn')", "'complementary'"),
        ("ModifiedFocal(suppress='foreground')", "'background', 'all'"),
    ],
)
def test_an_unknown_loss_is_a_mistake(name: str, says: str) -> None:
    answer = cli("losses", name)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err and len(answer.err.splitlines()) == 1


def test_a_loss_of_somebody_elses_is_shown(tmp_path: Path) -> None:
    code = write_code(
        tmp_path, 'def mine(logits, target):\n    """My own."""\n    return (logits - target).abs().mean()\n'
    )
    answer = cli("losses", f"{code}:mine", here=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"{code}:mine()")
    listed = json.loads(cli("losses", f"{code}:mine", "--json", here=tmp_path).out)
    assert listed["family"] == "foreign"


@pytest.mark.parametrize("name", names())
def test_every_loss_has_a_curve_in_the_terminal_or_says_why_not(name: str) -> None:
    answer = cli("losses", registry(Loss)[name].examples()[0].label)
    assert answer.code == 0
    assert ("* value" in answer.out and ". slope" in answer.out) or "no curve: a function of several" in answer.out


def test_the_curve_of_a_sum_is_the_sum_of_the_curves() -> None:
    drawn = cli("losses", "2 * CrossEntropy() + Focal(gamma=0)").out.splitlines()[-12 - 3 :]
    assert drawn[:-1] == cli("losses", "CrossEntropy()").out.splitlines()[-12 - 3 : -1]  # but for the ends of the axis
    assert "0.03 to 12.00" in drawn[-1]
