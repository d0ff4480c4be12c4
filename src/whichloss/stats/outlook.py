"""What would settle an undecided comparison: more seeds, or only more patients."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Literal, NamedTuple

import numpy as np

from whichloss.stats.cell import deciding_cell
from whichloss.stats.comparison import Comparison, compare
from whichloss.stats.paired import UNIT, Pair, Paired, t_quantile
from whichloss.stats.plan import Plan
from whichloss.stats.table import Row

FAIR, GOOD, LIKELY, HARDLY = 0.7, 0.9, 0.8, 0.1  # chances that a study is decided in the end
FUTURES = 4000  # imagined continuations of the study
MOST = 1000  # more seeds than this are as good as infinitely many

Kind = Literal["seeds", "perhaps", "patients", "unknown"]


@dataclass(frozen=True)
class Outlook:
    """What would decide between a loss and the baseline.

    kind is "seeds" (so many more decide it with 70 to 90 %), "perhaps" (seeds may, but no number of them is sure to),
    "patients" (more seeds cannot: less than 10 %) or "unknown" (one seed does not tell how much seeds vary).
    """

    loss: str
    label: str
    kind: Kind
    seeds: tuple[int, int] | None  # more seeds (draws) than now: for a chance of 70 %, and of 90 %
    patients: tuple[int, int | None] | None  # in all, for 80 %, with as many folds and seeds: at least, and at most
    sentence: str


class Futures(NamedTuple):
    """Imagined ends of a study: the mean difference, its standard error, and how likely each end is."""

    difference: np.ndarray
    error: np.ndarray
    df: int
    weight: np.ndarray

    def decided(self, tail: float, rope: float) -> float:
        """The chance that the interval is all on one side of zero, or inside the rope."""
        half = t_quantile(1 - tail, self.df) * self.error
        size = np.abs(self.difference)
        return float(self.weight[(size > half) | (size + half <= rope)].sum())


def outlooks(rows: Iterable[Row], plan: Plan) -> tuple[Outlook, ...]:
    """One for each comparison that is undecided because its interval is too wide, in the plan's order."""
    cell = deciding_cell(rows, plan)
    comparisons = [compare(cell, plan, loss) for loss in plan.rivals]
    return tuple(
        outlook(comparison, cell.paired(comparison.loss, plan.baseline), plan)
        for comparison in comparisons
        if comparison.decision == "undecided" and comparison.reason is None
    )


def outlook(comparison: Comparison, pairs: Mapping[Pair, Paired], plan: Plan) -> Outlook:
    """The study is continued in imagination, from what it has measured, and judged again by the same rule.

    Patients stay the same when seeds are added: seed means vary around what these patients say, and that is
    known the better, the more seeds there are. Variances are drawn from what the data leave plausible
    (inverse chi-square), what these patients say has no preferred value: a chance is that of a decision,
    whichever it is. Draws, and seeds on a given split, have no patients to lean on: there the true difference
    is taken to be the one measured, and the sentence says so.

    With more patients the difference itself may move, by as much as its standard error says. How much of the
    runs' own variance is luck, which patients do not average out, the table cannot tell: the first number of
    patients takes it for none, the second for all (None: then no number of patients is enough).

    Source: predictive power, Spiegelhalter, Freedman and Blackburn, Controlled Clinical Trials 7 (1986).
    """
    tail = (1 - plan.confidence) / (2 * len(plan.rivals))
    table = _table(pairs, plan)
    if table is None:
        return _said(comparison, plan, "unknown", None, None)
    chances = _chances(table, pairs, plan, tail)
    patients = _patients(comparison, table, pairs, plan, tail) if _overlaps(plan) else None
    best = max(chances.values())
    if best < HARDLY and _overlaps(plan):
        return _said(comparison, plan, "patients", None, patients)
    if len(table) < 2:
        return _said(comparison, plan, "unknown", None, patients)
    if best < GOOD or plan.design == "fixed":  # so few folds do not tell how much of their variance is theirs
        return _said(comparison, plan, "perhaps", None, patients)
    fair, good = (next(n for n, chance in chances.items() if chance >= least) for least in (FAIR, GOOD))
    return _said(comparison, plan, "seeds", (fair, good), patients)


def _table(pairs: Mapping[Pair, Paired], plan: Plan) -> np.ndarray | None:
    """The differences as (seeds, folds), of the seeds that have every fold; None where they are too few."""
    folds = sorted({fold for _, fold in pairs})
    seeds = [s for s in sorted({seed for seed, _ in pairs}) if all((s, fold) in pairs for fold in folds)]
    table = np.array([[pairs[s, fold].difference for fold in folds] for s in seeds]).reshape(len(seeds), len(folds))
    if not _overlaps(plan):
        table = table.mean(1, keepdims=True)
    few = min(table.shape) < 2 if plan.design == "fixed" else table.size < 2
    return None if few else table


def _chances(table: np.ndarray, pairs: Mapping[Pair, Paired], plan: Plan, tail: float) -> dict[int, float]:
    """More seeds -> the chance that they decide."""
    grid = sorted({ceil(x) for x in np.geomspace(1, MOST, 40)})
    imagined = _fixed if plan.design == "fixed" else _refolded
    overlap = _overlap(pairs) if _overlaps(plan) else 0.0
    return {more: imagined(table, more, overlap).decided(tail, plan.rope) for more in grid}


def _overlaps(plan: Plan) -> bool:
    return plan.design in ("refold", "fixed")


class Spread(NamedTuple):
    """What the variances of the differences may be."""

    within: np.ndarray  # of a pair, within its seed
    run: np.ndarray  # the part of it that another seed draws anew
    weight: np.ndarray


def _spread(table: np.ndarray, random: np.random.Generator) -> Spread:
    r"""Seed means are independent given the patients, of variance $\tau^2 \le \sigma_w^2 / k$; run is $k \tau^2$.

    A fold's patients are not another fold's, so seed means vary less than k independent runs would; how much
    less is learnt from the seed means, beginning from no opinion.
    """
    seeds, folds = table.shape
    between, inside = _squares(table)
    if folds == 1:
        run = between / random.chisquare(seeds - 1, FUTURES)
        return Spread(run, run, np.full(FUTURES, 1 / FUTURES))
    within = inside / random.chisquare(seeds * (folds - 1), FUTURES)
    run = np.maximum(random.uniform(0, 1, FUTURES) * within, 1e-300)
    likelihood = -(seeds - 1) / 2 * np.log(run) - folds * between / (2 * run)
    weight = np.exp(likelihood - likelihood.max())
    return Spread(within, run, weight / weight.sum())


def _squares(table: np.ndarray) -> tuple[float, float]:
    """Sums of squares between seed means and within seeds."""
    means = table.mean(1)
    return float(((means - means.mean()) ** 2).sum()), float(((table - means[:, None]) ** 2).sum())


def _refolded(table: np.ndarray, more: int, overlap: float) -> Futures:
    """More seeds on the same patients; also draws, and seeds on a given split, where there is one fold."""
    random = np.random.default_rng(more)
    seeds, folds = table.shape
    total, units = seeds + more, (seeds + more) * folds
    (between, inside), spread = _squares(table), _spread(table, random)
    tau = spread.run / folds
    if folds > 1:
        inside = inside + spread.within * random.chisquare(more * (folds - 1), FUTURES)
    squares = inside + folds * (between + tau * random.chisquare(more, FUTURES))
    spread_of_mean = np.sqrt(tau * more) / total if folds == 1 else np.sqrt(tau * (1 / seeds - 1 / total))
    move = spread_of_mean * random.normal(size=FUTURES)
    error = np.sqrt(squares / (units - 1) * (1 / units + overlap))
    return Futures(table.mean() + move, error, units - 1, spread.weight)


class Shares(NamedTuple):
    """The same for the means of fixed folds."""

    seed: np.ndarray  # the variance of one seed on a fold
    fold: np.ndarray  # of the fold means, the seeds' share included


def _shares(table: np.ndarray, random: np.random.Generator) -> Shares:
    seeds, folds = table.shape
    between, inside = _squares(table.T)
    seed = inside / random.chisquare(folds * (seeds - 1), FUTURES)
    return Shares(seed, np.maximum(between / random.chisquare(folds - 1, FUTURES), seed / seeds))


def _fixed(table: np.ndarray, more: int, overlap: float) -> Futures:
    r"""Fold means lose the seeds' share of their variance, $\sigma^2 (1/S - 1/S')$, and keep their own."""
    random = np.random.default_rng(more)
    seeds, folds = table.shape
    means = table.mean(0)
    seed, now = _shares(table, random)
    lost = seed * (1 / seeds - 1 / (seeds + more))
    then = now - lost
    share = (then / np.maximum(now, 1e-300))[:, None]
    drawn = random.normal(size=(FUTURES, folds))
    folded = share * (means - means.mean()) + np.sqrt(then[:, None] * (1 - share)) * drawn
    move = np.sqrt(lost / folds) * random.normal(size=FUTURES)
    error = np.sqrt(folded.var(1, ddof=1) * (1 / folds + overlap))
    return Futures(means.mean() + move, error, folds - 1, np.full(FUTURES, 1 / FUTURES))


def _patients(
    comparison: Comparison, table: np.ndarray, pairs: Mapping[Pair, Paired], plan: Plan, tail: float
) -> tuple[int, int | None] | None:
    """So many in all that the study is decided with 80 %, in round numbers; None where a million are not enough."""
    random = np.random.default_rng(0)
    folds = table.shape[1]
    if plan.design == "refold":
        within, run, weight = _spread(table, random)
        factor = 1 / table.size + _overlap(pairs)
    else:
        seed, within = _shares(table, random)
        run, weight = seed / len(table), np.full(FUTURES, 1 / FUTURES)
        factor = 1 / folds + _overlap(pairs)
    one = next(iter(pairs.values()))
    now = one.n_train + one.n_test
    normal = random.normal(size=FUTURES)
    error = np.sqrt(within * factor)

    def enough(luck: np.ndarray | float) -> int | None:
        for times in np.geomspace(1.05, max(1e6 / now, 1.05), 150):
            moved = comparison.difference + error * np.sqrt(1 - 1 / times) * normal
            then = np.sqrt(((within - luck) / times + luck) * factor)
            if Futures(moved, then, comparison.df, weight).decided(tail, plan.rope) >= LIKELY:
                return _round_up(now * times)
        return None

    least = enough(0.0)
    return None if least is None else (least, enough(np.minimum(run, within)))


def _overlap(pairs: Mapping[Pair, Paired]) -> float:
    return sum(p.n_test for p in pairs.values()) / sum(p.n_train for p in pairs.values())


def _round_up(number: float) -> int:
    """To two figures.

    >>> _round_up(1234.5), _round_up(87.2)
    (1300, 88)
    """
    step = 10 ** max(floor(log10(number)) - 1, 0)
    return ceil(number / step) * step


def _said(
    comparison: Comparison,
    plan: Plan,
    kind: Kind,
    seeds: tuple[int, int] | None,
    patients: tuple[int, int | None] | None,
) -> Outlook:
    """With the sentence for the page."""
    unit = "draw" if UNIT[plan.design] == "draw" else "seed"
    would = f"; {_many(*patients)}" if patients else ""
    if_so = "" if _overlaps(plan) else "; if the true difference is as measured"
    if kind == "seeds" and seeds:
        more = f"{_span(*seeds)} more {unit}{'s' if seeds[1] > 1 else ''}"
        text = f"about {more} would settle this (chance 70 to 90 %{if_so})"
    elif kind == "patients":
        text = f"more {unit}s cannot settle this{would}"
    elif kind == "perhaps":
        text = f"more {unit}s may settle this or not{would}"
    else:
        text = f"too few {unit}s have run to foresee what more of them would do"
    return Outlook(comparison.loss, comparison.label, kind, seeds, patients, f"{comparison.label}: {text}.")


def _many(low: int, high: int | None) -> str:
    return f"at least {low} patients are needed" if high is None else f"about {_span(low, high)} patients would"


def _span(low: int, high: int) -> str:
    return str(high) if low == high else f"{low} to {high}"
