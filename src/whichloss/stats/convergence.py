"""How long losses take to reach a target, where some runs never did: these are censored, not left out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import NamedTuple

from whichloss.stats.paired import t_quantile
from whichloss.stats.table import TableError

NORMAL = 10**9  # degrees of freedom of Student's t that is as good as normal


class Arrival(NamedTuple):
    """One run: when it first met the target, or when it was last seen without."""

    at: float  # epochs, steps or seconds
    reached: bool


@dataclass(frozen=True)
class Convergence:
    """How soon the runs of one loss meet the target; times in the unit of the arrivals."""

    loss: str
    runs: int
    reached: int
    median: float | None  # half of the runs have met it by then; None: fewer than half ever did
    median_low: float
    median_high: float | None
    mean: float  # restricted: the expected time, counted up to the horizon at most
    mean_error: float
    mean_low: float
    mean_high: float
    horizon: float


def arrival(points: Iterable[tuple[float, float]], target: float, *, higher_is_better: bool = True) -> Arrival:
    """points: (epoch, step or second; score) of one run, in any order. Not a number is not the target.

    >>> arrival([(1, 0.4), (2, 0.7), (3, 0.6)], target=0.65), arrival([(1, 0.4), (2, 0.5)], target=0.65)
    (Arrival(at=2, reached=True), Arrival(at=2, reached=False))
    """
    points = sorted(points)
    if not points:
        raise TableError("a run without a single score never started; leave it out or count it as censored at 0")
    for at, score in points:
        if score >= target if higher_is_better else score <= target:
            return Arrival(at, True)
    return Arrival(points[-1][0], False)


def convergences(
    arrivals: Mapping[str, Sequence[Arrival]], *, horizon: float | None = None, confidence: float = 0.95
) -> tuple[Convergence, ...]:
    r"""loss -> its runs. $\hat S(t) = \prod_{t_i \le t} (1 - d_i / n_i)$ is the share still on their way.

    median: the first t with $\hat S(t) \le 1/2$, its interval from that of $\log(-\log \hat S)$ (Brookmeyer and
    Crowley). mean: $\int_0^\tau \hat S$, with Greenwood's variance; the horizon $\tau$ is the same for all losses:
    by default the earliest of their last observations, since beyond it some loss is not observed. Runs count as
    independent, which folds that share patients are not: read the intervals as too narrow.

    Source: Kaplan and Meier, JASA 53 (1958); Royston and Parmar, BMC Medical Research Methodology 13 (2013).
    """
    empty = [loss for loss, runs in arrivals.items() if not runs]
    if empty or not arrivals:
        raise TableError(f"no runs of {', '.join(empty) or 'any loss'}: there is no time to tell")
    wrong = [one for runs in arrivals.values() for one in runs if not 0 <= one.at < inf]
    if wrong:
        raise TableError(f"a run arrives at {wrong[0].at}; a time is 0 or more, and finite")
    last = min(max(one.at for one in runs) for runs in arrivals.values())
    horizon = last if horizon is None else horizon
    if not 0 < horizon <= last:
        raise TableError(f"horizon is {horizon}; some loss was last seen at {last}: choose one above 0 and up to that")
    normal = t_quantile((1 + confidence) / 2, NORMAL)
    return tuple(_converged(loss, runs, horizon, normal) for loss, runs in arrivals.items())


class _Step(NamedTuple):
    """The curve from one arrival on."""

    at: float
    share: float  # not there yet
    arrived: int
    waiting: int  # just before

    @property
    def greenwood(self) -> float:
        """Its part in the variance of log S; infinite where all have arrived."""
        left = self.waiting - self.arrived
        return self.arrived / (self.waiting * left) if left else inf


def _curve(runs: Sequence[Arrival]) -> list[_Step]:
    """A run that was last seen when another arrived was still waiting then."""
    steps, share = [], 1.0
    for at in sorted({one.at for one in runs if one.reached}):
        waiting = sum(one.at >= at for one in runs)
        arrived = sum(one.at == at and one.reached for one in runs)
        share *= 1 - arrived / waiting
        steps.append(_Step(at, share, arrived, waiting))
    return steps


def _converged(loss: str, runs: Sequence[Arrival], horizon: float, normal: float) -> Convergence:
    steps = _curve(runs)
    low, high = _median_interval(steps, normal)
    mean, error = _restricted_mean(steps, horizon)
    return Convergence(
        loss=loss,
        runs=len(runs),
        reached=sum(one.reached for one in runs),
        median=next((step.at for step in steps if step.share <= 0.5 + 1e-12), None),
        median_low=low,
        median_high=high,
        mean=mean,
        mean_error=error,
        mean_low=max(0.0, mean - normal * error),
        mean_high=min(horizon, mean + normal * error),
        horizon=horizon,
    )


def _restricted_mean(steps: Sequence[_Step], horizon: float) -> tuple[float, float]:
    r"""The area up to the horizon, and $\sqrt{\sum_i A_i^2 d_i / (n_i (n_i - d_i))}$, A_i beyond t_i."""
    steps = [step for step in steps if step.at < horizon]
    starts = [0.0, *(step.at for step in steps)]
    ends = [*starts[1:], horizon]
    shares = [1.0, *(step.share for step in steps)]
    pieces = [share * (end - start) for start, end, share in zip(starts, ends, shares, strict=True)]
    beyond = [sum(pieces[i + 1 :]) for i in range(len(steps))]
    variance = sum(rest**2 * step.greenwood for rest, step in zip(beyond, steps, strict=True) if rest)
    return sum(pieces), sqrt(variance)


def _median_interval(steps: Sequence[_Step], normal: float) -> tuple[float, float | None]:
    """From the last time at which more than half are surely on their way to the first at which fewer surely are."""
    low, high, variance = None, None, 0.0
    for step in steps:
        variance += step.greenwood
        if step.share <= 0 or variance == inf:
            lower = upper = 0.0
        else:
            half = normal * sqrt(variance) / log(step.share)  # below 0, since S < 1
            lower, upper = step.share ** exp(-half), step.share ** exp(half)
        if low is None and lower <= 0.5:
            low = step.at
        if high is None and upper <= 0.5:
            high = step.at
    return (0.0 if low is None else low), high
