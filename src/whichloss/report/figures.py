"""Figures as plain dictionaries in Plotly's JSON. Colours are CSS variables, resolved by page.js."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from whichloss.report.inks import Ink
from whichloss.report.numerals import DASH, number, places, plain, real, reals
from whichloss.report.record import Curve

LINE = 17  # pixels, of a label's text
POINTS = 12  # of a curve, so few that each is marked
SHOWN = 8  # curves drawn at first; the others wait in the legend


@dataclass(frozen=True)
class Figure:
    """id: of its element; summary: what it shows, for those who cannot see it; legend: label, ink, shown."""

    id: str
    title: str
    summary: str
    height: int
    data: tuple[dict[str, Any], ...]
    layout: dict[str, Any]
    legend: tuple[tuple[str, Ink, bool], ...] = ()


def verbatim(text: str) -> str:
    """Plotly reads a little HTML (links too) in every text: take user's words literally."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _lines(label: str, width: int = 36) -> list[str]:
    return wrap(label, width, max_lines=3, placeholder=" \u2026", break_on_hyphens=False) or [""]


def _axis(title: str, **more: Any) -> dict[str, Any]:
    return {
        "title": {"text": verbatim(title), "font": {"size": 13}, "standoff": 10},
        "gridcolor": "var(--line)",
        "zeroline": False,
        "tickfont": {"color": "var(--quiet)"},
        "automargin": True,
        "fixedrange": True,
        **more,
    }


def _layout(height: int, **more: Any) -> dict[str, Any]:
    return {
        "height": height,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "var(--ink)"},
        "paper_bgcolor": "var(--paper)",
        "plot_bgcolor": "var(--paper)",
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": "var(--shade)",
            "bordercolor": "var(--line)",
            "font": {"color": "var(--ink)"},
        },
        **more,
    }


def _note(text: str, y: float, side: str, color: str, anchor: str = "top") -> dict[str, Any]:
    return {
        "text": text,
        "x": 0 if side == "left" else 1,
        "xref": "paper",
        "xanchor": side,
        "y": y,
        "yanchor": anchor,
        "align": side,
        "showarrow": False,
        "bgcolor": "var(--paper / 0.8)",
        "borderpad": 1,
        "font": {"color": color},
    }


def forest(verdict: Mapping[str, Any], comparisons: Sequence[Mapping[str, Any]], ink: Mapping[str, Ink]) -> Figure:
    """Differences to the baseline with their simultaneous intervals; the rope is the shaded band.

    The vertical axis counts pixels, so that a long name may take several lines above its interval.
    """
    decimals = places([c["standard_error"] for c in comparisons] + [verdict["rope"]])
    data, notes, spoken, tops, y = [], [], [], [], 26
    for c in comparisons:
        tops.append(y)
        y += 7
        difference, low, high = (real(c[key]) for key in ("difference", "low", "high"))
        lines = _lines(c["label"])
        notes.append(_note("<br>".join(map(verbatim, lines)), y, "left", "var(--ink)"))
        notes.append(_note(verbatim(c["decision"] or "no decision"), y, "right", "var(--quiet)"))
        y += LINE * len(lines) + 12
        middle, left, right = (number(x, decimals, sign=True).text for x in (difference, low, high))
        span = f"{middle}, from {left} to {right}" if low is not None else f"{middle}, no interval"
        spoken.append(f"{c['label']}: {span}, {c['decision'] or 'no decision'}")
        if difference is not None:
            data.append(_estimate(c, ink[c["label"]], y, difference, low, high, span))
        y += 18
    rope = real(verdict["rope"])
    shown = (c[key] for c in comparisons for key in ("difference", "low", "high"))
    ends = [0.0, *reals(shown), *([rope, -rope] if rope else [])]
    pad = 0.06 * (max(ends) - min(ends)) or 1.0
    unit = f" ({verdict['unit']})" if verdict["unit"] else ""
    turned = "" if verdict["higher_is_better"] else ", sign turned"
    layout = _layout(
        height=y + 62,
        margin={"l": 4, "r": 4, "t": 4, "b": 58},
        xaxis=_axis(
            f"difference in {verdict['primary_label']}{unit}{turned}",
            range=[min(ends) - pad, max(ends) + pad],
            nticks=6,
            showgrid=False,
        ),
        yaxis={"range": [y, 0], "visible": False, "fixedrange": True},
        shapes=[*_rope(rope, y), *map(_rule, tops)],
        annotations=[
            *notes,
            _note("\u2190 worse than baseline", 0, "left", "var(--quiet)"),
            _note("better \u2192", 0, "right", "var(--quiet)"),
        ],
    )
    title = f"Differences to {verdict['baseline_label']}"
    return Figure("differences", title, f"{title}. " + "; ".join(spoken), y + 62, tuple(data), layout)


def _estimate(
    c: Mapping[str, Any],
    ink: Ink,
    y: float,
    difference: float,
    low: float | None,
    high: float | None,
    span: str,
) -> dict[str, Any]:
    settled = c["decision"] in ("better", "worse", "equal")
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": [difference],
        "y": [y],
        "marker": {
            "symbol": ink.marker,
            "size": 11,
            "color": ink.color if settled else "var(--paper)",
            "line": {"color": ink.color, "width": 2.5},
        },
        "text": [f"{verbatim(c['label'])}<br>{span}"],
        "hovertemplate": "%{text}<extra></extra>",
    }
    if low is not None and high is not None:
        trace["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [high - difference],
            "arrayminus": [difference - low],
            "color": ink.color,
            "thickness": 2.5,
            "width": 5,
        }
    return trace


def _rope(rope: float | None, bottom: float) -> list[dict[str, Any]]:
    zero = {"type": "line", "x0": 0, "x1": 0, "y0": 26, "y1": bottom, "layer": "below"}
    shapes: list[dict[str, Any]] = [{**zero, "line": {"color": "var(--quiet)", "width": 1}}]
    if rope:
        band = {"type": "rect", "x0": -rope, "x1": rope, "y0": 26, "y1": bottom, "layer": "below"}
        shapes.insert(0, {**band, "fillcolor": "var(--rope)", "line": {"width": 0}})
    return shapes


def _rule(y: float) -> dict[str, Any]:
    line = {"color": "var(--line)", "width": 1}
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": y,
        "y1": y,
        "layer": "below",
        "line": line,
    }


def curves(record_curves: Sequence[Curve], ink: Mapping[str, Ink], first: Sequence[str]) -> tuple[Figure, ...]:
    """One figure per title. `first`: labels to show before others, where there are too many."""
    titles = dict.fromkeys(curve.title for curve in record_curves)
    return tuple(
        _curve_figure(f"curve-{i}", title, [c for c in record_curves if c.title == title], ink, first)
        for i, title in enumerate(titles)
    )


def _curve_figure(
    name: str, title: str, group: Sequence[Curve], ink: Mapping[str, Ink], first: Sequence[str]
) -> Figure:
    labels = list(dict.fromkeys(curve.loss for curve in group))
    shown = sorted(labels, key=lambda label: label not in first)[:SHOWN]
    bands = [_band(c, ink[c.loss], c.loss in shown) for c in group]
    lines = [_line(c, ink[c.loss], c.loss in shown) for c in group]
    layout = _layout(
        height=380,
        margin={"l": 8, "r": 12, "t": 12, "b": 48},
        xaxis=_axis(group[0].x_label),
        yaxis=_axis(group[0].y_label),
    )
    ends = "; ".join(f"{c.loss} ends at {plain(c.mean[-1]) if c.mean else DASH}" for c in group)
    summary = f"{title}: {group[0].y_label} over {group[0].x_label}. {ends}"
    legend = tuple((label, ink[label], label in shown) for label in labels)
    return Figure(name, title, summary, 380, (*bands, *lines), layout, legend)


def _line(curve: Curve, ink: Ink, shown: bool) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(curve.x) <= POINTS else "lines",
        "x": [real(x) for x in curve.x],
        "y": [real(y) for y in curve.mean],
        "line": {"color": ink.color, "dash": ink.dash, "width": 2.2},
        "text": verbatim(curve.loss),
        "hovertemplate": "%{text}<br>%{x:.4~g}, %{y:.4~g}<extra></extra>",
        "meta": curve.loss,
        "visible": shown,
    }


def _band(curve: Curve, ink: Ink, shown: bool) -> dict[str, Any]:
    """A closed outline: forth along the lower edge, back along the upper."""
    edges = [(real(x), real(a), real(b)) for x, a, b in zip(curve.x, curve.low, curve.high, strict=True)]
    whole = [edge for edge in edges if None not in edge]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [x for x, _, _ in whole] + [x for x, _, _ in reversed(whole)],
        "y": [low for _, low, _ in whole] + [high for _, _, high in reversed(whole)],
        "fill": "toself",
        "fillcolor": ink.band,
        "line": {"width": 0},
        "hoverinfo": "skip",
        "meta": curve.loss,
        "visible": shown,
    }
