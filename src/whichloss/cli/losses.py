"""`whichloss losses`: the catalogue, and one loss in the terminal."""

import inspect
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Column, Table
from torch import Tensor

from whichloss.core import (
    LikelihoodLoss,
    Loss,
    MarginLoss,
    PresetLoss,
    RegionLoss,
    RegressionLoss,
    UserError,
    WrapperLoss,
    parse,
    registry,
)

_FAMILIES: dict[type, str] = {
    MarginLoss: "margin",
    LikelihoodLoss: "likelihood",
    RegionLoss: "region",
    RegressionLoss: "regression",
    WrapperLoss: "wrap",
    PresetLoss: "compat",
}


def family_of(loss: Loss) -> str:
    """The folder of a loss of ours; of somebody else's, the family it is in."""
    module = type(loss).__module__.split(".")
    if module[:2] == ["whichloss", "losses"]:
        return module[2]
    return next((name for family, name in _FAMILIES.items() if isinstance(loss, family)), "foreign")


def entry(loss: Loss) -> dict[str, Any]:
    """One loss as plain data."""
    card = loss.card
    return {
        "name": type(loss).__name__,
        "expression": repr(loss),
        "label": loss.label,
        "family": family_of(loss),
        "source": card.source,
        "equation": card.equation,
        "meaning": (type(loss).__doc__ or "").split("\n")[0],
        "range": [end if abs(end) != float("inf") else None for end in loss.range],
        "smooth": card.smooth,
        "convex": card.convex,
        "zero_for_easy_cases": card.easy is not None,
        "aliases": list(card.aliases),
        "note": card.note,
    }


def show_catalogue(as_json: bool) -> None:
    entries = [entry(loss) for cls in registry(Loss).values() for loss in cls.examples()[:1]]
    if as_json:
        print(json.dumps(entries, indent=1))
        return
    table = Table(Column("loss", no_wrap=True), "family", "meaning", "source", box=None, pad_edge=False)
    for one in entries:
        table.add_row(one["label"], one["family"], one["meaning"], f"{one['source']} {one['equation']}")
    Console().print(table)


def show_loss(text: str, as_json: bool, plot: Path | None) -> None:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # a loss of the user's may lie in the current folder
    loss = parse(text, imports=True)
    if as_json:
        print(json.dumps(entry(loss), indent=1))
        return
    print(f"{loss!r}\n\n{inspect.getdoc(type(loss))}\n")
    card, (low, high) = loss.card, loss.range
    if card.source:
        print(f"source      {card.source}, equation {card.equation}")
    print(f"range       {low:g} to {high:g}")
    print(f"smooth      {'yes' if card.smooth else 'no'}     convex  {'yes' if card.convex else 'no'}")
    easy = "never cost nothing" if card.easy is None else f"cost nothing from {card.easy:g} on"
    print(f"easy cases  {easy}")
    for name, value in (("also called", ", ".join(card.aliases)), ("note", card.note)):
        if value:
            print(f"{name}: {value}")
    for left, right in card.equals:
        print(f"{left} = {right}")
    if (curve := curve_of(loss)) is not None:
        print(f"\n{draw(curve)}")
    if plot is not None:
        save_plot(loss, plot)


class Curve(NamedTuple):
    """A formula of one number, and its derivative, over where it lives."""

    name: str  # of what the formula sees
    x: Tensor
    value: Tensor
    slope: Tensor


def curve_of(loss: Loss) -> Curve | None:
    """None for formulas of several numbers, and for sums."""
    spans = {
        MarginLoss: ("margin", -3.0, 2.0),
        LikelihoodLoss: ("log-probability of the truth", -4.0, -0.01),
        RegressionLoss: ("residual", -3.0, 3.0),
        WrapperLoss: ("value of the inner loss", 0.0, 1.0),
    }
    found = next((span for family, span in spans.items() if isinstance(loss, family)), None)
    if found is None:
        return None
    name, low, high = found
    x = torch.linspace(low, high, 241, dtype=torch.float64, requires_grad=True)
    value = loss.formula(x)  # type: ignore[attr-defined]
    slope = torch.autograd.grad(value.sum(), x)[0] if value.requires_grad else torch.zeros_like(x)
    return Curve(name, x.detach(), value.detach(), slope)


def draw(curve: Curve, width: int = 61, height: int = 12) -> str:
    """The value (*) and the slope (.) in characters, each between its own ends."""
    at = torch.linspace(0, len(curve.x) - 1, width).round().long()
    rows = [[" "] * width for _ in range(height)]
    for line, mark in ((curve.slope, "."), (curve.value, "*")):
        low, high = float(line.min()), float(line.max())
        level = (line[at] - low) / (high - low or 1) * (height - 1)
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
    if curve is None:
        raise UserError(f"{loss.label} is a function of several numbers; there is no curve to draw")
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
