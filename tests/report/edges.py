"""Records that bend the page: hostile names, long ones, right to left, almost nothing, nothing but failures."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

from whichloss.report import Record

NASTY = """<script>alert("1")</script></script><!-- <a href='https://x.example'>&amp; 'q' "q" %{y} $\\alpha$"""
# written from right to left, and a part of it turned round
ARABIC = "\u062e\u0633\u0627\u0631\u0629 \u202e\u0645\u0631\u0643\u0632\u0629\u202c (2.0)"
LONG = "AdaptiveLog(" * 10 + "Dice(smooth=0.5)" + ", threshold=0.1)" * 10


def named(record: Record, label: str) -> Record:
    """The record, everything a user can name renamed."""
    verdict: dict[str, Any] = deepcopy(dict(record.verdict))
    for entry in (*verdict["losses"], *verdict["comparisons"]):
        entry["loss"], entry["label"] = entry["loss"] + label, entry["label"] + label
    for key in ("question", "study", "primary_label", "unit", "baseline", "baseline_label"):
        verdict[key] += label
    verdict["sentences"], verdict["warnings"] = [label, label], [label]
    verdict["cell"] = dict.fromkeys(verdict["cell"], label)
    verdict["design"]["kind"] = label
    verdict["comparisons"][0]["reason"] = label
    return replace(
        record,
        study=label,
        question=label,
        verdict=verdict,
        results=tuple({**row, "loss": label, "metric": label, "unit": label} for row in record.results),
        costs=tuple({**row, "loss": label} for row in record.costs),
        curves=tuple(replace(c, title=label, x_label=label, y_label=label, loss=label) for c in record.curves),
        failures=tuple(dict.fromkeys(row, label) for row in record.failures),
        provenance={label: {label: label}},
        study_text=label,
        labels={label: label},
        meanings={label: label},
        pictures=tuple(replace(one, title=label, caption=label) for one in record.pictures),
        recipes=tuple(
            replace(one, loss=one.loss + label, text=one.text + label, settings={label: label})
            for one in record.recipes
        ),
    )


def alone(record: Record) -> Record:
    """One loss, one run: nothing to compare, nothing to draw a band from."""
    verdict: dict[str, Any] = deepcopy(dict(record.verdict))
    loss = {**verdict["losses"][0], "runs": 1, "sd": None}
    verdict |= {"losses": [loss], "comparisons": [], "best_set": [], "warnings": []}
    verdict["design"] |= {"folds": 1, "seeds": 1, "pairs": 1, "df": None}
    curve = record.curves[0]
    point = replace(curve, x=(1.0,), mean=(0.5,), low=(0.5,), high=(0.5,))
    return replace(record, verdict=verdict, results=record.results[:1], costs=record.costs[:1], curves=(point,),
                   failures=(), recipes=record.recipes[:1])  # fmt: skip


def failed(record: Record) -> Record:
    """Every run of every loss failed, and each said so at length."""
    verdict: dict[str, Any] = deepcopy(dict(record.verdict))
    for loss in verdict["losses"]:
        loss |= {"mean": 0.0, "sd": 0.0, "failed": loss["runs"], "in_best_set": True}
    for one in verdict["comparisons"]:
        one |= {"difference": 0.0, "low": 0.0, "high": 0.0, "standard_error": 0.0, "failed_pairs": one["pairs"]}
    said = "RuntimeError: out of memory\n" + "\n".join(f"  at line {at} of a long trace" for at in range(12))
    failures = tuple(
        {**record.failures[0], "loss": loss["loss"], "fold": fold, "message": said}
        for loss in verdict["losses"] for fold in range(100)
    )  # fmt: skip
    return replace(record, verdict=verdict, results=(), costs=(), curves=(), pictures=(), recipes=(), failures=failures)
