"""Figures as plain dictionaries in Plotly's JSON. Colours are CSS variables, resolved by page.js."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from whichloss.report.inks import Ink
from whichloss.report.numerals import DASH, number, places, plain, real, reals
from whichloss.report.record import Curve
from whichloss.report.thin import rounded, thin

LINE = 17  # pixels, of a label's text
POINTS = 12  # of a curve, so few that each is marked
SHOWN = 8  # curves drawn at first; the others wait in the legend
WHOLE = 2000  # points of all lines of a figure; of more, those that no eye would miss are left out
TALL = 380  # pixels of a figure of curves


@dataclass(frozen=True)
class Figure:
    """id: of its element; summary: what it shows, for those who cannot see it.

    legend: label, ink, whether it is shown at first, and of how many runs it is a mean where that differs.
    """

    id: str
    title: str
    summary: str
    height: int
    data: tuple[dict[str, Any], ...]
    layout: dict[str, Any]
    legend: tuple[tuple[str, Ink, bool, str], ...] = ()


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
    many = sum(len(c.x) for c in group) > WHOLE
    lines = [_line(c, ink[c.loss], c.loss in shown, many) for c in group]
    layout = _layout(
        height=TALL,
        margin={"l": 8, "r": 12, "t": 12, "b": 48},
        xaxis=_axis(group[0].x_label),
        yaxis=_axis(group[0].y_label),
    )
    ends = "; ".join(f"{c.loss} ends at {plain(c.mean[-1]) if c.mean else DASH}" for c in group)
    summary = f"{title}: {group[0].y_label} over {group[0].x_label}. {ends}"
    runs = {c.loss: c.runs for c in group}
    unequal = len(set(runs.values())) > 1
    legend = tuple((label, ink[label], label in shown, f" (n = {runs[label]})" * unequal) for label in labels)
    return Figure(name, title, summary, TALL, (*bands, *lines), layout, legend)


def _line(curve: Curve, ink: Ink, shown: bool, many: bool) -> dict[str, Any]:
    x, y = _points(curve, curve.mean, many)
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(curve.x) <= POINTS else "lines",
        "x": x,
        "y": y,
        "line": {"color": ink.color, "dash": ink.dash, "width": 2.2},
        "marker": {"symbol": ink.marker},
        "text": verbatim(curve.loss),
        "hovertemplate": "%{text}<br>%{x:.4~g}, %{y:.4~g}<extra></extra>",
        "meta": curve.loss,
        "visible": shown,
    }


def _band(curve: Curve, ink: Ink, shown: bool) -> dict[str, Any]:
    """A closed outline: forth along the lower edge, back along the upper."""
    edges = [(x, a, b) for x, a, b in zip(curve.x, curve.low, curve.high, strict=True) if len(reals((x, a, b))) == 3]
    at = [x for x, _, _ in edges]
    forth, back = (_points(curve, edge, True, at) for edge in ([a for _, a, _ in edges], [b for _, _, b in edges]))
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*forth[0], *reversed(back[0])],
        "y": [*forth[1], *reversed(back[1])],
        "fill": "toself",
        "fillcolor": ink.band,
        "line": {"width": 0},
        "hoverinfo": "skip",
        "meta": curve.loss,
        "visible": shown,
    }


def _points(
    curve: Curve, y: Sequence[float], fewer: bool, x: Sequence[float] | None = None
) -> tuple[list[float | None], list[float | None]]:
    """The points of a line, None in its gaps; fewer: without those that lie within half a pixel of the others' line.

    A pixel is that of the curve drawn alone, which is when it is drawn largest.
    """
    x = curve.x if x is None else x
    ends = reals([*curve.low, *curve.high, *curve.mean])
    span = max(ends, default=0.0) - min(ends, default=0.0)
    drawn: tuple[list[float | None], list[float | None]] = ([], [])
    for part in _unbroken(x, y):
        across, up = [x[at] for at in part], [y[at] for at in part]
        kept = thin(across, up, 0.5 * span / TALL, curve.marks) if fewer else range(len(part))
        if drawn[0]:
            drawn[0].append(real(x[part[0] - 1]))
            drawn[1].append(None)
        drawn[0].extend(across[at] for at in kept)
        drawn[1].extend(rounded(up[at], span) for at in kept)
    return drawn


def _unbroken(x: Sequence[float], y: Sequence[float]) -> list[list[int]]:
    """The stretches of points that are numbers."""
    parts: list[list[int]] = []
    for at in range(len(x)):
        if len(reals((x[at], y[at]))) < 2:
            continue
        if parts and parts[-1][-1] == at - 1:
            parts[-1].append(at)
        else:
            parts.append([at])
    return parts


def ranks(ranking: Mapping[str, Any], ink: Mapping[str, Ink]) -> Figure:
    """Mean ranks under a rule as long as the critical difference; bars join losses that are closer than that.

    The vertical axis counts pixels, as in `forest`.
    """
    found = list(zip(ranking["losses"], ranking["labels"], ranking["mean_ranks"], strict=True))
    critical, most = ranking["critical_difference"], len(found)
    data, spoken, notes, tops = [], [], [], []
    notes.append(_note(f"critical difference {plain(round(critical, 2))}", 0, "left", "var(--quiet)"))
    shapes, y = _bar(1, 1 + critical, 32, "var(--quiet)", 2, caps=True), 50
    for _, label, mean in found:
        tops.append(y)
        lines = _lines(label)
        notes.append(_note("<br>".join(map(verbatim, lines)), y + 7, "left", "var(--ink)"))
        notes.append(_note(number(mean, 2).text, y + 7, "right", "var(--quiet)"))
        y += LINE * len(lines) + 19
        one, told = ink[label], f"{label}: {number(mean, 2).text}"
        spoken.append(told)
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [mean],
                "y": [y],
                "marker": {"symbol": one.marker, "size": 11, "color": one.color},
                "text": [verbatim(told)],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
        y += 18
    tops.append(y)
    mean_of = {loss: mean for loss, _, mean in found}
    for group in ranking["groups"]:
        if len(group) > 1:
            y += 16
            shapes += _bar(mean_of[group[0]] - 0.04, mean_of[group[-1]] + 0.04, y, "var(--ink)", 5)
    y += 14
    layout = _layout(
        height=y + 62,
        margin={"l": 4, "r": 4, "t": 4, "b": 58},
        xaxis=_axis("mean rank, 1 is best", range=[0.7, max(most, 1 + critical) + 0.3], dtick=1, showgrid=False),
        yaxis={"range": [y, 0], "visible": False, "fixedrange": True},
        shapes=[*map(_rule, tops), *shapes],
        annotations=notes,
    )
    title = "Critical difference"
    summary = f"Mean ranks over {len(ranking['data'])} data sets, critical difference {plain(round(critical, 2))}. "
    return Figure("critical-difference", title, summary + "; ".join(spoken), y + 62, tuple(data), layout)


def _bar(left: float, right: float, y: float, color: str, width: float, caps: bool = False) -> list[dict[str, Any]]:
    line = {"type": "line", "line": {"color": color, "width": width}}
    ends = [{**line, "x0": x, "x1": x, "y0": y - 5, "y1": y + 5} for x in (left, right)] if caps else []
    return [{**line, "x0": left, "x1": right, "y0": y, "y1": y}, *ends]
