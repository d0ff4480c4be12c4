"""New patients, and subgroups of the patients there are."""

from collections.abc import Iterator

from whichloss.report.numerals import count, number, percent, places
from whichloss.report.part import NONE, Inks, Part, measured, plus, span
from whichloss.report.tables import Cell, Row, Table, loss_name, numeric


def patients(verdict: Row, beside: Row, ink: Inks) -> Iterator[Part]:
    found = beside["patients"]
    if found is None:
        return
    if found["reason"]:
        yield Part("patients", "With new patients", (f"Nothing can be said: {found['reason']}.",))
        return
    values = [one[key] for one in found["losses"] for key in ("value", "difference") if one[key]]
    decimals = places([one["standard_error"] for one in values])
    sure = percent(verdict["confidence"])
    by = measured(verdict)
    head = (("Loss", "text"), ("Finished runs", "number"), (by, "number"), ("Interval", "number"),
            (plus(verdict), "number"), ("Interval of the difference", "number"))  # fmt: skip
    rows = tuple(
        (
            loss_name(one["label"], ink),
            numeric(count(one["runs"])),
            *_resampled(one["value"], decimals),
            *_resampled(one["difference"], decimals, sign=True),
        )
        for one in found["losses"]
    )
    draws = max(one["times"] for one in values)
    few = " With fewer than twenty patients such intervals are a little too narrow." if found["patients"] < 20 else ""
    lines = (
        f"Had the same trained networks met other patients of this kind: {found['patients']} patients were drawn with"
        f" replacement {draws} times, each for all losses at once.{few}",
        "It says nothing about another training, and decides nothing: failed runs are left out, and each interval"
        " stands for itself.",
    )
    notes = {
        "Finished runs": "How many trained networks were measured on each draw of the patients.",
        by: "Their mean on the patients as they are.",
        "Interval": "Where it would lie with other patients.",
        plus(verdict): "That of the loss against the baseline's, in runs that share fold and seed.",
        "Interval of the difference": "Where this difference would lie with other patients.",
    }
    table = Table("new-patients", f"These trained networks on new patients, with {sure} intervals", head, rows, notes)
    methods = (
        f"Intervals for new patients, the trained networks staying as they are, come from a bootstrap over"
        f" {found['patients']} patients ({draws} draws, percentiles)."
    )
    yield Part("patients", "With new patients", lines, (table,), methods=methods)


def _resampled(one: Row | None, decimals: int, sign: bool = False) -> tuple[Cell, Cell]:
    if one is None:
        return NONE, NONE
    return numeric(number(one["value"], decimals, sign)), span(one["low"], one["high"], decimals, sign)


def subgroups(verdict: Row, beside: Row, ink: Inks) -> Iterator[Part]:
    groups = beside["subgroups"]
    if not groups:
        return
    known = [one["value"] for group in groups for one in group["losses"] if one["value"]]
    decimals = places([one["standard_error"] for one in known])
    titles = [f"{group['name']} ({group['patients']} {_patient(group['patients'])})" for group in groups]
    head = (("Loss", "text"), *((title, "number") for title in titles))
    rows = tuple(
        (loss_name(loss["label"], ink), *(_within(group, loss["loss"], decimals) for group in groups))
        for loss in verdict["losses"]
    )
    lower = "" if verdict["higher_is_better"] else ", lower is better"
    notes = {
        title: f"{verdict['primary_label']} among the {group['name']} alone: mean over runs, and its interval for new"
        " patients."
        for title, group in zip(titles, groups, strict=True)
    }
    line = (
        f"{measured(verdict)}{lower}, among the tested patients of each subgroup, with its"
        f" {percent(verdict['confidence'])} interval for new patients of the subgroup. Nothing is compared here:"
        " subgroups are small, and there are many ways to look at them."
    )
    table = Table("subgroups", f"Within subgroups: {measured(verdict)}{lower}", head, rows, notes)
    methods = (
        "Within subgroups of five patients or more the primary metric is given with a bootstrap interval over patients,"
        " without any comparison."
    )
    yield Part("subgroups", "Within subgroups", (line,), (table,), methods=methods)


def _patient(n: int) -> str:
    return "patient" if n == 1 else "patients"


def _within(group: Row, loss: str, decimals: int) -> Cell:
    if group["reason"]:
        return Cell(("too few to say",), None, "number")
    value = next((one["value"] for one in group["losses"] if one["loss"] == loss), None)
    if value is None:
        return NONE
    middle = number(value["value"], decimals)
    return Cell((middle, " ", *span(value["low"], value["high"], decimals).pieces), middle.value, "number")
