"""The curve of a loss and its derivative, in characters and as a picture."""

from pathlib import Path
from typing import NamedTuple

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


def save_plot(loss: Loss, path: Path) -> None:
    """The curve and its derivative as a picture: PNG, SVG or PDF, by the ending of the path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    curve = curve_of(loss)
    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(6, 6), layout="constrained")
    above.plot(curve.x, curve.value)
    below.plot(curve.x, curve.slope)
    above.set(title=loss.label, ylabel="value")
    below.set(xlabel=curve.name, ylabel="slope")
    for part in (above, below):
        part.grid(alpha=0.3)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {path}: {error}") from None
    finally:
        pyplot.close(figure)
    print(f"picture: {path}")
