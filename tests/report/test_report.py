"""The page says what the verdict says, to everyone, without a network."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import FrozenInstanceError, replace
from importlib.resources import files
from itertools import pairwise
from math import nan
from typing import Any

import pytest
from dom import Dom
from edges import NASTY, failed, named

from whichloss.report import Curve, Picture, Recipe, Record, page
from whichloss.report.inks import inks
from whichloss.report.numerals import number, places, plain
from whichloss.report.page import contents
from whichloss.report.part import Part
from whichloss.report.tables import Table
from whichloss.report.words import HEADS, meaning


def without_plotly(html: str) -> str:
    return re.sub(r'<script id="plotly">.*?</script>', "", html, flags=re.DOTALL)


# --- what it says ---


def test_verdict_comes_first_in_its_own_sentences(record: Record) -> None:
    visible = Dom(page(record)).visible
    where = [visible.index(part) for part in (*record.verdict["sentences"], *record.verdict["warnings"])]
    assert where == sorted(where)
    assert where[-1] < visible.index("Differences to")


def test_every_number_of_the_comparisons_is_on_the_page(record: Record) -> None:
    dom = Dom(page(record))
    for c in record.verdict["comparisons"]:
        exact = [c[key] for key in ("difference", "low", "high", "standard_error", "df", "pairs", "failed_pairs")]
        assert set(exact) <= set(dom.numbers["details"])
        assert {c["difference"], c["low"], c["high"]} <= set(dom.numbers["overview"])
        assert f"{c['difference']:+.4f}".replace("-", "\u2212") in dom.texts["overview"]
        for key in ("label", "decision", "decision_half_rope", "decision_double_rope"):
            assert c[key] in dom.texts["overview"]
        again = c["without_failures"] or {}
        assert {x for x in again.values() if isinstance(x, float)} <= set(dom.numbers["details"])
    for loss in record.verdict["losses"]:
        assert {loss[key] for key in ("mean", "sd", "runs", "failed")} <= set(dom.numbers["overview"])


def test_figures_hold_the_same_numbers(record: Record) -> None:
    drawings = json.loads(Dom(page(record)).texts["figures"])
    drawn = {trace["x"][0]: trace["error_x"] for trace in drawings["differences"]["data"]}
    for c in record.verdict["comparisons"]:
        error = drawn[c["difference"]]
        assert c["difference"] + error["array"][0] == pytest.approx(c["high"])
        assert c["difference"] - error["arrayminus"][0] == pytest.approx(c["low"])
    rope = drawings["differences"]["layout"]["shapes"][0]
    assert (rope["x0"], rope["x1"]) == (-0.01, 0.01)
    assert [t["meta"] for t in drawings["curve-0"]["data"]] == [c.loss for c in record.curves[:5]] * 2


def test_one_colour_per_loss_in_every_figure(record: Record) -> None:
    drawings = json.loads(Dom(page(record)).texts["figures"])
    forest = {t["text"][0].split("<br>")[0]: t["error_x"]["color"] for t in drawings["differences"]["data"]}
    for name in ("curve-0", "curve-1"):
        lines = {t["text"]: t["line"]["color"] for t in drawings[name]["data"] if "text" in t}
        assert forest.items() <= lines.items()


def test_other_measures_are_marked_descriptive_and_leave_the_primary_to_the_verdict(record: Record) -> None:
    dom = Dom(page(record))
    assert "Descriptive" in dom.texts["other-0-caption"] and "label_noise=0.2" in dom.texts["other-0-caption"]
    assert "Sensitivity at 3 FP per volume (%)" in dom.texts["other-0"]
    assert "FrocArea" not in dom.texts["other-0"]
    assert "FrocArea" in dom.texts["other-1"]  # another cell, about which the verdict says nothing
    assert "Tangent(form='original')" in dom.texts["failures"]  # there, too, a loss goes by its label
    assert 61.01 in [round(x, 6) for x in dom.numbers["other-0"]]  # the mean of 61.000, 61.004, ... 61.020


def test_a_lower_metric_says_that_the_sign_is_turned(with_verdict: Callable[..., Record]) -> None:
    assert "the sign is turned" in Dom(page(with_verdict(higher_is_better=False))).visible
    assert "the sign is turned" not in Dom(page(with_verdict())).visible


def tables_in(content: Any) -> list[Table]:
    """Every table of a page, wherever it stands."""
    if isinstance(content, Table):
        return [content]
    if isinstance(content, Part):
        return list(content.tables)
    inside = content.values() if isinstance(content, dict) else content if isinstance(content, list | tuple) else ()
    return [table for one in inside for table in tables_in(one)]


def test_every_column_has_a_plain_line(record: Record) -> None:
    recipe = Recipe("Lorenz()", "Lorenz()", "Adam", {"lr": 0.1}, "detection", 2, 1, settings={"training.lr": 0.1})
    full = replace(record, recipes=(recipe,), meanings={"Hausdorff95()": "How far the worst boundary point is off."})
    found = tables_in(contents(full))
    assert {"overview", "details", "other-0", "costs", "failures", "settings"} <= {table.id for table in found}
    for table in found:
        for title, _ in table.head:
            line = meaning(title, table.notes)
            assert len(line) > 15 and line.endswith("."), (table.id, title)
    assert set(HEADS) <= {title for table in found for title, _ in table.head}, "a line about a column that is gone"
    visible = Dom(page(full)).visible
    assert "How far the worst boundary point is off: mean" in visible


def test_what_was_tuned_is_told_for_every_loss(record: Record) -> None:
    """Few values one by one with how often they were chosen, many from least to most."""

    def recipes(loss: str, rates: list[Any], name: str = "training.lr") -> list[Recipe]:
        return [Recipe(loss, loss, "Adam", {}, "detection", 2, 1, settings={name: one}, fold=at)
                for at, one in enumerate(rates)]  # fmt: skip

    several = recipes("Lorenz()", [0.1, 0.3, 0.1]) + recipes("Tangent()", [0.1, 0.2, 0.4, 0.8, 0.3])
    several += recipes("SmoothHinge(half_width=0.1)", [True, True], "training.nesterov")
    table = contents(replace(record, recipes=tuple(several)))["settings"]
    shown = {row[0].pieces[0]: [cell.pieces[0] for cell in row[2:]] for row in table.rows}
    assert shown["Lorenz"] == ["0.1 (2), 0.3 (1)", "\u2013"]
    assert shown["Tangent(form='original')"] == ["0.1 to 0.8", "\u2013"]
    assert shown["SmoothHinge"] == ["\u2013", "True"]


def test_interim_and_weak_are_said(with_verdict: Callable[..., Record], record: Record) -> None:
    assert "Interim." not in Dom(page(record)).visible
    weak = with_verdict(interim=True, design={**record.verdict["design"], "df": 2})
    visible = Dom(page(weak)).visible
    assert "Interim." in visible and "only 2: the test is weak" in visible


def test_snippet_keeps_the_baseline_where_nothing_speaks_against_it(record: Record) -> None:
    visible = Dom(page(record)).visible
    assert "loss = whichloss.parse('Lorenz()')\n# or: loss = whichloss.parse('Tangent()')" in visible
    assert "Logistic is not among them" in visible
    verdict = deepcopy(dict(record.verdict))
    verdict["losses"][0]["in_best_set"] = True
    visible = Dom(page(replace(record, verdict=verdict))).visible
    assert """\nloss = whichloss.parse("Logistic(lift='one_versus_rest')")\n# or""" in visible
    assert "nothing here asks you to change it" in visible


def test_the_verdict_is_embedded_for_machines(record: Record) -> None:
    assert json.loads(Dom(page(record)).texts["verdict"]) == record.verdict
    nasty = named(record, NASTY)
    assert json.loads(Dom(page(nasty)).texts["verdict"]) == nasty.verdict


# --- whoever named it ---


def test_names_are_text_never_markup(record: Record) -> None:
    plain_dom, dom = Dom(page(record)), Dom(page(named(record, NASTY)))
    assert [tag for tag, _ in dom.tags].count("script") == [tag for tag, _ in plain_dom.tags].count("script")
    assert not [attrs for tag, attrs in dom.tags if tag == "a" and not (attrs["href"] or "").startswith("#")]
    assert {tag for tag, _ in dom.tags} <= {tag for tag, _ in plain_dom.tags}
    assert dom.visible.count(NASTY) > 20
    assert NASTY in {attrs["data-loss"] for attrs in dom.having("data-loss")}


def test_plotly_is_given_no_markup_either(record: Record) -> None:
    """Plotly reads tags and links in every text it draws."""
    figures = Dom(page(named(record, NASTY))).texts["figures"]
    assert "<" not in figures  # escaped for HTML: \u003c
    drawn = json.loads(figures)
    texts = [note["text"] for note in drawn["differences"]["layout"]["annotations"]]
    texts += [trace["text"] for trace in drawn["curve-0"]["data"] if "text" in trace]
    texts += [
        drawn["curve-0"]["layout"]["xaxis"]["title"]["text"],
        drawn["differences"]["data"][0]["text"][0],
    ]
    assert not [text for text in texts if "<" in text.replace("<br>", "")]


def test_half_a_character_in_a_crash_message_does_not_spoil_the_page(record: Record) -> None:
    broken = replace(record, failures=({**record.failures[0], "message": "caf\udce9"},))
    assert page(broken).encode("utf-8")


# --- where it is read ---


def test_nothing_is_fetched(record: Record) -> None:
    html = page(record)
    dom = Dom(html)
    for key in ("src", "href", "srcset", "action", "poster", "xlink:href"):
        assert all((attrs[key] or "").startswith(("#", "data:")) for attrs in dom.having(key))
    own = without_plotly(html)
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|fetch\(|XMLHttpRequest", own)
    policy = next(attrs["content"] for attrs in dom.having("http-equiv")) or ""
    assert policy.startswith("default-src 'none'")


def test_one_plotly_and_a_bounded_size(record: Record) -> None:
    html = page(record)
    assert html.count("plotly.js v") == 1
    assert len(html.encode()) < 8_000_000


def test_same_record_same_bytes(record: Record) -> None:
    assert page(record) == page(deepcopy(record))


def test_keyboard_and_screen_reader(record: Record) -> None:
    dom = Dom(page(record))
    headings = [int(tag[1]) for tag, _ in dom.tags if re.fullmatch("h[1-6]", tag)]
    assert headings.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(headings))
    ids = [attrs["id"] for attrs in dom.having("id")]
    assert len(ids) == len(set(ids))
    referred = {attrs[key] for key in ("aria-labelledby",) for attrs in dom.having(key)}
    referred |= {(attrs["href"] or "")[1:] for tag, attrs in dom.tags if tag == "a"}
    assert referred <= set(ids)
    plots = [attrs for _, attrs in dom.tags if attrs.get("class") == "plot"]
    assert len(plots) == 3 and all(attrs["role"] == "img" and attrs["aria-label"] for attrs in plots)
    boxes = [attrs for _, attrs in dom.tags if attrs.get("class") == "box"]
    assert boxes and all(attrs["tabindex"] == "0" for attrs in boxes)
    heads = [i for i, (tag, attrs) in enumerate(dom.tags) if attrs.get("scope") == "col"]
    assert heads and all(dom.tags[i + 1][0] == "button" for i in heads)


def test_colours_stand_out_in_both_themes() -> None:
    """3:1 for figures and 4.5:1 for text (WCAG 2.2), from the style sheet itself."""

    def luminance(color: str) -> float:
        channels = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    def contrast(a: str, b: str) -> float:
        dark, light = sorted((luminance(a), luminance(b)))
        return (light + 0.05) / (dark + 0.05)

    css = files("whichloss.report").joinpath("page.css").read_text("utf-8")
    blocks = re.findall(r":root(?:\S*) \{(.*?)\}", css, flags=re.DOTALL)
    light, dark = (dict(re.findall(r"(--[a-z0-9-]+): (#[0-9a-f]{6});", block)) for block in blocks[:2])
    for theme in (light, dark):
        for name, color in theme.items():
            if name.startswith("--loss"):
                assert min(contrast(color, theme[ground]) for ground in ("--paper", "--rope")) >= 3, name
        for name in ("--ink", "--quiet", "--link", "--warn"):
            assert contrast(theme[name], theme["--paper"]) >= 4.5, name
    assert {name for name in light if "loss" in name} == {name for name in dark if "loss" in name}


# --- little, much, nothing ---


def test_no_intervals_yet(record: Record) -> None:
    verdict = deepcopy(dict(record.verdict))
    for c in verdict["comparisons"]:
        empty = (
            "standard_error",
            "df",
            "low",
            "high",
            "decision",
            "decision_half_rope",
            "decision_double_rope",
        )
        c.update(dict.fromkeys(empty), reason="", without_failures=None)
    verdict["comparisons"][0]["difference"] = None
    verdict["losses"][1].update(mean=None, sd=nan, in_best_set=None)
    verdict.update(rope=None, unit=None, warnings=[], sentences=["No interval yet.", "Run more."])
    verdict["design"].update(df=None, n_train=None)
    dom = Dom(page(replace(record, verdict=verdict)))
    assert "no interval" in next(a["aria-label"] or "" for a in dom.having("role") if a["role"] == "img")
    assert "nan" not in dom.texts["overview"].lower() and "None" not in dom.texts["overview"]
    assert "states none" in dom.visible
    assert json.loads(dom.texts["verdict"])["losses"][1]["sd"] is None
    assert len(json.loads(dom.texts["figures"])["differences"]["data"]) == 3


def test_one_loss_alone(record: Record) -> None:
    verdict = {**record.verdict, "losses": record.verdict["losses"][:1], "comparisons": [], "best_set": []}
    dom = Dom(page(replace(record, verdict=verdict)))
    assert "nothing to compare" in dom.visible
    assert "details" not in dom.texts and "differences" not in json.loads(dom.texts["figures"])


def test_twenty_losses_have_twenty_inks(record: Record) -> None:
    labels = [f"Tversky(fp={i / 20}, fn={1 - i / 20})" for i in range(20)]
    assert len(set(inks(labels, labels[0]).values())) == 20
    verdict: dict[str, Any] = deepcopy(dict(record.verdict))
    loss, c = verdict["losses"][0], verdict["comparisons"][0]
    verdict["losses"] = [{**loss, "loss": label, "label": label} for label in labels]
    verdict["comparisons"] = [{**c, "loss": label, "label": label} for label in labels[1:]]
    verdict.update(baseline=labels[0], baseline_label=labels[0])
    curves = tuple(replace(record.curves[0], loss=label) for label in labels)
    html = page(replace(record, verdict=verdict, curves=curves))
    dom = Dom(html)
    assert len(dom.numbers["details"]) == 19 * 7
    assert [a["aria-pressed"] for a in dom.having("aria-pressed")].count("true") == 8
    assert len(html.encode()) < 8_000_000


def test_a_bare_record(record: Record) -> None:
    bare = replace(
        record,
        question="",
        results=(),
        costs=(),
        curves=(),
        failures=(),
        provenance={},
        study_text="",
        labels={},
    )
    dom = Dom(page(bare))
    assert dom.texts.keys().isdisjoint({"curves", "cost", "other-measures"})
    assert "No failed run" in dom.visible


def test_a_curve_with_gaps(record: Record) -> None:
    gap = Curve("t", "x", "y", "Lorenz", (0.0, 1.0, 2.0), (0.1, nan, 0.3), (0.0, nan, 0.2), (0.2, nan, 0.4))
    drawings = json.loads(Dom(page(replace(record, curves=(gap,)))).texts["figures"])
    band, line = drawings["curve-0"]["data"]
    assert line["y"] == [0.1, None, 0.3]
    assert band["y"] == [0.0, 0.2, 0.4, 0.2]


def test_records_are_frozen_and_curves_checked(record: Record) -> None:
    with pytest.raises(FrozenInstanceError):
        record.study = "other"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match="different length"):
        Curve("t", "x", "y", "Lorenz", (0.0, 1.0), (0.1,), (0.0,), (0.2,))


def test_pictures_of_one_title_stand_together(record: Record) -> None:
    """A heading for each title, in the order in which titles come; width and height as the PNG has them."""
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (30).to_bytes(4, "big") + (20).to_bytes(4, "big")
    names = ["Candidates", "Where it looked", "Candidates"]
    shown = tuple(Picture(title, f"number {at}", png) for at, title in enumerate(names))
    html = page(replace(record, pictures=shown))
    section = html[html.index('id="pictures"') : html.index('id="cost"')]
    assert re.findall(r"<h3>(.*?)</h3>", section) == ["Candidates", "Where it looked"]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", section) == ["number 0", "number 2", "number 1"]
    assert section.count('width="30" height="20"') == 3


def test_of_very_many_failures_the_first_are_listed(record: Record) -> None:
    dom = Dom(page(failed(record)))
    assert "500 diverged; the first 40 are listed here" in dom.texts["failures-caption"]
    assert dom.texts["failures"].count("RuntimeError") == 40


def test_unequal_numbers_of_runs_are_said_beside_a_curve(record: Record) -> None:
    equal = tuple(replace(one, runs=6) for one in record.curves)
    assert "(n = " not in Dom(page(replace(record, curves=equal))).visible
    visible = Dom(page(replace(record, curves=(replace(equal[0], runs=4), *equal[1:])))).visible
    assert visible.count("(n = 4)") == 1 and visible.count("(n = 6)") == 4


# --- numbers ---


@pytest.mark.parametrize(
    ("value", "decimals", "sign", "text"),
    [
        (0.0123, 3, True, "+0.012"),
        (-0.0123, 3, False, "\u22120.012"),
        (-0.0001, 2, True, "0.00"),
        ("", 2, False, "\u2013"),
        (float("inf"), 2, False, "\u2013"),
        (3e-9, 10, True, "+3.0e\u221209"),
    ],
)
def test_numbers_read_well(value: object, decimals: int, sign: bool, text: str) -> None:
    assert number(value, decimals, sign).text == text


def test_digits_follow_the_spread() -> None:
    assert places([0.012, 0.034, 0.020]) == 3
    assert places([12.0]) == 0
    assert places([0.0, None]) == places([]) == 3
    assert plain(0.95 * 100) == "95"


# --- what it costs to import ---


def test_import_is_light_and_the_page_needs_no_numpy() -> None:
    code = """if True:
        import sys, whichloss.report
        heavy = {"torch", "numpy", "pandas", "plotly.graph_objects", "plotly.graph_objs"}
        assert not (heavy | {"jinja2", "plotly"}) & set(sys.modules)
        from whichloss.report.page import _plotly
        assert _plotly() and not heavy & set(sys.modules)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
