"""The study file, with comments: at most 25 lines, and it runs as it is."""

import json
import re

from .guess import Guess
from .look import Seen

LINES = 25
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def as_study(found: Guess, seen: Seen, title: str, stem: str, command: str) -> str:
    """title: what the data are called; stem: of the file, which names the study; command: that runs it."""
    rows = [
        f"# Written by whichloss init for {title}. Change what you know better, then: {command}",
        f"# {_counted(found, seen)}; patients: {found.grouped}.",
        *(f"# {one}." for one in found.notes),
        *([f"# A constant answer scores: {found.constant}."] if found.constant else []),
        *([] if NAME.fullmatch(stem) else ["name: study"]),
        f"question: {_question(found, title)}",
        "losses:  # all there are: whichloss losses",
        *(f"  - {one}" for one in found.losses),
        f"baseline: {found.losses[0]}",
        *_data(found),
        f"network: {found.network}  # sees {_size(found)}; small, for a CPU",
        *_design(found),
        f"training: {{optimizer: Adam(lr=0.003), schedule: cosine, stages: [{{epochs: {found.budget.epochs},"
        f" batch: {found.batch}}}]}}",
        f"primary: {found.primary}",
        f"rope: {found.rope:g}  # the smallest difference that matters: yours to say",
        f"secondary: [{', '.join(found.secondary)}]",
    ]
    return "\n".join(rows) + "\n"


def _counted(found: Guess, seen: Seen) -> str:
    patients = len(set(found.groups))
    what = f", classes {_listed(found.classes)}" if found.classes else ""
    return f"{len(seen.ids)} cases of {patients} patients, {found.kind}{what}"


def _listed(names: tuple[str, ...]) -> str:
    text = " ".join(", ".join(names[:6]).split())
    return text + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _question(found: Guess, title: str) -> str:
    does = {"segmentation": "outlines", "classification": "classifies", "regression": "measures"}[found.kind]
    return json.dumps(f"Which loss {does} best: {title}?", ensure_ascii=False)


def _data(found: Guess) -> list[str]:
    few = found.budget.cases
    said = [f"# {few} of the cases, for a first look in minutes; take Subset(...) away for all."] if few else []
    return [*said, f"data: {found.data.label}"]


def _size(found: Guess) -> str:
    return " x ".join(map(str, found.size))


def _design(found: Guess) -> list[str]:
    if found.given:
        return [
            "# the split that the data bring, which tells seeds apart and not patients; else: {folds: 5, seeds: 1}",
            f"design: {{split: given, seeds: {found.seeds}}}",
        ]
    return [f"design: {{folds: {found.folds}, seeds: {found.seeds}}}  # more seeds later add to what is finished"]
