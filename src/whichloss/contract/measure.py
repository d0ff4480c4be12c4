"""Measure what can be seen of a loss: its smoothness, convexity, range, and from where on a case is easy."""

from dataclasses import MISSING, dataclass, fields
from math import inf, nan

import torch
from torch import Tensor

from whichloss.core import EmbeddingLoss, LikelihoodLoss, Loss, MarginLoss, RegressionLoss, WrapperLoss

from .problems import problems

# where the formula of one number lives; a wrapper's begins beside 0, where a power has no slope
SPANS = {
    MarginLoss: (-6.0, 6.0),
    LikelihoodLoss: (-6.0, -1e-3),
    EmbeddingLoss: (-6.0, -1e-3),  # a log-probability, or how much nearer a friend is than a stranger
    RegressionLoss: (-6.0, 6.0),
    WrapperLoss: (1e-2, 6.0),
}


@dataclass(frozen=True)
class Shape:
    """What the curve of a formula of one number shows."""

    slope_jump: float  # largest change of slope over a ten-thousandth of the unit
    least_bend: float  # smallest second difference of the curve; negative where it is not convex
    easy_from: float | None  # smallest margin from which on value and slope are 0

    @property
    def smooth(self) -> bool:
        return self.slope_jump < 1e-2

    @property
    def convex(self) -> bool:
        return self.least_bend > -1e-7


def shape(loss: Loss) -> Shape | None:
    """Seen on a grid, nothing read off the card; None for formulas of several numbers, which have no curve."""
    if (drawn := curve(loss)) is None:
        return None
    x, y = drawn
    slope = y.diff() / x.diff()
    idle, easy = (y[1:] == 0) & (slope == 0), None
    if isinstance(loss, MarginLoss) and bool(idle[-1]):
        easy = float(x[int((~idle).nonzero().max()) + 1]) if not bool(idle.all()) else float(x[0])
    return Shape(float(slope[1:-1].diff().abs().max()), float(slope.diff().min()), easy)


def extent(loss: Loss) -> tuple[float, float]:
    """Lowest and highest value of a term, over small problems at logits from tame to wild."""
    values = [float(end) for _, value in values_of(loss) if value.numel() for end in value.aminmax()]
    return min(values, default=nan), max(values, default=nan)


def curve(loss: Loss) -> tuple[Tensor, Tensor] | None:
    """A formula of one number, drawn finely over where it lives; None for formulas of several."""
    span = next((ends for family, ends in SPANS.items() if isinstance(loss, family)), None)
    if span is None or any(len(point) > 1 for point in loss.card.golden):
        return None
    end = 0.9 * loss.takes[1] if isinstance(loss, WrapperLoss) else inf  # where it ends there may be a pole
    x = torch.linspace(span[0], min(span[1], end), 120_001, dtype=torch.float64)
    return x, loss.formula(x)  # type: ignore[attr-defined]


def values_of(loss: Loss) -> list[tuple[str, Tensor]]:
    """The values of terms that have a say, on every small problem at three scales of the logits."""
    found = []
    for problem in problems(loss):
        for scale in (0.1, 1.0, 30.0):
            value, weight = problem.loss.terms(scale * problem.logits, problem.target)
            found.append((str(problem), value[weight > 0]))
    return found


def at_defaults(loss: Loss) -> bool:
    """Whether the card, which speaks of the default fields, speaks of this instance; an inner loss does not matter.

    A field without a default has that of the first example.
    """
    shown = type(loss).examples()[:1]
    return all(
        isinstance(value := getattr(loss, one.name), Loss)
        or value in ([getattr(first, one.name) for first in shown] if one.default is MISSING else [one.default])
        for one in fields(loss)
    )
