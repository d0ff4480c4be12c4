"""A plain line for each number on the page, and what to do with the answer."""

from collections.abc import Mapping
from typing import Any

from whichloss.report.numerals import TIMES, count, percent, plain, real

ALWAYS = {
    "Mean, sd": (
        "The average over runs, and the spread of single runs around it. The spread is not the uncertainty "
        "of a difference: runs on the same fold and seed rise and fall together."
    ),
    "Decision": (
        "Better: the whole interval lies above zero. Worse: below zero. Equal: it lies inside the rope. "
        "Undecided: anything else; the data do not tell."
    ),
    f"At rope/2, at 2 {TIMES} rope": (
        "The decision, had the smallest difference that matters been half or twice as large. "
        "Where it changes, it hangs on that choice."
    ),
    "Cannot be told from the best": (
        "Each loss is compared with the best of the others. Those that may be the best are a set, not a "
        "ranking: the best mean alone is often luck."
    ),
    "Failed": (
        "Runs that diverged, ran out of memory or died. In the verdict each scores chance, so that no loss "
        "gains by failing; the comparison is repeated without them."
    ),
    "Chance": "What the best constant answer scores on that test fold: the metric's value without any skill.",
    "Descriptive": "Shown for the reader. No decision rests on it, and no interval guards it.",
    "Seconds, peak memory": "Of one run on the machine named below. Compare them within this page only.",
}


def meanings(verdict: Mapping[str, Any]) -> dict[str, str]:
    """Term -> line, in the order in which the page shows the numbers."""
    return {
        "Difference": _difference(verdict),
        "Interval": _interval(verdict),
        "Rope": _rope(verdict),
        "Standard error, degrees of freedom": _freedom(verdict),
        **ALWAYS,
    }


def _difference(verdict: Mapping[str, Any]) -> str:
    pairs, label = real(verdict["design"]["pairs"]), verdict["primary_label"]
    over = f" over {count(pairs).text} pairs of runs" if pairs is not None else ""
    turned = "" if verdict["higher_is_better"] else f" Lower {label} is better, so the sign is turned."
    return (
        f"{label} of the loss against that of {verdict['baseline_label']}, same fold and seed, "
        f"averaged{over}.{turned} Above zero is better."
    )


def _interval(verdict: Mapping[str, Any]) -> str:
    n = len(verdict["comparisons"])
    every = f"all {n} intervals hold at once" if n > 1 else "the interval holds"
    alarms = " Reading many of them does not raise false alarms." if n > 1 else ""
    sure = percent(verdict["confidence"])
    return f"The differences that the runs leave plausible: {every}, with {sure} confidence.{alarms}"


def _freedom(verdict: Mapping[str, Any]) -> str:
    df = real(verdict["design"]["df"])
    weak = f" Here there are only {count(df).text}: the test is weak." if df is not None and df < 4 else ""
    return (
        "How far the difference would move in a repetition of the study, and how many independent pieces of "
        f"evidence that estimate rests on. Training sets that overlap are allowed for.{weak}"
    )


def _rope(verdict: Mapping[str, Any]) -> str:
    rope = real(verdict["rope"])
    if rope is None:
        return "The smallest difference that matters. This study states none, so no loss can be called equal."
    unit = f" {verdict['unit']}" if verdict["unit"] else ""
    return f"The smallest difference that matters, as the study states it: ±{plain(rope)}{unit}."


def advice(verdict: Mapping[str, Any]) -> str:
    """Which loss to take, never the best mean alone: a change from the baseline needs a reason."""
    best = [loss for loss in verdict["losses"] if loss["in_best_set"]]
    baseline = verdict["baseline_label"]
    if len(verdict["losses"]) == 1:
        return f"{baseline} is the only loss of this study."
    if not best:
        return "Which losses may be the best is not known yet: too few runs are finished."
    if any(loss["loss"] == verdict["baseline"] for loss in best):
        return f"{baseline} cannot be told from the best: nothing here asks you to change it."
    if len(best) == 1:
        return f"{best[0]['label']} is the only loss that may be the best here."
    return f"Each of these may be the best, and {baseline} is not among them; choose by cost."


def snippet(verdict: Mapping[str, Any], call: str) -> str:
    """Python that trains with a loss of the best set, the baseline first where it is one; without a call none."""
    texts = [loss["loss"] for loss in verdict["losses"] if loss["in_best_set"]]
    if not (texts and call):
        return ""
    texts.sort(key=lambda text: text != verdict["baseline"])
    first, *rest = (f"loss = whichloss.parse({text!r})" for text in texts)
    return "\n".join(
        [
            "import whichloss",
            "",
            first,
            *(f"# or: {line}" for line in rest),
            "",
            f"value = {call}",
            "value.backward()",
        ]
    )
