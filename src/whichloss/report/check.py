"""The report card of one loss as a page: no script, no network, no second file."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from whichloss.report.page import render

WIDTH, HEIGHT = 640, 240
EDGE = 12  # around the curves, so that a line at an end is seen whole


def check_page(card: Mapping[str, Any]) -> str:
    """card: the object that `whichloss check --json` prints."""
    lines = {}
    if (seen := card["portrait"]) is not None and all(map(isfinite, (*seen["value"], *seen["slope"]))):
        lines = {name: line(seen["x"], seen[name]) for name in ("value", "slope")}
    groups = {
        status: [one for one in card["findings"] if one["status"] == status]
        for status in ("broken", "remark", "kept", "not applicable")
    }
    return render("check.html.jinja", card=card, groups=groups, lines=lines, width=WIDTH, height=HEIGHT)


def line(x: Sequence[float], y: Sequence[float]) -> dict[str, Any]:
    """The points of an SVG polyline that fills the picture, and the ends of its own scale."""
    low, high = min(y), max(y)
    spread = high - low if high > low else 1.0
    wide, tall = WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE
    points = (
        f"{EDGE + wide * (at - x[0]) / (x[-1] - x[0]):.1f},{HEIGHT - EDGE - tall * (value - low) / spread:.1f}"
        for at, value in zip(x, y, strict=True)
    )
    return {"points": " ".join(points), "low": f"{low:.4g}", "high": f"{high:.4g}"}
