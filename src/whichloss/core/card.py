"""Card: what is known about a loss, stated once and held to it by the contract."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf


@dataclass(frozen=True, kw_only=True)
class Card:
    """The facts of one loss. Where a paper claims what its formula does not have, the card states what is true."""

    source: str  # key in references.bib
    equation: str  # where the formula stands in that source
    range: tuple[float, float] = (0.0, inf)  # closed interval that holds the value of every term
    smooth: bool  # continuous first derivative in what the formula sees, at the default fields
    convex: bool  # in what the formula sees, at the default fields
    easy: float | None = None  # from here on (in what the formula sees) a case costs nothing and teaches nothing
    golden: Mapping[tuple[float, ...], float] = field(default_factory=dict)  # worked out by hand, default fields
    equals: tuple[tuple[str, str], ...] = ()  # pairs of expressions with the same values on every input
    aliases: tuple[str, ...] = ()  # what others call it or a special case of it: "IoU", "W-BCE"
    peers: Mapping[str, str] = field(default_factory=dict)  # library -> its name there, whatever its conventions
    note: str = ""  # what the source has wrong or leaves open

    @property
    def bounded(self) -> bool:
        return self.range[1] < inf
