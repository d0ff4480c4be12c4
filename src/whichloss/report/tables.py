"""The page's tables: rows of cells, each with what is read and what it is sorted by."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, mode, stdev
from typing import Any

from whichloss.report.inks import Ink
from whichloss.report.numerals import DASH, TIMES, Number, count, number, places, plain, real
from whichloss.report.record import Recipe

Row = Mapping[str, Any]
FEW = 3  # values of a setting that are listed one by one
LISTED = 40  # failed runs
DECISIONS = {"better": "\u2191", "worse": "\u2193", "equal": "=", "undecided": "?"}


@dataclass(frozen=True)
class Cell:
    """pieces: text, and numbers that carry their exact value; key: to sort by; kind: how it is set."""

    pieces: tuple[str | Number, ...]
    key: float | str | None = None
    kind: str = "text"
    ink: Ink | None = None


@dataclass(frozen=True)
class Table:
    """notes: title of a column -> a line on what it holds, where `words.HEADS` has none."""

    id: str
    caption: str
    head: tuple[tuple[str, str], ...]  # title, kind
    rows: tuple[tuple[Cell, ...], ...]
    notes: Mapping[str, str] = field(default_factory=dict)


def text(value: object) -> Cell:
    words = str(value) if value is not None else ""
    return Cell((words or DASH,), words or None)


def numeric(value: Number) -> Cell:
    return Cell((value,), value.value, "number")


def loss_name(label: str, ink: Mapping[str, Ink]) -> Cell:
    return Cell((label,), label.lower(), "loss", ink.get(label))


def interval(row: Row, decimals: int) -> Cell:
    low, high = (number(row[key], decimals, sign=True) for key in ("low", "high"))
    if low.value is None or high.value is None:
        return Cell(("none",), None, "number")
    return Cell(("[", low, ", ", high, "]"), low.value, "number")


def decision(word: str | None) -> Cell:
    if not word:
        return text(None)
    mark = DECISIONS.get(word)
    return Cell((f"{mark} {word}" if mark else word,), word, f"decision {word}" if mark else "decision")


def ranked(verdict: Row) -> list[tuple[Row, Row | None]]:
    """Each loss with its comparison (None for the baseline), the largest difference first."""
    found = {c["loss"]: c for c in verdict["comparisons"]}

    def place(pair: tuple[Row, Row | None]) -> tuple[bool, float]:
        loss, c = pair
        difference = 0.0 if loss["loss"] == verdict["baseline"] else real(c and c["difference"])
        return difference is None, -(difference or 0.0)

    return sorted(((loss, found.get(loss["loss"])) for loss in verdict["losses"]), key=place)


def overview(verdict: Row, ink: Mapping[str, Ink]) -> Table:
    unit = f" ({verdict['unit']})" if verdict["unit"] else ""
    fine = places([c["standard_error"] for c in verdict["comparisons"]] + [verdict["rope"]])
    coarse = places([loss["sd"] for loss in verdict["losses"]], fine)
    head = (
        ("Loss", "text"),
        (f"Mean{unit}", "number"),
        ("sd", "number"),
        ("Runs", "number"),
        ("Failed", "number"),
        (_difference(verdict), "number"),
        ("Interval", "number"),
        ("Decision", "text"),
        ("At rope/2", "text"),
        (f"At 2 {TIMES} rope", "text"),
        ("Cannot be told from the best", "wide"),
    )
    rows = tuple(_overview_row(verdict, loss, c, ink, coarse, fine) for loss, c in ranked(verdict))
    lower = "" if verdict["higher_is_better"] else ", lower is better"
    notes = {head[1][0]: f"The average {verdict['primary_label']} over runs{lower}.", **_difference_note(verdict)}
    interim = " (interim: runs are missing)" if verdict["interim"] else ""
    return Table("overview", f"Every loss: {verdict['primary_label']}{lower}{interim}", head, rows, notes)


def _difference(verdict: Row) -> str:
    return "Difference" if verdict["higher_is_better"] else "Difference (plus is better)"


def _difference_note(verdict: Row) -> dict[str, str]:
    line = f"Mean of this loss minus that of {verdict['baseline_label']}, over runs that share fold and seed;"
    turned = "" if verdict["higher_is_better"] else " the sign is turned, so that"
    return {_difference(verdict): f"{line}{turned} above zero is better."}


def _overview_row(
    verdict: Row, loss: Row, c: Row | None, ink: Mapping[str, Ink], coarse: int, fine: int
) -> tuple[Cell, ...]:
    start = (
        loss_name(loss["label"], ink),
        numeric(number(loss["mean"], coarse)),
        numeric(number(loss["sd"], coarse)),
        numeric(count(loss["runs"])),
        numeric(count(loss["failed"])),
    )
    best = {True: text("yes"), False: text("no")}.get(loss["in_best_set"], text(None))
    if c is None:
        itself = loss["loss"] == verdict["baseline"]
        difference = Cell(("baseline" if itself else DASH,), 0.0 if itself else None, "number")
        return (*start, difference, Cell((DASH,), None, "number"), *(text(None),) * 3, best)
    return (
        *start,
        numeric(number(c["difference"], fine, sign=True)),
        interval(c, fine),
        decision(c["decision"]),
        text(c["decision_half_rope"]),
        text(c["decision_double_rope"]),
        best,
    )


def details(verdict: Row, comparisons: Sequence[Row], ink: Mapping[str, Ink]) -> Table:
    """What each decision rests on."""
    decimals = places([c["standard_error"] for c in comparisons] + [verdict["rope"]])
    head = (
        ("Loss", "text"),
        (_difference(verdict), "number"),
        ("Standard error", "number"),
        ("Degrees of freedom", "number"),
        ("Interval", "number"),
        ("Pairs", "number"),
        ("Pairs with a failed run", "number wide"),
        ("Without failed pairs", "text"),
    )
    rows = tuple(
        (
            loss_name(c["label"], ink),
            numeric(number(c["difference"], decimals, sign=True)),
            numeric(number(c["standard_error"], decimals + 1)),
            numeric(count(c["df"])),
            interval(c, decimals),
            numeric(count(c["pairs"])),
            numeric(count(c["failed_pairs"])),
            _without_failures(c["without_failures"], decimals),
        )
        for c in comparisons
    )
    return Table("details", "What each decision rests on", head, rows, _difference_note(verdict))


def _without_failures(again: Row | None, decimals: int) -> Cell:
    if not again:
        return text(None)
    difference = number(again.get("difference"), decimals, sign=True)
    pieces: list[str | Number] = [difference]
    if real(again.get("low")) is not None and real(again.get("high")) is not None:
        pieces += [" ", *interval(again, decimals).pieces]
    pieces += [f", {again['decision']}"] if again.get("decision") else []
    return Cell(tuple(pieces), difference.value, "number")


PARTS = {"test": "test part", "train": "on what was trained on, true labels"}


def others(
    record_results: Iterable[Row],
    verdict: Row,
    labels: Mapping[str, str],
    ink: Mapping[str, Ink],
    meanings: Mapping[str, str],
) -> list[Table]:
    """Mean and sd of every other metric: a table per data, network, stress and split, the verdict's first.

    meanings: the text of a metric -> what it measures.
    """
    cells: dict[tuple[str, ...], dict[str, dict[str, list[float]]]] = defaultdict(dict)
    units: dict[str, str] = {}
    for row in record_results:
        value = real(row["value"])
        if value is None or row.get("split") == "chance":
            continue
        place = tuple(str(row.get(key) or "") for key in ("data", "network", "stress", "split"))
        label = labels.get(row["loss"], row["loss"])
        cells[place].setdefault(row["metric"], {}).setdefault(label, []).append(value)
        units[row["metric"]] = str(row.get("unit") or "")
    home = tuple(str(verdict["cell"].get(key) or "") for key in ("data", "network", "stress"))
    tables: list[Table] = []
    for place in sorted(cells, key=lambda place: place[:3] != home):
        metrics = {m: v for m, v in cells[place].items() if place != (*home, "test") or m != verdict["primary"]}
        if metrics:
            where = ", ".join(labels.get(one, PARTS.get(one, one)) for one in place if one)
            tables.append(_descriptive(f"other-{len(tables)}", where, metrics, units, labels, ink, meanings))
    return tables


def _descriptive(
    name: str,
    where: str,
    metrics: Mapping[str, Mapping[str, list[float]]],
    units: Mapping[str, str],
    labels: Mapping[str, str],
    ink: Mapping[str, Ink],
    meanings: Mapping[str, str],
) -> Table:
    present = {label for by_loss in metrics.values() for label in by_loss}
    ordered = [label for label in ink if label in present] + sorted(present - set(ink))
    usual = mode(len(values) for by_loss in metrics.values() for values in by_loss.values())
    head, notes = [("Loss", "text")], {}
    for metric in metrics:
        unit = f" ({units[metric]})" if units[metric] else ""
        head.append((labels.get(metric, metric) + unit, "number"))
        notes[head[-1][0]] = f"{meanings.get(metric, 'As the results have it').rstrip('.')}: mean ± sd over runs."
    rows = tuple(
        (loss_name(label, ink), *(_spread(by_loss, label, usual) for by_loss in metrics.values())) for label in ordered
    )
    caption = f"{where}: mean ± sd over {usual} {'run' if usual == 1 else 'runs'}. Descriptive"
    return Table(name, caption, tuple(head), rows, notes)


def _spread(by_loss: Mapping[str, list[float]], label: str, usual: int) -> Cell:
    values = by_loss.get(label, [])
    if not values:
        return Cell((DASH,), None, "number")
    decimals = places(stdev(v) for v in by_loss.values() if len(v) > 1)
    middle = mean(values)
    pieces: list[str | Number] = [number(middle, decimals)]
    if len(values) > 1:
        pieces += [" ± ", number(stdev(values), decimals)]
    if len(values) != usual:
        pieces.append(f" (n = {len(values)})")
    return Cell(tuple(pieces), middle, "number")


def costs(record_costs: Sequence[Row], baseline: str, ink: Mapping[str, Ink]) -> Table:
    base = next((real(row["seconds_mean"]) for row in record_costs if row["loss"] == baseline), None)
    seconds = places([row["seconds_sd"] for row in record_costs], 1)
    head = (
        ("Loss", "text"),
        ("Runs", "number"),
        ("Seconds per run", "number"),
        ("Time against baseline", "number"),
        ("Peak memory (MiB)", "number"),
    )
    rows = []
    for row in record_costs:
        took, sd = number(row["seconds_mean"], seconds), number(row["seconds_sd"], seconds)
        ratio = took.value / base if base and took.value is not None else None
        against = Number(ratio, f"{TIMES} {ratio:.2f}" if ratio is not None else DASH)
        rows.append(
            (
                loss_name(row["loss"], ink),
                numeric(count(row["runs"])),
                Cell((took, " ± ", sd) if sd.value is not None else (took,), took.value, "number"),
                numeric(against),
                numeric(number(row["peak_memory_mib"], 0)),
            )
        )
    return Table("costs", "What each loss costs", head, tuple(rows))


def settings(recipes: Sequence[Recipe], labels: Mapping[str, str], ink: Mapping[str, Ink]) -> Table | None:
    """What the searches chose for each loss; None where nothing was tuned."""
    names = list(dict.fromkeys(name for one in recipes for name in one.settings))
    if not names:
        return None
    groups: dict[str, list[Recipe]] = defaultdict(list)
    for one in recipes:
        groups[one.loss].append(one)
    rows = tuple(
        (
            loss_name(labels.get(loss, loss), ink),
            numeric(count(len(members))),
            *(_settled([one.settings.get(name) for one in members]) for name in names),
        )
        for loss, members in groups.items()
    )
    line = "The value that was chosen, and for how many runs where it differs; or from least to most."
    notes = dict.fromkeys(names, line)
    notes["Runs"] = "How many finished runs there are, each with the settings that its search chose."
    head = (("Loss", "text"), ("Runs", "number"), *((name, "text") for name in names))
    return Table("settings", "What tuning chose; a dash where a loss has no such setting", head, rows, notes)


def _settled(values: Sequence[Any]) -> Cell:
    numbers = [x for value in values if not isinstance(value, bool) and (x := real(value)) is not None]
    tally = Counter(map(plain, numbers) if len(numbers) == len(values) else map(str, values))
    if set(values) == {None}:
        return text(None)
    if len(tally) > FEW and len(numbers) == len(values):
        return Cell((f"{min(numbers):.3g} to {max(numbers):.3g}",), min(numbers))
    several = [f"{value} ({n})" if len(tally) > 1 else value for value, n in tally.most_common()]
    return Cell((", ".join(several),), min(numbers) if len(numbers) == len(values) else several[0])


def failures(record_failures: Sequence[Row], labels: Mapping[str, str], ink: Mapping[str, Ink]) -> Table:
    tally = Counter(str(row["outcome"]) for row in record_failures)
    caption = "Failed runs: " + ", ".join(f"{n} {outcome}" for outcome, n in sorted(tally.items()))
    if len(record_failures) > LISTED:
        caption += f"; the first {LISTED} are listed here, and the results have them all"
    keys = ("run", "fold", "seed", "outcome", "message")
    head = (("Loss", "text"), *((key.capitalize(), "text") for key in keys))
    rows = tuple(
        (
            loss_name(labels.get(row["loss"], row["loss"]), ink),
            *(Cell((str(row[key]),), _sortable(row[key]), key) for key in keys),
        )
        for row in record_failures[:LISTED]
    )
    return Table("failures", caption, head, rows)


def _sortable(value: object) -> float | str:
    x = real(value)
    return str(value) if x is None else x


def design(verdict: Row) -> dict[str, str]:
    """The facts beneath the verdict, in a few words each."""
    plan, cell, rope = verdict["design"], verdict["cell"], real(verdict["rope"])
    unit = f" {verdict['unit']}" if verdict["unit"] else ""
    direction = "higher" if verdict["higher_is_better"] else "lower"

    def counted(**words: str) -> list[str]:
        return [f"{count(plan[key]).text} {word}" for key, word in words.items() if real(plan[key]) is not None]

    kind = [str(plan["kind"])] if plan["kind"] else []
    facts = {
        "Measured by": f"{verdict['primary_label']}, {direction} is better",
        "Baseline": verdict["baseline_label"],
        "Smallest difference that matters": f"±{plain(rope)}{unit}" if rope is not None else "not stated",
        "Data": cell.get("data"),
        "Network": cell.get("network"),
        "Stress": cell.get("stress"),
        "Design": ", ".join([*kind, *counted(folds="folds", seeds="seeds", pairs="pairs")]),
        "Cases or groups": ", ".join(counted(n_train="to train", n_test="to test")),
    }
    return {key: str(value) for key, value in facts.items() if value not in (None, "")}
