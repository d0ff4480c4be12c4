"""How losses bear harder data: the area under the curve of scores over stress, and where they break."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import NamedTuple

from whichloss.stats.cell import Cell, deciding_cell
from whichloss.stats.paired import Estimate, Pair, Paired, estimate
from whichloss.stats.plan import Plan
from whichloss.stats.table import Row, TableError


@dataclass(frozen=True)
class Breakdown:
    """The lowest level at which a loss falls by more than `fall` below its own clean score.

    Levels that were run; None: it held at all of them. earliest: there the data leave it possible, latest:
    there it is certain (pointwise intervals of the fall, by the design's standard error).
    """

    fall: float
    level: float | None
    earliest: float | None
    latest: float | None


@dataclass(frozen=True)
class Degradation:
    """One loss under one kind of stress, failed runs at chance; descriptive, intervals not simultaneous."""

    loss: str
    label: str
    levels: tuple[float, ...]
    means: tuple[float, ...]  # in the metric's own direction
    area: float  # the mean score over the range of levels, in the metric's unit
    low: float
    high: float
    gain: float  # the area, less that of the baseline on the same folds and seeds; positive is better
    gain_low: float
    gain_high: float
    breakdown: Breakdown
    pairs: int  # (seed, fold) that ran at every level


def degradations(rows: Iterable[Row], plan: Plan, levels: Mapping[float, str], fall: float) -> tuple[Degradation, ...]:
    r"""One for each loss that ran at all levels.

    levels: level -> how the table spells it, such as {0.0: "", 0.2: "LabelNoise(0.2)"}; the lowest is the clean
    one. The area is that under straight lines between levels, divided by their range:
    $A = \frac{1}{x_m - x_1} \sum_i \tfrac12 (y_i + y_{i+1})(x_{i+1} - x_i)$, one per fold and seed, so that what
    is hard at every level is counted once; its interval is that of a mean of paired scores. fall: in the metric's
    unit, more than 0.
    """
    if len(levels) < 2:
        raise TableError(f"a curve needs two levels of stress or more; came: {dict(levels)}")
    if not fall > 0:
        raise TableError(f"fall is {fall!r}; it is the drop in score that counts as breaking, more than 0")
    rows, at = list(rows), sorted(levels)
    cells = [deciding_cell(rows, replace(plan, stress=levels[level])) for level in at]
    curves = {loss: _curves(cells, loss) for loss in plan.losses}
    return tuple(
        _degradation(loss, curves[loss], curves[plan.baseline], at, fall, plan) for loss in plan.losses if curves[loss]
    )


class _Curve(NamedTuple):
    """The scores of one fold and seed, level by level."""

    scores: list[float]
    n_train: int  # at the clean level: a stress may take patients away
    n_test: int


def area(levels: Sequence[float], scores: Sequence[float]) -> float:
    """The mean height of the line through the scores.

    >>> area([0, 1, 4], [1.0, 0.5, 0.5])
    0.5625
    """
    steps = zip(levels, levels[1:], scores, scores[1:], strict=False)
    return sum((right - left) * (y + z) / 2 for left, right, y, z in steps) / (levels[-1] - levels[0])


def breakdown(levels: Sequence[float], falls: Sequence[Estimate], fall: float, tail: float) -> Breakdown:
    """levels: from the least to the greatest; falls: the mean fall at each, with its standard error."""

    def first(values: Iterable[float]) -> float | None:
        return next((level for level, value in zip(levels, values, strict=True) if value > fall), None)

    bounds = [one.interval(tail) for one in falls]
    return Breakdown(
        fall, first(one.difference for one in falls), first(high for _, high in bounds), first(low for low, _ in bounds)
    )


def _curves(cells: Sequence[Cell], loss: str) -> dict[Pair, _Curve]:
    """Of the pairs that ran at every level."""
    scores = [cell.scores[loss] for cell in cells]
    return {
        pair: _Curve([one[pair].value for one in scores], scores[0][pair].n_train, scores[0][pair].n_test)
        for pair in sorted(set.intersection(*(set(one) for one in scores)))
    }


def _degradation(
    loss: str,
    curves: Mapping[Pair, _Curve],
    baseline: Mapping[Pair, _Curve],
    at: Sequence[float],
    fall: float,
    plan: Plan,
) -> Degradation:
    tail = (1 - plan.confidence) / 2
    sign = 1 if plan.higher_is_better else -1

    def mean(value: Callable[[Pair], float], pairs: Iterable[Pair]) -> Estimate:
        return estimate({pair: Paired(value(pair), *curves[pair][1:]) for pair in pairs}, plan.design)

    def fallen(level: int) -> Estimate:
        return mean(lambda pair: sign * (curves[pair].scores[0] - curves[pair].scores[level]), curves)

    own = mean(lambda pair: area(at, curves[pair].scores), curves)
    gain = mean(
        lambda pair: sign * (area(at, curves[pair].scores) - area(at, baseline[pair].scores)),
        [pair for pair in curves if pair in baseline],
    )
    low, high = own.interval(tail)
    gain_low, gain_high = gain.interval(tail)
    return Degradation(
        loss=loss,
        label=plan.label(loss),
        levels=tuple(at),
        means=tuple(fmean(curve.scores[i] for curve in curves.values()) for i in range(len(at))),
        area=own.difference,
        low=low,
        high=high,
        gain=gain.difference,
        gain_low=gain_low,
        gain_high=gain_high,
        breakdown=breakdown(at[1:], [fallen(level) for level in range(1, len(at))], fall, tail),
        pairs=len(curves),
    )
