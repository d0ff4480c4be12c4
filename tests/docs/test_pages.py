"""The pages that are computed: one for each loss, the sources, the command line."""

import doctest
import inspect
import re
import subprocess
import sys
from dataclasses import fields

import pytest

import whichloss
from pages import drawing, formulas, sources
from pages.commands import commands_page, verbs
from pages.example import example, printed
from pages.facts import FAMILIES, meanings
from pages.loss import address, loss_page, ours, prose
from pages.sources import cited
from pages.uses import derived, uses, written
from whichloss.cli.curve import curve_of
from whichloss.core import Loss, PresetLoss, parse, registry

assert whichloss.losses
LOSSES = [pytest.param(cls, id=cls.__name__) for cls in ours()]


def of_ours() -> set[str]:
    return {
        name
        for name, cls in registry(Loss).items()
        if cls.__module__.startswith("whichloss.losses.") and not inspect.isabstract(cls)
    }


def test_every_loss_has_a_page_of_its_own():
    assert {cls.__name__ for cls in ours()} == of_ours()
    assert len({address(cls) for cls in ours()}) == len(ours())
    assert {cls.__module__.split(".")[2] for cls in ours()} <= set(FAMILIES)


@pytest.mark.parametrize("cls", LOSSES)
def test_the_page_of_a_loss_has_every_part(cls: type[Loss]):
    page, loss = loss_page(cls), cls.examples()[0]
    heads = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert page.startswith(f"# {cls.__name__}\n")
    assert {"When to use it", "Example", "Properties", "Fields", "Source"} <= set(heads)
    assert ("Curve" in heads) == (loss.axis is not None) and page.count("<svg") == (2 if loss.axis else 0)
    assert ("The same as" in heads) == bool(loss.card.equals)
    for part in (*loss.card.aliases, *loss.card.peers.values(), *(text for pair in loss.card.equals for text in pair)):
        assert part in page
    assert {one.name for one in fields(cls)} == set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert loss.card.equation in page and sources.sources()[loss.card.source].text in page


@pytest.mark.parametrize("cls", LOSSES)
def test_every_formula_of_a_docstring_becomes_mathml(cls: type[Loss]):
    text = prose(cls)
    found = re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL) + re.findall(r"(?<!\$)\$([^$]+)\$(?!\$)", text)
    assert found, f"{cls.__name__} shows no formula"
    assert all(formulas.mathml(latex).startswith("<math") for latex in found)


def test_a_command_that_mathml_does_not_know_is_named():
    with pytest.raises(ValueError, match=r"\\nonsense is not understood"):
        formulas.mathml(r"\nonsense x")


@pytest.mark.parametrize("cls", LOSSES)
def test_the_number_of_the_example_is_what_its_lines_print(cls: type[Loss]):
    """The lines of the page, and the value worked out again on the same tensors, in double precision."""
    page = loss_page(cls)
    [code] = re.findall(r"```python\n(.*?)\n```", page, re.DOTALL)
    [shown] = re.findall(r"```text title=\"prints\"\n(.*?)\n```", page, re.DOTALL)
    names: dict = {}
    exec(code.replace("print(", "str("), names)
    value = names["loss"](names["logits"].double(), names["target"])
    assert float(shown) == pytest.approx(float(value), abs=1e-4)
    assert parse(re.findall(r'parse\("(.+)"\)', code)[0]) == cls.examples()[0]


def test_an_example_runs_in_a_python_of_its_own():
    code = example(parse("SmoothHinge()"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # margins 2, -0.3 and -1.5: 0, 1.3 and 2.5 beyond the rounded corner
    assert done.stdout.strip() == printed(code) == f"{(0 + 1.3 + 2.5) / 3:.4f}"


@pytest.mark.parametrize("cls", LOSSES)
def test_the_curve_that_is_drawn_is_that_of_the_formula(cls: type[Loss]):
    """Points of the polyline brought back into numbers by the ticks beside it."""
    loss = cls.examples()[0]
    if loss.axis is None:
        assert "<svg" not in loss_page(cls)
        return
    curve = curve_of(loss)
    value, slope = re.findall(r"<svg.*?</svg>", drawing.drawing(loss), re.DOTALL)
    for svg, line in ((value, curve.value), (slope, curve.slope)):
        points = [tuple(map(float, one.split(","))) for one in re.findall(r'points="([^"]+)"', svg)[0].split()]
        grid = re.findall(r'd="M46 ([\d.]+)H.*?<text[^>]*>([^<]+)</text>', svg)
        low, high = ((float(y), float(text.replace("\u2212", "-"))) for y, text in (grid[0], grid[-1]))
        per_pixel = (high[1] - low[1]) / (high[0] - low[0])
        for at in (0, len(points) // 2, len(points) - 1):
            read = low[1] + (points[at][1] - low[0]) * per_pixel
            meant = float(line[at * (len(line) - 1) // (len(points) - 1)])
            assert read == pytest.approx(meant, abs=abs(per_pixel))
        assert points[0][0] < points[-1][0]


def test_fields_are_explained_by_their_class_or_by_its_family():
    told = {name: meaning for name, _, meaning in meanings(type(parse("SmoothHinge()")))}
    assert told["half_width"].startswith("of the rounded corner, in margin units")
    assert "`one_versus_rest`" in told["lift"]
    region = {name: meaning for name, _, meaning in meanings(type(parse("Tversky()")))}
    assert region["fn"].startswith("price of a false negative")
    assert region["smooth"].startswith("imagined true positives, added to every TP")
    assert region["empty"].endswith("one of `formula`, `skip`, `zero`, `volume`")


# when to use it


def test_what_is_written_about_uses_is_about_losses_of_ours():
    for name, told in written().items():
        assert name in of_ours() and set(told) == {"use", "avoid"}
        assert all(text.endswith(".") and len(text) < 240 for text in told.values()), name
        assert not issubclass(registry(Loss)[name], PresetLoss), f"{name} says its use by what it means"


@pytest.mark.parametrize("cls", LOSSES)
def test_every_loss_says_when_to_use_it_and_when_not(cls: type[Loss]):
    loss = cls.examples()[0]
    for told in (uses(loss), derived(loss)):
        assert all(len(text) > 10 and text[0].isupper() and text.endswith(".") for text in told)


def test_what_is_derived_is_true():
    good, bad = derived(parse("Savage()"))
    assert "costs at most 1, however wrong" in good and "gives some of them up" in bad
    assert "convex" in derived(parse("Logistic()"))[0] and "convex" not in derived(parse("Lorenz()"))[0]
    assert "skip_easy" in derived(parse("Hinge()"))[0] and "skip_easy" not in derived(parse("Logistic()"))[0]
    assert "square of the number" in derived(parse("Triplet()"))[1]
    assert derived(parse("ZeroOne()"))[0] == "To evaluate."


# sources


@pytest.mark.parametrize(
    ("key", "short", "text"),
    [
        (
            "gneiting2007strictly",
            "Gneiting and Raftery 2007",
            "Tilmann Gneiting and Adrian E. Raftery. *Strictly proper scoring rules, prediction, and estimation*."
            " Journal of the American Statistical Association 102(477), 359\u2013378. 2007.",
        ),
        (
            "hermans2017defense",
            "Hermans et al. 2017",
            "Alexander Hermans, Lucas Beyer and Bastian Leibe. *In Defense of the Triplet Loss for Person"
            " Re-Identification*. arXiv:1703.07737. 2017.",
        ),
        (
            "hsu1996multiple",
            "Hsu 1996",
            "Jason C. Hsu. *Multiple comparisons: theory and methods*. Chapman and Hall. 1996.",
        ),
        ("monai", "MONAI: Medical Open Network for AI", "*MONAI: Medical Open Network for AI*. 2026."),
    ],
)
def test_a_source_in_words(key: str, short: str, text: str):
    source = sources.sources()[key]
    assert (source.short, source.text) == (short, text)


def test_no_tex_is_left_in_the_references():
    assert re.findall(r"[{}\\]", "".join(source.text for source in sources.sources().values())) == []


def test_a_source_that_is_not_there_is_named():
    with pytest.raises(KeyError, match="nobody1900"):
        cited("as is well known [@nobody1900]")
    assert cited("[@hsu1996multiple]", up="../") == "([Hsu 1996](../references.md#hsu1996multiple))"


# the command line


def test_the_page_of_commands_has_every_verb_and_option():
    page = commands_page()
    assert {"losses", "run", "report", "compare", "init", "doctor"} <= set(verbs())
    for verb, command in verbs().items():
        part = page.split(f"## whichloss {verb}\n")[1].split("\n## ")[0]
        for one in command.params:
            assert one.name == "help" or all(option in part for option in one.opts if option.startswith("-"))
    assert "| 130 |" in page


@pytest.mark.parametrize("module", [formulas, sources, drawing], ids=lambda one: one.__name__)
def test_examples_in_the_docstrings_hold(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed
