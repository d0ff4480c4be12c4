"""A loss against the baseline: how much better, how sure, and what that means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from whichloss.stats.cell import Cell
from whichloss.stats.paired import UNIT, Pair, Paired, estimate
from whichloss.stats.plan import Plan

Decision = Literal["equal", "better", "worse", "undecided"]


@dataclass(frozen=True)
class Repeat:
    """The comparison once more, without the pairs in which a run failed."""

    difference: float
    standard_error: float
    df: int
    low: float
    high: float
    decision: Decision
    pairs: int


@dataclass(frozen=True)
class Comparison:
    """A loss against the baseline; a positive difference favours the loss, whichever way scores go.

    All bounds are simultaneous over the comparisons with the baseline.
    """

    loss: str
    label: str
    difference: float
    standard_error: float
    df: int
    low: float
    high: float
    decision: Decision
    reason: str | None  # "failures", "no pairs", "one fold" ...; None: decided, or the interval is too wide
    decision_half_rope: Decision
    decision_double_rope: Decision
    pairs: int
    failed_pairs: int
    without_failures: Repeat | None  # None: nothing failed


def decide(low: float, high: float, rope: float) -> Decision:
    """What an interval says when differences below rope do not matter (rope = 0: only equality is equal).

    >>> decide(-0.004, 0.008, rope=0.01), decide(0.002, 0.03, rope=0.01), decide(-0.004, 0.03, rope=0.01)
    ('equal', 'better', 'undecided')
    """
    if -rope <= low and high <= rope:
        return "equal"
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "undecided"


def compare(cell: Cell, plan: Plan, loss: str) -> Comparison:
    """Failed runs at chance, then without them; where the two disagree nothing is decided.

    Bonferroni over the planned comparisons, so that all intervals hold together with the plan's confidence.
    """
    pairs = cell.paired(loss, plan.baseline)
    failed = pairs.keys() & cell.failed(loss, plan.baseline)
    full = _result(pairs, plan)
    finished = _result({pair: pairs[pair] for pair in pairs if pair not in failed}, plan)

    def at(rope: float) -> Decision:
        decision = decide(full.low, full.high, rope)
        return decision if decision == decide(finished.low, finished.high, rope) else "undecided"

    reason = None
    if full.decision != finished.decision:
        reason = "failures"
    elif full.df < 1:
        reason = f"one {UNIT[plan.design]}" if pairs else "no pairs"
    return Comparison(
        loss=loss,
        label=plan.label(loss),
        difference=full.difference,
        standard_error=full.standard_error,
        df=full.df,
        low=full.low,
        high=full.high,
        decision=at(plan.rope),
        reason=reason,
        decision_half_rope=at(plan.rope / 2),
        decision_double_rope=at(plan.rope * 2),
        pairs=len(pairs),
        failed_pairs=len(failed),
        without_failures=finished if failed else None,
    )


def _result(pairs: Mapping[Pair, Paired], plan: Plan) -> Repeat:
    mean = estimate(pairs, plan.design)
    low, high = mean.interval((1 - plan.confidence) / (2 * len(plan.rivals)))
    return Repeat(*mean, low, high, decide(low, high, plan.rope), len(pairs))
