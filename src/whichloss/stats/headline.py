"""The verdict in two sentences that a clinician can read."""

from collections.abc import Iterable, Sequence
from math import isfinite

from whichloss.stats.comparison import Comparison
from whichloss.stats.plan import Plan

NUMBERED = 3  # more losses than this in a group share one range of numbers
NAMED = 8  # more losses than this in a list are counted, not named


def against_baseline(comparisons: Sequence[Comparison], plan: Plan, unit: str, interim: bool) -> str:
    """First sentence: each loss against the baseline."""
    baseline, metric = plan.label(plan.baseline), plan.primary_label
    if not comparisons:
        return f"{_opening(interim)}There is nothing to compare: {baseline} is the only loss{_closing(plan)}"
    digits = decimals(plan.rope, comparisons)

    def group(decision: str, reason: str | None = None) -> list[Comparison]:
        return [c for c in comparisons if (c.decision, c.reason) == (decision, reason)]

    within = f"equal to within {plan.rope:.{digits}f} {unit}".rstrip() if plan.rope else "the same"
    shown = [
        f"{_numbered(members, digits)} {'was' if len(members) == 1 else 'were'} {words}"
        for decision, words in (("better", "better"), ("equal", within), ("worse", "worse"))
        if (members := group(decision))
    ]
    unshown = [
        _numbered(members, digits) + because
        for reason, because in _reasons(comparisons)
        if (members := group("undecided", reason))
    ]
    if shown:
        lead = f"Compared with {baseline} on {metric}"
        unshown = [f"nothing was shown for {members}" for members in unshown]
    else:
        lead = f"Nothing was shown against {baseline} on {metric}"
    body = "; ".join(shown + unshown)
    return f"{_opening(interim)}{lead} {_key(len(comparisons), plan, unit)}: {body}{_closing(plan)}"


def not_told_from_best(best: Sequence[str], ran: Sequence[str], plan: Plan, interim: bool) -> str:
    """Second sentence: the set that cannot be told from the best, and who is out."""
    out = [loss for loss in ran if loss not in best]
    waiting = [loss for loss in plan.losses if loss not in ran]
    if len(plan.losses) == 1:
        who = f"{plan.label(plan.baseline)}, the only loss"
    elif len(best) > NAMED and not out:
        who = f"all {len(best)} losses"
    else:
        who = _names(map(plan.label, best)) + (" alone" if len(best) == 1 and out else "")
    parts = [f"Cannot be told from the best: {who}"]
    if out:
        parts.append(f"worse than the best: {_names(map(plan.label, out))}")
    elif len(ran) > 1:
        parts.append("none was shown to be worse than the best")
    if waiting:
        parts.append(f"not run yet: {_names(map(plan.label, waiting))}")
    return f"{_opening(interim)}{'; '.join(parts)}{_closing(plan)}"


def decimals(rope: float, comparisons: Iterable[Comparison]) -> int:
    """As many as show a tenth of the rope; without a rope, of the narrowest interval."""
    widths = [(c.high - c.low) / 2 for c in comparisons if isfinite(c.high - c.low) and c.high > c.low]
    sizes = [abs(c.difference) for c in comparisons if isfinite(c.difference) and c.difference != 0]
    scale = rope or min(widths, default=0.0) or min(sizes, default=0.0) or 0.01
    return min(max(1 - int(f"{scale:e}".partition("e")[2]), 0), 9)


def signed(number: float, digits: int) -> str:
    """+0.021, -0.021 or 0.000: never a signed zero.

    >>> signed(0.0214, 3), signed(-0.0001, 3)
    ('+0.021', '0.000')
    """
    text = f"{number:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def _numbered(members: Sequence[Comparison], digits: int) -> str:
    def number(value: float) -> str:
        return signed(value, digits)

    def alone(c: Comparison) -> str:
        if not isfinite(c.difference):
            return c.label
        interval = f" ({number(c.low)} to {number(c.high)})" if isfinite(c.high) else ""
        return f"{c.label} {number(c.difference)}{interval}"

    if len(members) <= NUMBERED:
        return _and([alone(c) for c in members])
    names = _names(c.label for c in members)
    differences = [c.difference for c in members if isfinite(c.difference)]
    if not differences:
        return names
    bounds = [bound for c in members for bound in (c.low, c.high) if isfinite(bound)]
    reach = f"; intervals within {number(min(bounds))} to {number(max(bounds))}" if bounds else ""
    return f"{names} (differences {number(min(differences))} to {number(max(differences))}{reach})"


def _key(comparisons: int, plan: Plan, unit: str) -> str:
    """How to read the numbers."""
    interval = f"{100 * plan.confidence:g} % interval"
    interval = interval if comparisons == 1 else f"simultaneous {interval}s"
    plus = "plus is better" if plan.higher_is_better else "plus is better, that is lower"
    return f"({'; '.join([*([unit] if unit else []), plus, f'{interval} in brackets'])})"


def _reasons(comparisons: Iterable[Comparison]) -> Iterable[tuple[str | None, str]]:
    """Why nothing was decided, the plain reason (a wide interval) first and without words."""
    words = {None: "", "failures": ", because of failed runs", "no pairs": ", with no runs to pair yet"}
    for reason in sorted({c.reason for c in comparisons}, key=lambda reason: reason or ""):
        yield reason, words.get(reason, f", with only {reason}")


def _names(labels: Iterable[str]) -> str:
    names = list(labels)
    if len(names) > NAMED:
        return f"{', '.join(names[: NAMED - 1])} and {len(names) - NAMED + 1} others"
    return ", ".join(names)


def _and(texts: Sequence[str]) -> str:
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)


def _opening(interim: bool) -> str:
    return "(Interim) " if interim else ""


def _closing(plan: Plan) -> str:
    return ", on this split." if plan.design == "given" else "."
