"""What losses and metrics are called in sentences and figures."""

import re
from collections.abc import Sequence

NAMED = 5  # that a message names before it counts
LONGEST = 1000  # characters of a name that are looked at for arguments


def short(text: str) -> str:
    """An expression without its arguments, anything else as it is.

    >>> short("Tversky(fp=0.3, fn=0.7) + 0.5 * Dice(over='batch')"), short("Dice (ours)"), short("RocAuc()")
    ('Tversky + 0.5 * Dice', 'Dice (ours)', 'RocAuc')
    """
    if len(text) > LONGEST or not re.fullmatch(r"[^()]*[A-Za-z_]\w*\((?:\)|[A-Za-z_]\w*[=(]).*", text, re.DOTALL):
        return text
    kept, depth = [], 0
    for mark in text:
        depth += mark == "("
        kept.append("" if depth else mark)
        depth -= mark == ")"
    return "".join(kept) if depth == 0 else text


def labels_of(losses: Sequence[str]) -> dict[str, str]:
    """Short names, where they are not those of two."""
    names = [short(loss) for loss in losses]
    return {
        loss: name if names.count(name) == 1 and (name == loss or name not in losses) else loss
        for loss, name in zip(losses, names, strict=True)
    }


def some(names: Sequence[str], most: int = NAMED) -> str:
    """The first of these, and how many more there are.

    >>> some(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
