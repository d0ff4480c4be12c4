"""When to use a loss and when not: a sentence each from uses.yaml, or what follows from the facts."""

from functools import cache
from math import isfinite
from pathlib import Path

import yaml

from whichloss.cli.losses import family_of
from whichloss.contract import shape
from whichloss.core import Loss, PresetLoss

HERE = Path(__file__).parent


@cache
def written() -> dict[str, dict[str, str]]:
    """Class -> use and avoid."""
    return yaml.safe_load((HERE / "uses.yaml").read_text(encoding="utf-8"))


def uses(loss: Loss) -> tuple[str, str]:
    """When to use it, and when not."""
    if told := written().get(type(loss).__name__):
        return told["use"], told["avoid"]
    if isinstance(loss, PresetLoss):
        origin = next(iter(loss.card.peers), "another library")
        return (
            f"To go on with work that was done with {origin}, with the same numbers.",
            f"In a new study: say what is meant in our terms, `{loss.means.label}`.",
        )
    return derived(loss)


def derived(loss: Loss) -> tuple[str, str]:
    """What its facts alone say; no more is known."""
    good, bad, seen, (_, high) = [], [], shape(loss), loss.range
    if not loss.trains:
        return "To evaluate.", "To train: it has no slope to learn from."
    if family_of(loss) == "region":
        good.append(
            "Where the target is small beside the background: voxels that are rightly called background count nothing."
        )
        bad.append("Where images without any target matter: what they cost depends on `empty` and `smooth`.")
    elif isfinite(high):
        good.append(f"Where some labels are wrong: one case costs at most {high:.3g}, however wrong it is.")
        bad.append("Where hard cases are rare and right: a bounded loss gives some of them up.")
    if seen is not None and seen.convex:
        good.append("Where steady optimisation matters: it is convex in what the formula sees.")
    if seen is not None and seen.easy_from is not None:
        good.append("Where most cases are easy: they cost nothing, and `skip_easy` saves their backward pass.")
    if loss.reach == "pairs":
        bad.append("With large batches or dense maps: cost grows with the square of the number of elements.")
    elif loss.reach == "batch":
        bad.append("With very small batches: its value depends on what else is in the batch.")
    if not loss.answers:
        bad.append("Where outputs must be answers: it trains embeddings, and a classifier is fitted afterwards.")
    tasks = " and ".join(sorted(loss.tasks))
    return " ".join(good) or f"For {tasks}.", " ".join(bad) or "Without comparing it with a simpler loss first."
