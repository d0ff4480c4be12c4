"""Points are left out of a curve only where nobody could see it: numpy's interpolation is the oracle."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from large import large

from whichloss.report import Curve, Record, page
from whichloss.report.figures import TALL, WHOLE, curves
from whichloss.report.inks import inks
from whichloss.report.thin import thin

LONG = np.linspace(0.0, 10.0, 5001)
SHAPES = {
    "smooth": 1 - np.exp(-LONG),
    "steps": np.floor(3 * LONG) / 30,
    "noise": np.random.default_rng(0).normal(0, 1, len(LONG)).cumsum(),
    "spike": np.where(LONG[1234] == LONG, 1.0, 0.0),
    "flat": np.full(len(LONG), 0.25),
    "far from zero": 1e6 + np.sin(LONG) / 100,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_drawn_line_is_within_half_a_pixel_of_the_whole(shape: str) -> None:
    y = SHAPES[shape]
    span = float(np.ptp(y))
    curve = Curve(
        "t", "x", "y", "a", *(tuple(map(float, one)) for one in (LONG, y, y - span / 9, y + span / 9)), marks=(0.5, 4.0)
    )
    [figure] = curves([curve], inks(["a"], "b"), [])
    band, line = figure.data
    assert len(curve.x) > WHOLE
    pixel = (span * (1 + 2 / 9) or 1.0) / TALL
    assert np.abs(np.interp(LONG, line["x"], line["y"]) - y).max() <= 0.5 * pixel + 1e-12
    turn = int(np.argmax(np.diff(band["x"]) < 0))  # both edges end at the last x
    low, high = slice(0, turn), slice(turn, None)
    for part, edge in ((low, curve.low), (high, curve.high)):
        x, drawn = np.array(band["x"][part]), np.array(band["y"][part])
        order = np.argsort(x, kind="stable")
        assert np.abs(np.interp(LONG, x[order], drawn[order]) - edge).max() <= 0.5 * pixel + 1e-12
    assert {0.0, 0.5, 4.0, 10.0} <= set(line["x"])
    assert max(line["y"]) == pytest.approx(y.max(), abs=pixel / 100) and min(line["y"]) == pytest.approx(
        y.min(), abs=pixel / 100
    )
    if shape in ("smooth", "steps", "spike", "flat"):
        assert len(line["x"]) < 0.1 * len(LONG)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60), st.floats(0, 10), st.integers(0, 2**32 - 1))
def test_whatever_the_curve(y: list[float], tolerance: float, seed: int) -> None:
    x = np.sort(np.random.default_rng(seed).choice(1000, len(y), replace=False)).astype(float).tolist()
    kept = thin(x, y, tolerance)
    assert kept == sorted(set(kept)) and {0, len(y) - 1} <= set(kept)
    again = np.interp(x, [x[at] for at in kept], [y[at] for at in kept])
    assert np.abs(again - y).max() <= tolerance + 1e-9
    assert {max(y), min(y)} <= {y[at] for at in kept}


def test_a_step_that_stands_upright_stays(record: Record) -> None:
    assert thin([0.0, 0.0, 0.0, 1.0], [0.0, 0.4, 1.0, 1.0], 0.1) == [0, 1, 2, 3]


def test_a_small_figure_keeps_every_point_to_hover_over(record: Record) -> None:
    figure = curves(
        record.curves[:5], inks(["Logistic"], "Logistic") | inks([c.loss for c in record.curves], "Logistic"), []
    )[0]
    lines = [trace for trace in figure.data if "hovertemplate" in trace]
    assert [len(line["x"]) for line in lines] == [len(curve.x) for curve in record.curves[:5]]


def test_gaps_stay_gaps() -> None:
    nan = float("nan")
    y = (0.0, 0.5, 1.0, nan, nan, 3.0, nan, 5.0)
    curve = Curve("t", "x", "y", "a", tuple(map(float, range(8))), y, y, y)
    line = curves([curve], inks(["a"], "b"), [])[0].data[1]
    assert line["y"] == [0.0, 0.5, 1.0, None, 3.0, None, 5.0]


def test_a_page_of_twenty_losses_is_light(record: Record) -> None:
    """20 losses, 30 runs each, every kind of curve, pictures of noise, tuning: the file can still be sent."""
    html = page(large(record))
    assert len(html.encode()) < 8_000_000
    drawings = json.loads(re.search(r'id="figures">(.*?)</script>', html, re.DOTALL)[1])  # type: ignore[index]
    assert len(drawings) == 11
    full = {(c.title, c.loss): c for c in large(record).curves}
    for title, name in zip(dict.fromkeys(title for title, _ in full), [f"curve-{at}" for at in range(10)], strict=True):
        lines = [trace for trace in drawings[name]["data"] if "hovertemplate" in trace]
        assert len(lines) == 20
        for line in lines:
            curve = full[title, line["meta"]]
            span = max(curve.high) - min(curve.low)
            assert np.abs(np.interp(curve.x, line["x"], line["y"]) - curve.mean).max() <= 0.5 * span / TALL
            assert set(curve.marks) <= set(line["x"])
            assert all(a < b for a, b in pairwise(line["x"]))


def test_pictures_that_would_make_it_heavy_are_left_out_and_said(record: Record) -> None:
    html = page(large(record))
    shown = html.count("<img src=")
    [left] = re.findall(r"(\d+) more would make this page too large", html)
    assert shown >= 1 and shown + int(left) == len(large(record).pictures)
