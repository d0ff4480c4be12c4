"""`whichloss losses`: the catalogue, and one loss in the terminal."""

import inspect
import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from whichloss.core import (
    BoundaryLoss,
    CosineLoss,
    DistributionLoss,
    EmbeddingLoss,
    LikelihoodLoss,
    Loss,
    MarginLoss,
    PresetLoss,
    RegionLoss,
    RegressionLoss,
    WrapperLoss,
    parse,
    registry,
)

from .curve import curve_of, draw, save_plot, save_plots

_FAMILIES: dict[type, str] = {
    MarginLoss: "margin",
    CosineLoss: "margin",
    EmbeddingLoss: "embedding",
    BoundaryLoss: "boundary",
    LikelihoodLoss: "likelihood",
    DistributionLoss: "likelihood",
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
        "looks_at": loss.reach,
        "spatial": loss.spatial,
        "tasks": sorted(loss.tasks),
        "aliases": list(card.aliases),
        "peers": dict(card.peers),
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


def plot_losses(texts: list[str], path: Path) -> None:
    save_plots([read_loss(text) for text in texts], path)


def read_loss(text: str) -> Loss:
    """The loss that a person wrote on the command line."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # a loss of the user's may lie in the current folder
    return parse(text, imports=True)


def show_loss(text: str, as_json: bool, plot: Path | None) -> None:
    loss = read_loss(text)
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
    print("\nno curve: a function of several numbers" if loss.axis is None else f"\n{draw(curve_of(loss))}")
    if plot is not None:
        save_plot(loss, plot)
