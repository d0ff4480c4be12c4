"""The curve of a loss and its derivative, in characters and as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from whichloss.core import Axis, Loss, UserError


class Curve(NamedTuple):
    """A formula of one number, and its derivative, over where it lives."""

    name: str  # of what the formula sees
    x: Tensor
    value: Tensor
    slope: Tensor


def curve_of(loss: Loss) -> Curve:
    """Raises UserError for a formula of several numbers, which has no curve."""
    name, low, high = loss.axis or Axis("", 0.0, 1.0)
    x = torch.linspace(low, high, 241, dtype=torch.float64, requires_grad=True)
    value = loss.along(x)
    slope = torch.autograd.grad(value.sum(), x)[0] if value.requires_grad else torch.zeros_like(x)
    return Curve(name, x.detach(), value.detach(), slope)


def draw(curve: Curve, width: int = 61, height: int = 12) -> str:
    """The value (*) and the slope (.) in characters, each between its own ends."""
    at = torch.linspace(0, len(curve.x) - 1, width).round().long()
    rows = [[" "] * width for _ in range(height)]
    for line, mark in ((curve.slope, "."), (curve.value, "*")):
        low, high = float(line.min()), float(line.max())
        spread = high - low if high - low > 1e-9 * max(abs(low), abs(high)) else 1.0  # rounding is not a curve
        level = (line[at] - low) / spread * (height - 1)
        for column, row in enumerate(level.round().long().tolist()):
            rows[height - 1 - row][column] = mark
    ends = [f"{float(one):.2f}" for one in (curve.value.max(), curve.value.min(), curve.slope.max(), curve.slope.min())]
    axis = f"{float(curve.x[0]):<8g}{curve.name:^{width - 16}}{float(curve.x[-1]):>8g}"
    key = f"* value, {ends[1]} to {ends[0]}     . slope, {ends[3]} to {ends[2]}"
    return "\n".join([*("".join(row).rstrip() for row in rows), "-" * width, axis, key])


ZOOM = 0.2  # the part of the axis that is shown again, larger


def save_plot(loss: Loss, path: Path) -> None:
    """The curve and its derivative as a picture: PNG, SVG or PDF, by the ending of the path."""
    curve, pyplot = curve_of(loss), _pyplot()
    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(6, 6), layout="constrained")
    above.plot(curve.x, curve.value)
    below.plot(curve.x, curve.slope)
    above.set(title=loss.label, ylabel="value")
    below.set(xlabel=curve.name, ylabel="slope")
    _save(figure, path)


def save_plots(losses: Sequence[Loss], path: Path) -> None:
    """Several curves in one picture, the part around their sharpest bend larger, and the slopes.

    Raises UserError where formulas see different numbers, as a margin and a probability.
    """
    curves, pyplot = [curve_of(loss) for loss in losses], _pyplot()
    names = list(dict.fromkeys(curve.name for curve in curves))
    if len(names) > 1:
        raise UserError(f"one picture has one axis, and these losses see {', '.join(names)}; plot them by themselves")
    figure, (whole, zoom, slope) = pyplot.subplots(1, 3, figsize=(15, 5), layout="constrained")
    x = curves[0].x
    middle = float(x[1 + torch.stack([curve.slope.diff().abs() for curve in curves]).amax(0).argmax()])
    reach = ZOOM / 2 * float(x[-1] - x[0])
    near = (x - middle).abs() <= reach
    for loss, curve in zip(losses, curves, strict=True):
        whole.plot(curve.x, curve.value, label=loss.label)
        zoom.plot(curve.x[near], curve.value[near])
        slope.plot(curve.x, curve.slope)
    whole.indicate_inset_zoom(zoom, edgecolor="black")
    whole.set(ylabel="value", title="losses")
    zoom.set(title="where they bend most")
    slope.set(title="slopes")
    for part in (whole, zoom, slope):
        part.set_xlabel(curves[0].name)
    whole.legend()
    _save(figure, path)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, path: Path) -> None:
    for part in figure.axes:
        part.grid(alpha=0.3)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {path}: {error}") from None
    finally:
        _pyplot().close(figure)
    print(f"picture: {path}")
