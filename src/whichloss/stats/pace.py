"""How soon a loss learns: the time to a target that is fixed in advance, by epochs, steps and seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean
from typing import NamedTuple

from whichloss.stats.convergence import Arrival, Convergence, arrival, convergences
from whichloss.stats.plan import Plan

SHARE = 0.9  # of the way from the baseline's first epoch to its last
CLOCKS = ("epochs", "steps", "seconds")


class Course(NamedTuple):
    """One run as it learned: the watched score after each epoch, steps and seconds up to there. Empty: it failed."""

    loss: str
    scores: tuple[float, ...] = ()
    steps: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()  # empty: not known


@dataclass(frozen=True)
class Pace:
    """How soon the runs of each loss meet one target on the inner split; descriptive."""

    measured_by: str  # what is watched on the inner split
    unit: str
    higher_is_better: bool
    first: float | None  # the baseline's mean after its first epoch
    final: float | None  # and after its last
    target: float | None  # None: there is none
    clocks: Mapping[str, tuple[Convergence, ...]]  # epochs, steps, seconds -> losses
    reason: str  # why there are none


def pace_of(courses: Sequence[Course], plan: Plan, measured_by: str, unit: str, higher_is_better: bool) -> Pace:
    r"""Target: $b_1 + 0.9\,(b_E - b_1)$, b the baseline's mean score after each of E epochs.

    The rule is the same for every study and looks at no other loss, so that nobody picks the height at which the
    favourite happens to lead. A run that failed never met the target: it counts as seen to the end without it, in
    seconds to the end of the longest run.
    """
    finished = [one for one in courses if one.scores]
    ours = [one for one in finished if one.loss == plan.baseline]
    label = plan.label(plan.baseline)

    def none(reason: str, first: float | None = None, final: float | None = None) -> Pace:
        return Pace(measured_by, unit, higher_is_better, first, final, None, {}, reason)

    if not ours:
        return none(f"no run of {label} has finished, and the target comes from its learning curve")
    first, final = (fmean(one.scores[at] for one in ours) for at in (0, -1))
    if not (isfinite(first) and isfinite(final)):
        return none(f"the learning curve of {label} has no value at one of its ends")
    if not (final > first if higher_is_better else final < first):
        return none(f"{label} was no better after its last epoch than after its first", first, final)
    target = first + SHARE * (final - first)
    told = [clock for clock in CLOCKS if all(_times(one, clock) for one in finished)]
    clocks = {clock: _by(clock, courses, plan, target, higher_is_better) for clock in told}
    return Pace(measured_by, unit, higher_is_better, first, final, target, clocks, "")


def _times(one: Course, clock: str) -> Sequence[float]:
    return {"epochs": range(1, len(one.scores) + 1), "steps": one.steps, "seconds": one.seconds}[clock]


def _by(
    clock: str, courses: Sequence[Course], plan: Plan, target: float, higher_is_better: bool
) -> tuple[Convergence, ...]:
    last = max(_times(one, clock)[-1] for one in courses if one.scores)
    arrivals: dict[str, list[Arrival]] = {}
    for one in courses:
        points = list(zip(_times(one, clock), one.scores, strict=True))
        met = arrival(points, target, higher_is_better=higher_is_better) if points else Arrival(last, False)
        arrivals.setdefault(one.loss, []).append(met)
    ordered = {loss: arrivals[loss] for loss in plan.losses if loss in arrivals}
    return convergences(ordered, confidence=plan.confidence)
