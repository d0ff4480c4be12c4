"""What a reader must know before believing the verdict."""

from collections.abc import Iterator, Sequence

from whichloss.stats.best import best_set
from whichloss.stats.cell import Cell
from whichloss.stats.comparison import Comparison
from whichloss.stats.paired import UNIT
from whichloss.stats.plan import Plan

MORE = {
    "refold": "More seeds would help.",
    "fixed": "More folds would help; more seeds on the same folds add no degree of freedom.",
    "draws": "More draws would help.",
    "given": "More seeds would help.",
}


def cautions(
    cell: Cell, plan: Plan, comparisons: Sequence[Comparison], best: Sequence[str], planned: int
) -> Iterator[str]:
    """One line each: missing runs, failed runs, a weak test, no spread, losses left out."""
    missing = [f"{c.label} {planned - c.pairs} of {planned}" for c in comparisons if c.pairs < planned]
    if missing:
        yield f"Interim: pairs of runs with the baseline are missing: {', '.join(missing)}."
    elif not comparisons and len(cell.pairs) < planned:
        yield f"Interim: runs are missing: {planned - len(cell.pairs)} of {planned}."

    failed = [loss for loss in plan.losses if cell.failed(loss)]
    if failed:
        counts = [f"{plan.label(loss)} {len(cell.failed(loss))} of {len(cell.scores[loss])}" for loss in failed]
        yield f"Failed runs, scored as chance: {', '.join(counts)}."
        blamed = [plan.label(loss) for loss in best_set(cell, plan, failures=False) if loss not in best]
        if blamed:
            yield f"Worse than the best only because failed runs score chance: {', '.join(blamed)}."

    df = fewest_df(comparisons)
    if df is not None and df < 4:
        unit = UNIT[plan.design]
        units = f"{df + 1} {unit}s" if df else f"one {unit}"
        yield (
            f"The test is weak: a comparison rests on {units} ({df} degrees of freedom), "
            f"so that only large and steady differences can be shown. {MORE[plan.design]}"
        )

    steady = [c.label for c in comparisons if c.df > 0 and c.standard_error == 0]
    if steady:
        yield (
            f"The differences from the baseline have no spread at all: {', '.join(steady)}. "
            "An interval of no width proves nothing; are these runs independent?"
        )
    if cell.strangers:
        yield f"In the table but not in the plan, left out: {', '.join(cell.strangers)}."


def fewest_df(comparisons: Sequence[Comparison]) -> int | None:
    """The degrees of freedom of the weakest comparison that has any pairs."""
    return min((c.df for c in comparisons if c.pairs), default=None)
