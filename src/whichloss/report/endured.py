"""Harder data, time to a target, and many data sets."""

from collections.abc import Iterator, Mapping

from whichloss.report.figures import ranks
from whichloss.report.numerals import Number, count, number, percent, places, plain, real
from whichloss.report.part import NONE, Inks, Part, chance, measured, plus, span
from whichloss.report.tables import Cell, Row, Table, interval, loss_name, numeric, text

# harder data


def stress(verdict: Row, beside: Row, ink: Inks) -> Iterator[Part]:
    if not beside["stress"]:
        return
    lines = [BROKEN]
    made, told = [], []
    for at, one in enumerate(beside["stress"]):
        if one["reason"]:
            lines.append(f"Under {one['title']}: {one['reason']}.")
        else:
            made.append(_endured(f"stress-{at}", verdict, one, ink))
            told.append(one["title"])
    methods = (
        f"Under {', '.join(told)} we give the area under the curve of scores over levels, and the first level at which"
        " a loss has fallen by half of the baseline's skill."
    )
    title = "As the data get harder"
    yield Part(
        "stress", title, tuple(lines) if made else tuple(lines[1:]), tuple(made), methods=methods if made else ""
    )


BROKEN = (
    "The area is the mean score over all levels. A loss breaks at the first level where its score has fallen by half of"
    " the baseline's skill, that is of what lies between the baseline's score at the first level and chance."
)


def _endured(name: str, verdict: Row, one: Row, ink: Inks) -> Table:
    decimals = places([(loss["high"] - loss["low"]) / 4 for loss in one["losses"] if real(loss["high"]) is not None])
    sure = percent(verdict["confidence"])
    head = (("Loss", "text"), ("Pairs", "number"), ("Area", "number"), ("Interval", "number"),
            (plus(verdict), "number"), ("Interval of the difference", "number"), ("Breaks at", "number"),
            ("Possible from", "number"), ("Certain from", "number"))  # fmt: skip
    rows = tuple(
        (
            loss_name(loss["label"], ink),
            numeric(count(loss["pairs"])),
            numeric(number(loss["area"], decimals)),
            span(loss["low"], loss["high"], decimals),
            *_gained(loss, verdict, decimals),
            *(_level(loss["breakdown"][key]) for key in ("level", "earliest", "latest")),
        )
        for loss in one["losses"]
    )
    levels = one["losses"][0]["levels"] if one["losses"] else ()
    ends = f"{plain(min(levels))} to {plain(max(levels))}" if levels else ""
    notes = {
        "Pairs": "How many folds and seeds ran at every level.",
        "Area": f"The mean score under straight lines between the levels from {ends}.",
        "Interval": "Where it would lie in a repetition of the study; each interval stands for itself.",
        plus(verdict): "The area less that of the baseline on the same folds and seeds.",
        "Interval of the difference": "Where this difference would lie.",
        "Breaks at": f"The first level at which the mean score has fallen by more than {plain(one['fall'])}.",
        "Possible from": "The first level at which the data leave that possible.",
        "Certain from": "The first level at which it is certain.",
    }
    unit = f" ({one['unit']})" if one["unit"] else ""
    return Table(name, f"Under {one['title']}{unit}, {ends}: {measured(verdict)}, {sure} intervals", head, rows, notes)


def _gained(loss: Row, verdict: Row, decimals: int) -> tuple[Cell, Cell]:
    if loss["loss"] == verdict["baseline"]:
        return Cell(("baseline",), 0.0, "number"), NONE
    gain = numeric(number(loss["gain"], decimals, sign=True))
    return gain, interval({"low": loss["gain_low"], "high": loss["gain_high"]}, decimals)


def _level(level: object) -> Cell:
    value = real(level)
    return (
        Cell(("at none",), None, "number") if value is None else Cell((Number(value, plain(value)),), value, "number")
    )


# how soon


def pace(verdict: Row, beside: Row, ink: Inks) -> Iterator[Part]:
    found = beside["pace"]
    if found is None:
        return
    title, unit = "How soon each loss learns", f" {found['unit']}" if found["unit"] else ""
    if found["reason"]:
        yield Part("pace", title, (f"Nothing can be said: {found['reason']}.",))
        return
    labels = {loss["loss"]: loss["label"] for loss in verdict["losses"]}
    by_loss = {clock: {one["loss"]: one for one in losses} for clock, losses in found["clocks"].items()}
    epochs = by_loss["epochs"]
    horizon = next(iter(epochs.values()))["horizon"]
    expected = f"Mean, up to {plain(horizon)} epochs"
    head = [("Loss", "text"), ("Runs", "number"), ("Met the target", "number")]
    head += [(f"Median {clock}", "number") for clock in by_loss] + [(expected, "number")]
    rows = tuple(
        (
            loss_name(labels[loss], ink),
            numeric(count(one["runs"])),
            numeric(count(one["reached"])),
            *(_median(clocks[loss]) for clocks in by_loss.values()),
            _expected(one),
        )
        for loss, one in epochs.items()
    )
    lines = (
        f"Target: {found['measured_by']} of {_fine(found['target'])}{unit} on the inner split. That is 90 % of the way"
        f" that the baseline {verdict['baseline_label']} went on average ({_rounded(found)}): one rule for every study,"
        " fixed before any other loss was looked at.",
        "A run that never met the target counts as still on its way when it was last seen, a failed run to the end."
        " Runs share patients, so the intervals are a little too narrow.",
    )
    notes = {
        "Runs": "How many networks were trained with this loss, failed ones included.",
        "Met the target": "How many of them met it in the epochs that they had.",
        expected: "The expected number of epochs to the target, counted up to there at most, and its interval.",
        **{f"Median {clock}": f"Half of the runs had met the target by then: {WHAT[clock]}" for clock in by_loss},
    }
    table = Table("pace", "Time to the target on the inner split", tuple(head), rows, notes)
    methods = (
        f"How soon losses learn is given as the time until {found['measured_by']} on the inner split came 90 % of the"
        " way from the baseline's mean after the first epoch to that after the last (Kaplan and Meier; runs that never"
        " did are censored)."
    )
    yield Part("pace", title, lines, (table,), methods=methods)


WHAT = {
    "epochs": "passes through the training part; in brackets their interval.",
    "steps": "updates of the weights; in brackets their interval.",
    "seconds": "the seconds of a run, even over its steps, on the machine named below; in brackets their interval.",
}


def _fine(value: object) -> str:
    return number(value, 3).text


def _rounded(found: Row) -> str:
    return f"{_fine(found['first'])} after its first epoch, {_fine(found['final'])} after its last"


def _median(one: Row) -> Cell:
    middle = real(one["median"])
    if middle is None:
        return Cell(("not by half",), None, "number")
    if one["runs"] < 2:
        return Cell((Number(middle, plain(_short(middle))),), middle, "number")
    high = real(one["median_high"])
    reach = f" [{plain(_short(one['median_low']))}, {'open' if high is None else plain(_short(high))}]"
    return Cell((Number(middle, plain(_short(middle))), reach), middle, "number")


def _short(value: float) -> float:
    return round(value, 2) if value < 100 else round(value)


def _expected(one: Row) -> Cell:
    mean = number(one["mean"], 1)
    if one["runs"] < 2:
        return Cell((mean,), mean.value, "number")
    return Cell(
        (mean, f" [{number(one['mean_low'], 1).text}, {number(one['mean_high'], 1).text}]"), mean.value, "number"
    )


# many data sets


def ranking(verdict: Row, beside: Row, ink: Inks) -> Iterator[Part]:
    found = beside["ranking"]
    title = "Over all data sets"
    if found is None:
        if beside["no_ranking"]:
            yield Part("ranking", title, (f"No ranks: {beside['no_ranking']}.",))
        return
    labels = dict(zip(found["losses"], found["labels"], strict=True))
    lines = (
        f"Rank 1 is the best of a data set; mean ranks over {len(found['data'])} data sets, one mean score each."
        f" Friedman's test: F = {number(found['f'], 2).text}, p {_equals(found['p_f'])}.",
        "Two losses differ by Nemenyi's test where their mean ranks are at least"
        f" {number(found['critical_difference'], 2).text} apart: the critical difference, drawn"
        " as a rule above the ranks. A bar joins losses that are closer.",
    )
    notes = {
        "Mean rank": "1 is best; ties share their rank.",
        "Told from": "The losses whose mean rank is at least the critical difference away.",
    }
    head = (("Loss", "text"), ("Mean rank", "number"), ("Told from", "text"))
    rows = tuple(
        (loss_name(label, ink), numeric(number(mean, 2)), text(", ".join(_apart(found, loss, labels)) or "none"))
        for loss, label, mean in zip(found["losses"], found["labels"], found["mean_ranks"], strict=True)
    )
    table = Table("ranks", "Mean ranks over the data sets", head, rows, notes)
    methods = (
        f"Over {len(found['data'])} data sets losses were ranked and compared by Friedman's test in Iman and"
        " Davenport's form, with Nemenyi's critical difference (Demsar)."
    )
    yield Part("ranking", title, lines, (table,), ranks(found, ink), methods)


def _apart(found: Row, loss: str, labels: Mapping[str, str]) -> list[str]:
    near = {other for group in found["groups"] if loss in group for other in group}
    return [label for other, label in labels.items() if other not in near]


def _equals(p: object) -> str:
    shown = chance(p).text
    return shown if shown[0] in "<>" else f"= {shown}"
