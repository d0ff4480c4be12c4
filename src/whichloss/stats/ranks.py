"""Losses over many data sets: mean ranks, Friedman's test, and Nemenyi's critical difference."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np

from whichloss.stats.cell import deciding_cell
from whichloss.stats.plan import Plan
from whichloss.stats.table import Row, TableError

FEWEST_DATA, FEWEST_LOSSES = 6, 3


@dataclass(frozen=True)
class Ranking:
    """Rank 1 is best; ties share their mean rank. The unit is the data set: more seeds or folds count no more."""

    losses: tuple[str, ...]  # best first
    labels: tuple[str, ...]
    data: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    chi2: float  # Friedman, corrected for ties
    p: float
    f: float  # Iman and Davenport's form of it, which is less timid
    p_f: float
    critical_difference: float  # of mean ranks, by the plan's confidence
    p_nemenyi: tuple[tuple[float, ...], ...]  # each pair of losses
    groups: tuple[tuple[str, ...], ...]  # losses, as long as possible, whose mean ranks lie closer than that


def rank(rows: Iterable[Row], plan: Plan, data: Sequence[str] = ()) -> Ranking:
    r"""One mean per loss and data set, failed runs at chance; then, for k losses on N data sets,

    $\chi^2_F = \frac{12N}{k(k+1)} [\sum_j R_j^2 - k(k+1)^2/4]$ (divided by its correction for ties),
    $F = (N-1)\chi^2 / (N(k-1) - \chi^2)$ with k - 1 and (k - 1)(N - 1) df,
    $\mathrm{CD} = q_\alpha \sqrt{k(k+1)/(6N)}$, q the studentised range over $\sqrt 2$.

    Six data sets or more; data: which, all of the table if none is named.

    Source: Demsar, Journal of Machine Learning Research 7 (2006).
    """
    rows = list(rows)
    data = tuple(data) or tuple(sorted({row.data for row in rows if row.study == plan.study}))
    if len(data) < FEWEST_DATA:
        raise TableError(
            f"data sets: {len(data)} ({', '.join(data) or 'none'}); ranks need {FEWEST_DATA} or more to show anything: "
            "judge each data set by itself"
        )
    if len(plan.losses) < FEWEST_LOSSES:
        raise TableError(f"losses: {len(plan.losses)}; ranks need {FEWEST_LOSSES} or more: for two, `judge` is enough")
    means = np.array([_means(rows, replace(plan, data=name)) for name in data])
    return _ranked(means if plan.higher_is_better else -means, plan, data)


def _means(rows: list[Row], plan: Plan) -> list[float]:
    """The mean score of each loss on the plan's data set, over the pairs that all losses have run."""
    cell = deciding_cell(rows, plan)
    missing = [plan.label(loss) for loss in plan.losses if not cell.scores[loss]]
    if missing:
        raise TableError(f"{plan.data}: {', '.join(missing)} did not run there; every loss is ranked on every data set")
    shared = set.intersection(*(set(cell.scores[loss]) for loss in plan.losses))
    if not shared:
        raise TableError(f"{plan.data}: no pair of fold and seed was run by all losses; finish the study first")
    return [float(np.mean([cell.scores[loss][pair].value for pair in sorted(shared)])) for loss in plan.losses]


def _ranked(means: np.ndarray, plan: Plan, data: tuple[str, ...]) -> Ranking:
    from scipy import stats

    n, k = means.shape
    ranks = stats.rankdata(-means, axis=1)
    mean = ranks.mean(0)
    chi2 = _chi2(ranks)
    most = n * (k - 1)
    f = (n - 1) * chi2 / (most - chi2) if chi2 < most else inf
    unit = sqrt(k * (k + 1) / (6 * n))
    apart = np.abs(mean[:, None] - mean) / unit * sqrt(2)
    order = np.argsort(mean, kind="stable")
    critical = float(stats.studentized_range.ppf(plan.confidence, k, inf)) / sqrt(2) * unit
    p_nemenyi = np.where(apart == 0, 1.0, stats.studentized_range.sf(apart, k, inf))[np.ix_(order, order)]
    losses = tuple(plan.losses[i] for i in order)
    return Ranking(
        losses=losses,
        labels=tuple(map(plan.label, losses)),
        data=data,
        mean_ranks=tuple(mean[order].tolist()),
        chi2=chi2,
        p=float(stats.chi2.sf(chi2, k - 1)),
        f=f,
        p_f=float(stats.f.sf(f, k - 1, (k - 1) * (n - 1))),
        critical_difference=critical,
        p_nemenyi=tuple(map(tuple, p_nemenyi.tolist())),
        groups=_groups(losses, mean[order], critical),
    )


def _chi2(ranks: np.ndarray) -> float:
    """Friedman's statistic; 0 where every data set is one tie."""
    n, k = ranks.shape
    tied = sum(float((counts**3 - counts).sum()) for counts in (np.unique(row, return_counts=True)[1] for row in ranks))
    correction = 1 - tied / (n * k * (k**2 - 1))
    if correction <= 0:
        return 0.0
    return float(12 * n / (k * (k + 1)) * ((ranks.mean(0) ** 2).sum() - k * (k + 1) ** 2 / 4) / correction)


def _groups(losses: tuple[str, ...], ranks: np.ndarray, critical: float) -> tuple[tuple[str, ...], ...]:
    """The bars of a critical difference diagram; none lies within another."""
    groups: list[tuple[int, int]] = []
    for first in range(len(losses)):
        last = int(np.searchsorted(ranks, ranks[first] + critical, side="left")) - 1
        if not groups or last > groups[-1][1]:
            groups.append((first, last))
    return tuple(losses[first : last + 1] for first, last in groups)
