"""Curve and slope as SVG: a few hundred bytes, in the colours of the page."""

from collections.abc import Sequence
from math import ceil, floor, log10

from whichloss.cli.curve import curve_of
from whichloss.core import Loss

WIDTH, HEIGHT = 320, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 26, 40  # around the drawing: numbers, names
POINTS = 121


def drawing(loss: Loss) -> str:
    """Value and slope side by side, as one HTML figure. Raises UserError for a formula of several numbers."""
    curve = curve_of(loss)
    every = max(1, (len(curve.x) - 1) // (POINTS - 1))
    x = curve.x[::every].tolist()
    panels = [
        _panel(name, curve.name, x, line[::every].tolist(), loss.label)
        for name, line in (("value", curve.value), ("slope", curve.slope))
    ]
    return f'<figure class="curves">{"".join(panels)}</figure>'


def _panel(title: str, axis: str, x: Sequence[float], y: Sequence[float], label: str) -> str:
    low, high = min(*y, 0.0), max(*y, 0.0)
    if high - low < 1e-12:
        low, high = -1.0, 1.0

    def across(value: float) -> float:
        return LEFT + (value - x[0]) / (x[-1] - x[0]) * (WIDTH - LEFT - RIGHT)

    def down(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="16" class="title">{title}</text>']
    for tick in ticks(low, high):
        parts.append(f'<path class="grid" d="M{LEFT} {down(tick):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{down(tick) + 4:.1f}" text-anchor="end">{spoken(tick)}</text>')
    for tick in ticks(x[0], x[-1]):
        parts.append(
            f'<text x="{across(tick):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{spoken(tick)}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{axis}</text>')
    points = " ".join(f"{across(a):.1f},{down(b):.1f}" for a, b in zip(x, y, strict=True))
    parts.append(f'<polyline class="{title}" points="{points}"/>')
    ends = f"{title} of {label} over {axis}: {spoken(y[0])} at {spoken(x[0])}, {spoken(y[-1])} at {spoken(x[-1])}"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escaped(ends)}">{"".join(parts)}</svg>'


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from low to high.

    >>> ticks(-3.0, 2.0), ticks(0.0, 0.13)
    ([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0], [0.0, 0.05, 0.1])
    """
    rough = (high - low) / about
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough * (1 - 1e-9))
    return [round(step * k, 12) for k in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def spoken(value: float) -> str:
    return f"{value:.3g}".replace("-", "\u2212")


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
