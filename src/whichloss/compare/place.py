"""Which fold and which seed a file is of, read off its path."""

import re
from pathlib import Path


def number_in(text: str, word: str) -> int | None:
    """A whole number, alone or after the word.

    >>> number_in("3", "fold"), number_in("fold_3", "fold"), number_in("Fold 03", "fold"), number_in("all", "fold")
    (3, 3, 3, None)
    """
    found = re.fullmatch(rf"(?:{word}[ _-]?)?([+-]?\d{{1,15}})(?:\.0+)?", text.strip(), re.IGNORECASE)
    return int(found[1]) if found else None


def number_on(path: Path, word: str) -> int | None:
    """The number after the word in the last part of a path that has one; None where no part has.

    >>> number_on(Path("Dice/seed1/fold_4/validation/summary.json"), "fold")
    4
    >>> number_on(Path("manifold_2/results.csv"), "fold") is None
    True
    """
    for part in reversed(path.parts):
        found = re.search(rf"(?<![A-Za-z]){word}[ _=-]?(\d+)(?!\d)", part, re.IGNORECASE)
        if found:
            return int(found[1])
    return None
