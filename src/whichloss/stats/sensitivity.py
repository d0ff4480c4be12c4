"""Whether a decision hangs on a choice that could have been made otherwise."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from whichloss.stats.cell import deciding_cell
from whichloss.stats.comparison import Comparison, Decision, compare
from whichloss.stats.plan import Plan
from whichloss.stats.table import Row


@dataclass(frozen=True)
class Sensitivity:
    """The decision on one loss, and what it would be with one choice changed. None: there is nothing to change."""

    loss: str
    label: str
    decision: Decision
    half_rope: Decision
    double_rope: Decision
    without_failures: Decision | None  # pairs with a failed run left out
    other_threshold: Decision | None  # natural for tuned, or the other way round

    @property
    def changed(self) -> bool:
        others = (self.half_rope, self.double_rope, self.without_failures, self.other_threshold)
        return any(other not in (None, self.decision) for other in others)


def sensitivities(
    rows: Iterable[Row], plan: Plan, comparisons: Sequence[Comparison], threshold: str = ""
) -> tuple[Sensitivity, ...]:
    """One for each comparison. threshold: the primary metric at its other threshold, as the table spells it."""
    other = replace(plan, primary=threshold)
    rows = [row for row in rows if threshold and row.metric == threshold]
    cell = deciding_cell(rows, other) if rows else None
    return tuple(
        Sensitivity(
            loss=c.loss,
            label=c.label,
            decision=c.decision,
            half_rope=c.decision_half_rope,
            double_rope=c.decision_double_rope,
            without_failures=c.without_failures.decision if c.without_failures else None,
            other_threshold=compare(cell, other, c.loss).decision if cell else None,
        )
        for c in comparisons
    )
