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
    "Runs, pairs": (
        "A run is one network, trained on one fold with one seed. A pair is two runs that share fold, seed, initial "
        "weights and order of data, and differ in the loss."
    ),
    "Chance": "What the best constant answer scores on that test fold: the metric's value without any skill.",
    "Descriptive": "Shown for the reader. No decision rests on it, and no interval guards it.",
    "Seconds, peak memory": "Of one run on the machine named below. Compare them within this page only.",
}

HEADS = {  # of the columns
    "Loss": "What the networks of this row were trained with; of its fields, those that differ from the defaults.",
    "sd": "The standard deviation over runs: how far single runs lie from their mean.",
    "Runs": "How many networks were trained with this loss, failed ones included.",
    "Failed": "How many of them diverged, ran out of memory or died. Each counts as chance.",
    "Interval": "The differences that the runs leave plausible; the intervals of all losses hold at once.",
    "Decision": "Better, worse, equal or undecided, from where the interval lies.",
    "At rope/2": "The decision, had the smallest difference that matters been half as large.",
    f"At 2 {TIMES} rope": "The decision, had the smallest difference that matters been twice as large.",
    "Cannot be told from the best": "Whether this loss may be the best of all; several may.",
    "Standard error": "How far the difference would move in a repetition of the study.",
    "Degrees of freedom": "How many independent pieces of evidence the standard error rests on.",
    "Pairs": "How many runs of this loss and of the baseline share fold and seed.",
    "Pairs with a failed run": "In how many of them either run failed.",
    "Without failed pairs": "Difference, interval and decision once more, from the other pairs alone.",
    "Seconds per run": "From the first step of training to the last prediction, on the machine named below.",
    "Time against baseline": "The seconds of this loss divided by those of the baseline.",
    "Peak memory (MiB)": "The most memory that any of its runs held at a time.",
    "Run": "The beginning of the key under which the run is stored.",
    "Fold": "Which part of the cases was tested on.",
    "Seed": "Which repetition: its own initial weights, order of data and noise, the same for all losses.",
    "Outcome": "How the run ended.",
    "Message": "What it said when it ended.",
}


def meaning(title: str, notes: Mapping[str, str]) -> str:
    """A line on a column. notes: those of its table, which come first."""
    return notes.get(title) or HEADS.get(title, "")


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
