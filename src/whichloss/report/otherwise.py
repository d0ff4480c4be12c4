"""What would settle the verdict, what it hangs on, and what other papers report beside it."""

from collections.abc import Iterator, Mapping
from math import sqrt
from typing import Any

from whichloss.report.numerals import DASH, TIMES, count, number, places
from whichloss.report.part import NONE, Inks, Part, chance
from whichloss.report.tables import Cell, Row, Table, decision, loss_name, numeric, text

# what would settle it

WAITING = {
    "failures": "undecided because of failed runs: with them and without them the data say different things, and what"
    " mends the failures settles it sooner than more seeds",
    "no pairs": "no run of it shares fold and seed with one of {baseline} yet",
}
ALONE = "rests on {reason}, from which no spread can be told; a second one comes before any forecast"


def outlook(verdict: Row, beside: Row, ink: Inks) -> Iterator[Part]:
    said = {one["loss"]: one["sentence"] for one in beside["outlooks"]}
    listed = []
    for c in verdict["comparisons"]:
        if c["loss"] in said:
            listed.append(said[c["loss"]])
        elif c["decision"] == "undecided" and c["reason"]:
            why = WAITING.get(c["reason"], ALONE).format(baseline=verdict["baseline_label"], reason=c["reason"])
            listed.append(f"{c['label']}: {why}.")
    if not listed:
        listed = [f"Every comparison with {verdict['baseline_label']} is decided: there is nothing left to settle."]
    lines = []
    if verdict["interim"]:
        lines.append("Runs are still missing; this is what the finished ones let foresee.")
    if said:
        lines.append("Foreseen by continuing the study in imagination from what it has measured: a rough forecast.")
    head = (("Loss", "text"), ("What would settle it", "text"))
    rows = [(loss_name(one["label"], ink), text(_after(one))) for one in beside["outlooks"]]
    note = {"What would settle it": "More seeds, or more patients where more seeds cannot settle it; a forecast."}
    table = Table("outlook", "What would settle what is undecided", head, tuple(rows), note)
    methods = (
        "What would settle the undecided comparisons was foreseen by the predictive power of the study, continued with"
        " more seeds or patients (Spiegelhalter, Freedman and Blackburn)."
    )
    title, tables = "What would settle it", (table,) if rows else ()
    yield Part("outlook", title, tuple(lines), tables, methods=methods if rows else "", listed=tuple(listed))


def _after(one: Row) -> str:
    """The sentence without the name that stands beside it."""
    return one["sentence"].removeprefix(f"{one['label']}: ")


# had we chosen otherwise


def sensitivity(verdict: Row, beside: Row, ink: Inks) -> Iterator[Part]:
    rows = beside["sensitivity"]
    columns = {
        "Verdict": ("decision", "The decision of this study."),
        "At rope/2": ("half_rope", "The decision, had the smallest difference that matters been half as large."),
        f"At 2 {TIMES} rope": ("double_rope", "The decision, had it been twice as large."),
    }
    if any(one["without_failures"] for one in rows):
        columns["Failed pairs left out"] = ("without_failures", "The decision from the pairs in which no run failed.")
    if beside["threshold"]:
        title = f"At the {beside['threshold']}"
        columns[title] = ("other_threshold", "The decision, had the metric been read at its other threshold.")
    changed = [one["label"] for one in rows if any(_differs(one, key) for key, _ in columns.values())]
    told = (
        f"It would have been another for {', '.join(changed)}" if changed else "It would have been the same each time"
    )
    line = f"The decision on each loss, had one choice been made otherwise. {told}."
    head = (("Loss", "text"), *((title, "text") for title in columns))
    cells = tuple((loss_name(one["label"], ink), *(_under(one, key) for key, _ in columns.values())) for one in rows)
    notes = {title: note for title, (_, note) in columns.items()}
    methods = (
        f"Every decision was taken again with half and with twice the smallest difference that matters{_also(columns)}."
    )
    table = Table("sensitivity", "The decision under other choices", head, cells, notes)
    yield Part("sensitivity", "Had we chosen otherwise", (line,), (table,), methods=methods)


def _also(columns: Mapping[str, Any]) -> str:
    told = {"Failed pairs left out": "without pairs in which a run failed"}
    others = [told.get(title, title[0].lower() + title[1:]) for title in list(columns)[3:]]
    return "".join(f", and {one}" for one in others)


def _differs(one: Row, key: str) -> bool:
    return one[key] is not None and one[key] != one["decision"]


def _under(one: Row, key: str) -> Cell:
    if one[key] is None:
        return Cell(("no failed pair" if key == "without_failures" else DASH,), None)
    return Cell((f"{one[key]}, differs",), one[key]) if _differs(one, key) else decision(one[key])


# what other papers report


def secondary(verdict: Row, beside: Row, ink: Inks) -> Iterator[Part]:
    head = (("Loss", "text"), ("t", "number"), ("df", "number"), ("p", "number"), ("p (Holm)", "number"),
            ("P(better)", "number"), ("P(equal)", "number"), ("P(worse)", "number"),
            ("p (Wilcoxon)", "number"))  # fmt: skip
    rows = tuple(
        (
            loss_name(one["label"], ink),
            numeric(number(one["t"], 2)),
            numeric(count(one["df"])),
            *(numeric(chance(one[key])) for key in ("p", "p_holm", "better", "equal", "worse", "p_wilcoxon")),
        )
        for one in beside["secondaries"]
    )
    notes = {
        "t": "The difference divided by its standard error.",
        "df": "Degrees of freedom: the independent pieces of evidence behind the standard error.",
        "p": "How often chance alone brings so large a difference, were there none; for this comparison by itself.",
        "p (Holm)": "The same, adjusted for all comparisons with the baseline.",
        "P(better)": "What one should believe: that the true difference is above the rope. Bayesian correlated t test.",
        "P(equal)": "That the true difference lies within the rope.",
        "P(worse)": "That it is below the rope.",
        "p (Wilcoxon)": "Signed ranks, which take overlapping training sets for independent: often too small.",
    }
    line = "What other papers report beside a difference, from the same pairs of runs. It never decides."
    steady = [one["label"] for one in beside["secondaries"] if one["df"] > 0 and one["t"] is None]
    lines = (line, *([f"No t and p where differences have no spread at all: {', '.join(steady)}."] if steady else []))
    if not any(one["df"] for one in beside["secondaries"]):
        few = "Nothing can be said: a test needs two independent pieces of evidence, and no comparison has them."
        yield Part("tests", "P values and beliefs", (few,))
        return
    table = Table("secondary", f"Tests against {verdict['baseline_label']} that decide nothing", head, rows, notes)
    methods = (
        "Beside the intervals we give p values of the same t statistic, adjusted by Holm's method, the posterior"
        " probabilities of the Bayesian correlated t test (Corani and Benavoli) and Wilcoxon's signed-rank test; none"
        " of them decides."
    )
    yield Part("tests", "P values and beliefs", lines, (table,), methods=methods)


def variation(verdict: Row, beside: Row, ink: Inks) -> Iterator[Part]:
    told = [one for one in beside["variation"] if one["components"]]
    untold: dict[str, list[str]] = {}
    for one in beside["variation"]:
        if one["reason"]:
            untold.setdefault(one["reason"], []).append(one["label"])
    lines = [HOW] if told else []
    lines += [f"{', '.join(labels)}: {reason}." for reason, labels in untold.items()]
    if not told:
        yield Part("variation", "What makes the differences vary", tuple(lines))
        return
    columns = {
        "Fold": ("fold", "The part that is the same for all seeds: some patients favour one loss."),
        "Seed": ("seed", "The part that is the same for all folds of a seed: a lucky start."),
        "Rest": ("rest", "What a repetition of the same fold and seed would draw anew."),
    }
    if any(one["components"]["fold"] for one in told):
        lines[0] += " A large share of the folds calls for more patients, of the rest for more seeds."
    elif all(one["components"]["fold"] is None for one in told):
        columns.pop("Fold")
        columns["Rest"] = ("rest", "Fold and chance together: folds that are drawn anew cannot be told from it.")
    sizes = [sqrt(x) for one in told for x in one["components"].values() if x]
    rows = tuple(
        (loss_name(one["label"], ink), *(_share(one["components"], key, places(sizes)) for key, _ in columns.values()))
        for one in told
    )
    head = (("Loss", "text"), *((title, "number") for title in columns))
    notes = {title: f"{note} In brackets its share of the variance." for title, (_, note) in columns.items()}
    unit = f" ({verdict['unit']})" if verdict["unit"] else ""
    table = Table("variation", f"Standard deviation of the difference{unit}, by its source", head, rows, notes)
    methods = "The variance of the differences was split into parts of fold, seed and rest by analysis of variance."
    yield Part("variation", "What makes the differences vary", tuple(lines), (table,), methods=methods)


HOW = (
    "How far differences from the baseline move with the fold, with the seed and with neither alone, as standard"
    " deviations."
)


def _share(components: Row, key: str, decimals: int) -> Cell:
    value, total = components[key], sum(x for x in components.values() if x)
    if value is None:
        return NONE
    share = f" ({value / total:.0%})".replace("%", " %") if total else ""
    return Cell((number(sqrt(value), decimals), share), sqrt(value), "number")
