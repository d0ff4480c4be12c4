"""What new patients would make of a difference, the trained models staying as they are."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from warnings import catch_warnings

import numpy as np

from whichloss.stats.paired import Pair
from whichloss.stats.plan import Plan
from whichloss.stats.table import TableError

FEWEST = 5  # patients of a subgroup of which anything is said


class Case(NamedTuple):
    """The score of one case in one run; a metric that is a mean of such scores can be drawn again."""

    run: str
    case: str
    group: str  # the patient; cases of one patient are drawn together
    score: float


@dataclass(frozen=True)
class Resampled:
    """A value of these trained models, and where it would lie with new patients.

    It knows nothing of what another training set or seed would do: it never decides between losses.
    """

    value: float
    standard_error: float
    low: float  # percentiles: with fewer than twenty patients they lie a little too close
    high: float
    groups: int
    times: int  # resamples that had a value


@dataclass(frozen=True)
class Retested:
    """One loss on new patients: its value, in the metric's own direction, and how much better than the baseline's."""

    loss: str
    label: str
    runs: int  # finished, whose mean the value is
    value: Resampled | None  # None: no run has a value
    difference: Resampled | None  # on the runs that both have; positive is better; None: of the baseline, or no run


@dataclass(frozen=True)
class NewPatients:
    """What new patients would make of the trained models; descriptive, intervals not simultaneous."""

    name: str  # of a subgroup; "": all patients
    patients: int
    losses: tuple[Retested, ...]
    reason: str  # why there are none


def retest(
    values: Mapping[str, Mapping[Pair, np.ndarray]], plan: Plan, patients: int, name: str = "", fewest: int = 2
) -> NewPatients:
    """values: loss -> (seed, fold) -> the metric on the patients as they are, then on each draw of `draw_patients`.

    Every run is measured on the same draws, so that a hard patient is hard for all. A run that has no value on a draw,
    such as an area without a diseased patient, is left out of the mean of that draw.
    """
    if patients < fewest:
        return too_few(name, patients)
    baseline = values.get(plan.baseline, {})
    sign = 1 if plan.higher_is_better else -1

    def told(arrays: Sequence[np.ndarray]) -> Resampled | None:
        with catch_warnings(action="ignore", category=RuntimeWarning):  # a draw without any value
            mean = np.nanmean(arrays, axis=0) if arrays else np.array([np.nan])
        known = np.isfinite(mean[0]) and np.isfinite(mean[1:]).sum() > 1
        return summed_up(mean, patients, plan.confidence) if known else None

    def one(loss: str) -> Retested:
        mine = values.get(loss, {})
        apart = [sign * (mine[pair] - baseline[pair]) for pair in mine if pair in baseline]
        difference = told(apart) if loss != plan.baseline else None
        return Retested(loss, plan.label(loss), len(mine), told(list(mine.values())), difference)

    found = tuple(one(loss) for loss in plan.losses)
    return NewPatients(name, patients, found, "" if any(one.value for one in found) else "no finished run has a value")


def too_few(name: str, patients: int) -> NewPatients:
    return NewPatients(name, patients, (), f"{patients} patient{' is' if patients == 1 else 's are'} too few to tell")


def resample_means(
    cases: Iterable[Case],
    runs: Collection[str],
    others: Collection[str] = (),
    *,
    times: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Resampled:
    r"""The mean score in some runs, minus that in others: $\sum_g w_g s_g / \sum_g w_g n_g$.

    Groups are drawn with replacement, and each is drawn for all runs at once: a hard patient is hard for both
    losses. s_g is the sum of the group's scores and n_g their number; w is multinomial. A case that many runs
    have tested (seeds) counts once per run.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 and 13.
    """
    cases = sorted(case for case in cases if case.run in runs or case.run in others)
    absent = [run for run in {*runs, *others} if run not in {case.run for case in cases}]
    if absent or not runs:
        raise TableError(f"no cases of run {', '.join(sorted(absent)) or '(none was named)'}; keep per-case scores")
    names, group = np.unique([case.group for case in cases], return_inverse=True)
    score = np.array([case.score for case in cases], dtype=float)
    if not np.isfinite(score).all():
        bad = cases[int(np.flatnonzero(~np.isfinite(score))[0])]
        raise TableError(f"case {bad.case} of run {bad.run} scores {bad.score}; a mean needs finite scores")
    weight = draw_patients(len(names), times, seed)
    sides = [_means(group, score, np.array([case.run in side for case in cases]), weight) for side in (runs, others)]
    return summed_up(sides[0] - sides[1] if others else sides[0], len(names), confidence)


def resample_pooled(
    metric: Callable[[np.ndarray], float],
    groups: Sequence[Hashable],
    *,
    times: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Resampled:
    """The same for a metric of all cases together, such as an area under a curve, or a difference of two.

    groups: the patient of each case, (n,). metric: takes the positions of the drawn cases, (m,), of 0 ... n - 1,
    a case being there as often as its patient was drawn; NaN where the draw has no value (no diseased patient).
    """
    index = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    group = np.array([index[name] for name in groups], dtype=int)
    order = np.argsort(group, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(group, minlength=len(index)))[:-1])
    drawn = np.random.default_rng(seed).integers(len(index), size=(times, len(index)))
    whole = float(metric(np.arange(len(group))))
    values = [float(metric(np.concatenate([members[g] for g in draw]))) for draw in drawn]
    return summed_up(np.array([whole, *values]), len(index), confidence)


def draw_patients(groups: int, times: int = 2000, seed: int = 0) -> np.ndarray:
    """How often each group is drawn, (1 + times, groups); the first row is the data themselves."""
    drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=times)
    return np.concatenate([np.ones((1, groups), dtype=int), drawn])


def _means(group: np.ndarray, score: np.ndarray, chosen: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The mean of the chosen scores in each resample; NaN in one that has none."""
    groups = weight.shape[1]
    sums = np.bincount(group[chosen], score[chosen], minlength=groups)
    counts = np.bincount(group[chosen], minlength=groups)
    with np.errstate(invalid="ignore"):
        return (weight @ sums) / (weight @ counts)


def summed_up(values: np.ndarray, groups: int, confidence: float) -> Resampled:
    """values: of the data, then of each resample."""
    value, drawn = float(values[0]), values[1:][np.isfinite(values[1:])]
    if groups < 2 or len(drawn) < 2:
        raise TableError(f"patients: {groups}; a bootstrap needs two or more, and twenty to be trusted")
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Resampled(value, float(drawn.std(ddof=1)), float(low), float(high), groups, len(drawn))
