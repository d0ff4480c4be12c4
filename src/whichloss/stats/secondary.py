"""What other papers report beside a difference. It never decides."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from whichloss.stats.cell import deciding_cell
from whichloss.stats.paired import Estimate, Pair, Paired, estimate, units_of
from whichloss.stats.plan import Plan
from whichloss.stats.table import Row


@dataclass(frozen=True)
class Secondary:
    """A loss against the baseline, failed runs at chance. None where too little varies to tell.

    p: of the corrected t (by the design's standard error), two-sided, for this comparison alone.
    p_holm: the same, adjusted over the plan's comparisons.
    better, equal, worse: what one should believe about the true difference (they sum to 1): above the rope,
    within it, below it.
    p_wilcoxon: signed ranks, two-sided. It takes pairs for independent: with overlapping training sets it is
    too small, and stands here because it is what is usually published.
    """

    loss: str
    label: str
    t: float | None
    df: int
    p: float | None
    p_holm: float | None
    better: float | None
    equal: float | None
    worse: float | None
    p_wilcoxon: float | None


def secondaries(rows: Iterable[Row], plan: Plan) -> tuple[Secondary, ...]:
    """One for each comparison with the baseline, in the plan's order."""
    cell = deciding_cell(rows, plan)
    pairs = [cell.paired(loss, plan.baseline) for loss in plan.rivals]
    estimates = [estimate(pair, plan.design) for pair in pairs]
    adjusted = holm([p_value(one) for one in estimates])
    return tuple(
        Secondary(
            loss, plan.label(loss), t_value(one), one.df, p_value(one), p_holm, *beliefs(one, plan.rope),
            p_wilcoxon=wilcoxon(pair, plan),
        )
        for loss, pair, one, p_holm in zip(plan.rivals, pairs, estimates, adjusted, strict=True)
    )  # fmt: skip


def t_value(one: Estimate) -> float | None:
    r"""$\bar d / \mathrm{se}$, by the design's standard error; None without spread."""
    return one.difference / one.standard_error if one.df > 0 and one.standard_error > 0 else None


def p_value(one: Estimate) -> float | None:
    """How often a difference at least so large comes by chance where there is none: two-sided, Student's t."""
    from scipy.special import stdtr

    t = t_value(one)
    return None if t is None else float(2 * stdtr(one.df, -abs(t)))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    r"""Adjusted: the i-th smallest of m becomes $\max_{j \le i} \min(1, (m - j + 1)\, p_j)$.

    One that is missing counts in m: it is part of the plan.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).

    >>> holm([0.01, 0.04, None, 0.03])
    [0.04, 0.09, None, 0.09]
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        adjusted[i] = highest
    return adjusted


def beliefs(one: Estimate, rope: float) -> tuple[float, float, float] | tuple[None, None, None]:
    r"""P(better), P(within rope), P(worse) under $\delta \sim t_{J-1}(\bar d, \mathrm{se})$.

    The posterior under a flat prior, where pairs are correlated by n_test / (n_test + n_train); its scale is
    the corrected standard error.

    Source: Corani and Benavoli, Machine Learning 100 (2015), the Bayesian correlated t-test.
    """
    from scipy.special import stdtr

    if one.df < 1:
        return None, None, None
    if one.standard_error == 0:
        sides = (float(one.difference > rope), float(one.difference < -rope))
    else:
        up, down = (rope - one.difference) / one.standard_error, (-rope - one.difference) / one.standard_error
        sides = (float(stdtr(one.df, -up)), float(stdtr(one.df, down)))
    return sides[0], max(0.0, 1 - sum(sides)), sides[1]


def wilcoxon(pairs: Mapping[Pair, Paired], plan: Plan) -> float | None:
    """Signed ranks of the differences that count as one each in the plan's design; zeros are left out."""
    from scipy import stats

    differences = units_of({pair: paired.difference for pair, paired in pairs.items()}, plan.design)
    if len(differences) < 2 or any(abs(d) == inf for d in differences):
        return None
    if not any(differences):
        return 1.0
    test: Any = stats.wilcoxon(differences, zero_method="wilcox")
    return float(test.pvalue)
