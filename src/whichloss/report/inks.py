"""One colour per loss, the same in every figure and table.

Six hues that stay apart for colour-blind eyes, on light and on dark (their values are in page.css); after six
losses the hues return with another dash and marker. Ink 0, neutral, is the baseline's.
"""

from collections.abc import Iterable
from typing import NamedTuple

HUES = 6
DASHES = ("solid", "dash", "dot", "dashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up")


class Ink(NamedTuple):
    hue: int
    turn: int

    @property
    def color(self) -> str:
        """A CSS variable, which page.js replaces by the colour of the reader's theme."""
        return f"var(--loss-{self.hue})"

    @property
    def band(self) -> str:
        return f"var(--loss-{self.hue} / 0.14)"

    @property
    def dash(self) -> str:
        return DASHES[self.turn]

    @property
    def marker(self) -> str:
        return MARKERS[self.turn]


def inks(labels: Iterable[str], baseline: str) -> dict[str, Ink]:
    """Ink of each label, in order of first appearance."""
    others = [label for label in dict.fromkeys(labels) if label != baseline]
    numbered = {label: Ink(1 + i % HUES, i // HUES % len(DASHES)) for i, label in enumerate(others)}
    return {baseline: Ink(0, 0), **numbered}
