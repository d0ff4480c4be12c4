"""Several studies side by side: two protocols of one question, with the verdict of each."""

from collections.abc import Mapping, Sequence
from typing import Any

from whichloss.report.inks import Ink, inks
from whichloss.report.numerals import number, places
from whichloss.report.page import render
from whichloss.report.tables import Cell, Table, decision, interval, loss_name, numeric, text

Verdict = Mapping[str, Any]


def beside(verdicts: Sequence[Verdict]) -> str:
    """One page. verdicts: the content of each verdict.json. Nothing is decided between them: each stands by itself."""
    names = [loss["label"] for verdict in verdicts for loss in verdict["losses"]]
    ink = inks(list(dict.fromkeys(names)), verdicts[0]["baseline_label"])
    return render("beside.html.jinja", verdicts=verdicts, together=_together(verdicts, ink))


def _together(verdicts: Sequence[Verdict], ink: Mapping[str, Ink]) -> Table:
    """A row for each loss that any study has, and three columns for each study."""
    head, notes = [("Loss", "text")], {"Difference": "Mean of this loss minus that of the study's own baseline."}
    for verdict in verdicts:
        unit = f" ({verdict['unit']})" if verdict["unit"] else ""
        head += [(f"{verdict['study']}: {verdict['primary_label']}{unit}", "number")]
        notes[head[-1][0]] = f"The average {verdict['primary_label']} over the runs of {verdict['study']}."
        head += [("Difference", "number"), ("Interval", "number"), ("Decision", "text")]
    labels = dict.fromkeys(loss["label"] for verdict in verdicts for loss in verdict["losses"])
    rows = tuple(
        (loss_name(label, ink), *(cell for verdict in verdicts for cell in _of(verdict, label))) for label in labels
    )
    caption = "Every loss under each study; plus is better, against its own baseline"
    return Table("together", caption, tuple(head), rows, notes)


def _of(verdict: Verdict, label: str) -> tuple[Cell, ...]:
    decimals = places([c["standard_error"] for c in verdict["comparisons"]] + [verdict["rope"]])
    loss = next((one for one in verdict["losses"] if one["label"] == label), None)
    compared = next((one for one in verdict["comparisons"] if one["label"] == label), None)
    mean = text(None) if loss is None else numeric(number(loss["mean"], decimals))
    if compared is None:
        itself = loss is not None and loss["loss"] == verdict["baseline"]
        return mean, text("baseline" if itself else None), text(None), text(None)
    difference = numeric(number(compared["difference"], decimals, sign=True))
    return mean, difference, interval(compared, decimals), decision(compared["decision"])
