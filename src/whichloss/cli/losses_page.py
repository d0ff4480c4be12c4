"""`whichloss losses --markdown FILE`: a page of all losses, generated so that it cannot go stale."""

from math import isfinite

from whichloss.contract import extent, shape
from whichloss.core import Loss, registry

from .losses import entry


def losses_page() -> str:
    """Each loss with its family, source, measured properties, and its name in other libraries."""
    ours = [cls for cls in registry(Loss).values() if cls.__module__.startswith("whichloss.")]
    losses = [loss for cls in ours for loss in cls.examples()[:1]]
    lines = [
        "# Losses",
        "",
        "Written by `whichloss losses --markdown docs/losses.md`. Properties are measured: smoothness and convexity in"
        " what the formula sees (a margin, a log-probability, a residual, the value of another loss), on a grid; values"
        " over small problems at logits up to about 60, beside the range that is proved. A dash stands where a formula"
        " sees several numbers. A term looks at one image, at the whole batch, or at all pairs of its elements.",
        "",
        "| loss | family | source | smooth | convex | bounded | easy from | values seen | range | looks at |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(loss) for loss in losses]
    lines += [
        "",
        "## In other libraries",
        "",
        "Names only: conventions differ, and the same name may give another number.",
        "",
    ]
    lines += ["| loss | also called | elsewhere |", "|---|---|---|"]
    for loss in losses:
        peers = "; ".join(f"{library} `{name}`" for library, name in loss.card.peers.items()) or "in no library we know"
        lines.append(f"| `{type(loss).__name__}` | {', '.join(loss.card.aliases)} | {peers} |")
    lines += ["", "## What the sources have wrong or leave open", ""]
    lines += [f"- `{type(loss).__name__}`: {loss.card.note}" for loss in losses if loss.card.note]
    return "\n".join(lines) + "\n"


def _row(loss: Loss) -> str:
    facts, seen = entry(loss), shape(loss)
    (low, high), (lowest, highest) = loss.range, extent(loss)
    easy = "" if seen is None or seen.easy_from is None else f"{seen.easy_from:.3g}"
    smooth, convex = ("-", "-") if seen is None else (_yes(seen.smooth), _yes(seen.convex))
    return (
        f"| `{facts['label']}` | {facts['family']} | {facts['source']} {facts['equation']} | {smooth} |"
        f" {convex} | {_yes(isfinite(high))} | {easy} | {lowest:.3g} to {highest:.3g} |"
        f" {low:g} to {high:.4g} | {loss.reach} |"
    )


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"
