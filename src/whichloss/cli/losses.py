"""`whichloss losses`: the catalogue, and one loss in the terminal."""

import inspect
import json
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import whichloss.losses
from whichloss.core import LikelihoodLoss, Loss, MarginLoss, RegionLoss, RegressionLoss, WrapperLoss, parse, registry

assert whichloss.losses  # tells core where losses live

_FAMILIES: dict[type, str] = {
    MarginLoss: "margin",
    LikelihoodLoss: "likelihood",
    RegionLoss: "region",
    RegressionLoss: "regression",
    WrapperLoss: "wrap",
}


def entry(loss: Loss) -> dict[str, Any]:
    """One loss as plain data."""
    card = loss.card
    return {
        "name": type(loss).__name__,
        "expression": repr(loss),
        "label": loss.label,
        "family": next((name for family, name in _FAMILIES.items() if isinstance(loss, family)), "foreign"),
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
    table = Table("loss", "family", "meaning", "source", box=None, pad_edge=False)
    for one in entries:
        table.add_row(one["label"], one["family"], one["meaning"], f"{one['source']} {one['equation']}")
    Console().print(table)


def show_loss(text: str, as_json: bool) -> None:
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
    if isinstance(loss, MarginLoss):
        print(f"\n{draw(loss)}")


def draw(loss: MarginLoss, low: float = -3.0, high: float = 2.0, width: int = 61, height: int = 12) -> str:
    """The curve over the margin, in characters."""
    margin = torch.linspace(low, high, width, dtype=torch.float64)
    value = loss.formula(margin)
    top = float(value.max())
    level = (value / top * (height - 1)).round().long() if top > 0 else torch.zeros(width, dtype=torch.long)
    rows = ["".join("*" if int(one) == row else " " for one in level) for row in range(height - 1, -1, -1)]
    scale = [f"{top:6.2f} |", *["       |"] * (height - 2), f"{0:6.2f} |"]
    axis = "        " + "-" * width
    ends = f"        {low:<{width // 2}g}margin{high:>{width - width // 2 - 6}g}"
    return "\n".join([*(left + row.rstrip() for left, row in zip(scale, rows, strict=True)), axis, ends])
