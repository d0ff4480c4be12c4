"""What is decided before any result is seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, get_args

Design = Literal["refold", "fixed", "draws", "given"]


@dataclass(frozen=True)
class Plan:
    """The question, the deciding metric and cell, the smallest difference that matters, the design.

    design is "refold" (folds drawn anew for each seed), "fixed" (the same folds for all seeds), "draws"
    (independent training sets, the seed is the draw, one large test set) or "given" (one split, seeds only).
    """

    study: str
    question: str
    primary: str  # the metric that decides, as the table spells it
    primary_label: str
    baseline: str
    losses: tuple[str, ...]  # in the order of the page, the baseline among them
    labels: Mapping[str, str] = field(hash=False)  # short names; a loss without one goes by its text
    rope: float  # the smallest difference that matters, in the metric's unit
    design: Design
    higher_is_better: bool = True
    confidence: float = 0.95
    data: str = ""  # the deciding cell; "" for data or network: the only one in the table
    network: str = ""
    stress: str = ""  # "": no stress
    pairs: int | None = None  # planned (fold, seed) pairs per loss; None: those that any loss has run

    def __post_init__(self) -> None:
        if isinstance(self.losses, str):
            raise ValueError(f"losses is one text, {self.losses!r}; give a tuple of texts")
        object.__setattr__(self, "losses", tuple(self.losses))
        object.__setattr__(self, "labels", dict(self.labels))
        twice = sorted({loss for loss in self.losses if self.losses.count(loss) > 1})
        if twice:
            raise ValueError(f"losses names {', '.join(twice)} more than once; name each loss once")
        if self.baseline not in self.losses:
            raise ValueError(
                f"the baseline {self.baseline!r} is not among the losses\n"
                f"  losses: {', '.join(self.losses) or 'none'}\n"
                "  hint: add it, or name one of them as the baseline"
            )
        names = [self.label(loss) for loss in self.losses]
        same = sorted({name for name in names if names.count(name) > 1})
        if same:
            raise ValueError(f"several losses are called {', '.join(same)}; give each a label of its own")
        number = isinstance(self.rope, int | float) and not isinstance(self.rope, bool)
        if not number or not isfinite(self.rope) or self.rope < 0:
            raise ValueError(
                f"rope is {self.rope!r}; it is the smallest difference that matters, in the unit of "
                f"{self.primary_label}: 0 or more, for example 0.01"
            )
        object.__setattr__(self, "rope", float(self.rope))
        if not 0.5 <= self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence!r}; it is at least 0.5 and below 1, for example 0.95")
        if self.design not in get_args(Design):
            raise ValueError(f"design is {self.design!r}; choose one of {', '.join(get_args(Design))}")
        if self.pairs is not None and self.pairs < 1:
            raise ValueError(f"pairs is {self.pairs!r}; it is the number of (fold, seed) pairs planned, 1 or more")

    def label(self, loss: str) -> str:
        """What the loss is called in a sentence."""
        return self.labels.get(loss, loss)

    @property
    def rivals(self) -> tuple[str, ...]:
        """Every loss but the baseline: the family of comparisons."""
        return tuple(loss for loss in self.losses if loss != self.baseline)
