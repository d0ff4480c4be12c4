"""`whichloss check LOSS`: what a loss promises, whether it keeps it, and at which input it does not."""

import json
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Column, Table

import whichloss
from whichloss.contract import (
    Finding,
    Reading,
    Subject,
    accepted,
    conduct,
    examine,
    needs_of,
    refusal,
    subject,
    takes_proportions,
)
from whichloss.contract.portrait import Portrait, cost, portrait
from whichloss.core import Foreign, Loss, UserError, in_words
from whichloss.report.check import check_page
from whichloss.report.page import jsonable

from .curve import Curve, curve_of, draw
from .losses import read_loss
from .main import Exit
from .reproduce import snippet

ORDER = ("broken", "remark", "kept", "not applicable")


def check_loss(
    text: str, like: str, bounds: tuple[float, float] | None, as_json: bool, html: Path | None, strict: bool
) -> Exit:
    """Prints the report card, or one JSON object; the exit code says whether anything is broken."""
    if bounds is not None and not bounds[0] < bounds[1]:
        raise UserError(f"--range {bounds[0]:g} {bounds[1]:g}: the first must be the lower end")
    loss, other = read_loss(text), read_loss(like) if like else None
    with _undisturbed():
        for one in (loss, other):
            _make(one)
        asked = subject(loss, other, bounds)
        if not asked.readings and "must give one number" in (said := refusal(loss)):
            raise UserError(f'{said}; choose the reduction that gives one, such as reduction="mean"')
        card = report_card(asked, text, strict)
    if html is not None:
        _write(html, check_page(card))
    if as_json:
        print(json.dumps(jsonable(card), indent=1, allow_nan=False))
    else:
        _show(card, loss, html)
    return Exit.FAILED if card["verdict"] == "faulty" else Exit.DONE


def report_card(asked: Subject, text: str, strict: bool = False) -> dict[str, Any]:
    """Everything that was found, as plain data."""
    loss = asked.loss
    ours = not any(isinstance(leaf, Foreign) for leaf in loss.leaves())
    findings = _examined(asked, ours)
    findings.sort(key=lambda one: ORDER.index(one.status))
    count = {status: sum(one.status == status for one in findings) for status in ORDER}
    faulty = count["broken"] > 0 or (strict and count["remark"] > 0)
    seen = _portrait(asked.readings)
    return {
        "loss": text,
        "expression": repr(loss),
        "verdict": "faulty" if faulty else "sound",
        "sentence": _sentence(count, strict),
        "count": count,
        "strict": strict,
        "takes": _takes(asked.readings),
        "asked": [_asked(reading) for reading in asked.readings],
        "findings": [_finding(one, text, loss) for one in findings],
        "portrait": None if seen is None else asdict(seen),
        "properties": _properties(seen),
        "cost": _cost(asked.readings),
        "versions": {
            "whichloss": whichloss.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }


def _examined(asked: Subject, ours: bool) -> list[Finding]:
    """A loss of ours is held to its promises, too; one whose output is no answer, an embedding, to these alone."""
    promised = examine(asked.loss) if ours else []
    if ours and not asked.readings:
        return promised
    return promised + conduct(asked)


def _make(loss: Loss | None) -> None:
    """A class that cannot be made with these arguments is a mistake of the command, not of the loss."""
    for leaf in loss.leaves() if loss is not None else ():
        if isinstance(leaf, Foreign):
            try:
                made = leaf.made()
            except UserError:
                raise
            except Exception as error:
                raise UserError(f"{leaf!r} cannot be made: {type(error).__name__}: {error}") from None
            if not callable(made):
                raise UserError(f"{leaf!r} is {type(made).__name__}, which cannot be called with output and target")
            if len(needed := needs_of(leaf)) > 2:
                raise UserError(
                    f"{leaf!r} is called with {in_words(needed)}, and a loss is tried with an output and a target; give"
                    " the others a value in a function of two, and check that"
                )


@contextmanager
def _undisturbed() -> Iterator[None]:
    """What a loss prints and warns of is not the report; chance outside is as it was."""
    with warnings.catch_warnings(), redirect_stdout(sys.stderr), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        yield


def _sentence(count: dict[str, int], strict: bool) -> str:
    applicable = sum(count[status] for status in ORDER[:3])
    remarks = f"; there {'is' if count['remark'] == 1 else 'are'} {count['remark'] or 'no'} remark"
    remarks += "" if count["remark"] == 1 else "s"
    counted = " (--strict: each counts as a fault)" if strict and count["remark"] else ""
    if count["broken"]:
        verb = "is" if count["broken"] == 1 else "are"
        return f"{count['broken']} of the {applicable} promises that apply {verb} broken{remarks}{counted}."
    return f"None of the {applicable} promises that apply is broken{remarks}{counted}."


def _takes(readings: tuple[Reading, ...]) -> str:
    if not readings:
        return "nothing that was tried"
    first = readings[0]
    if "quantities" in first.form.name:
        return "logarithms of quantities, such as rates" if first.link == "logarithms" else "quantities"
    given = f"it was given those of a {'softmax' if first.form.exclusive else 'sigmoid'}"
    return {
        "logits": "logits",
        "probabilities": f"probabilities: {given}, and is judged as a loss of probabilities",
        "log-probabilities": f"log-probabilities: {given}",
        "distances": "distances, small where the answer is yes",
    }[first.link]


def _asked(reading: Reading) -> dict[str, Any]:
    return {
        "target": reading.form.name,
        "output": reading.link,
        "channels": reading.classes,
        "shapes": accepted(reading),
        "proportions": takes_proportions(reading),
        "sensible": reading.sensible,
    }


def _finding(one: Finding, text: str, loss: Loss) -> dict[str, Any]:
    found: dict[str, Any] = {"promise": one.promise, "sentence": one.sentence, "status": one.status, "why": one.why}
    if one.at is not None:
        found |= {"form": one.at.form, "python": snippet(loss, one)}
        if not one.at.made:
            found |= {"output": one.at.output.tolist(), "target": one.at.target.tolist()}
    return found


def _portrait(readings: tuple[Reading, ...]) -> Portrait | None:
    try:
        return portrait(readings[0]) if readings else None
    except Exception:  # what is wrong with it is among the findings
        return None


def _properties(seen: Portrait | None) -> dict[str, str]:
    if seen is None:
        return {}
    easy = "never cost nothing" if seen.easy_from is None else f"ask nothing from {seen.easy_from:.2g} on"
    return {
        "values seen": f"{seen.low:.4g} to {seen.high:.4g}",
        "smooth": "yes" if seen.smooth else "no",
        "convex": "yes" if seen.convex else "no",
        "bounded": "yes" if seen.bounded else "no",
        "easy cases": easy,
    }


def _cost(readings: tuple[Reading, ...]) -> dict[str, Any] | None:
    measured = cost(readings[0]) if readings else None
    if measured is None:
        return None
    threads = f"{measured.threads} thread{'s' * (measured.threads > 1)}"
    memory = "" if measured.memory is None else f", {measured.memory:.2g} times its peak memory"
    told = f"{measured.times:.2g} times {measured.beside}{memory}, for output {measured.shape}, {threads}, no verdict"
    return asdict(measured) | {"sentence": told}


def _show(card: dict[str, Any], loss: Loss, html: Path | None) -> None:
    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False, markup=False)
    console.print(f"{card['loss']}: {card['verdict']}. {card['sentence']}\n")
    console.print(f"takes  {card['takes']}")
    for one in card["asked"]:
        shapes, soft = ", ".join(one["shapes"]) or "refused", ", or proportions" if one["proportions"] else ""
        console.print(f"       {one['target']}{soft}; C = {one['channels']}; output {shapes}")
    console.print()
    shown = [one for one in card["findings"] if one["status"] in ("broken", "remark")]
    if shown:
        table = Table(Column("", no_wrap=True), "promise", "what was found", box=None, pad_edge=False)
        for one in shown:
            table.add_row(one["status"].upper() if one["status"] == "broken" else "remark", one["sentence"], one["why"])
        console.print(table)
        console.print()
    for status in ("kept", "not applicable"):
        names = [one["sentence"] for one in card["findings"] if one["status"] == status]
        console.print(f"{status} ({len(names)}): {'; '.join(names) or 'none'}\n")
    first = next((one for one in card["findings"] if "python" in one), None)
    if first is not None:
        console.print(f"to see that it does not: {first['sentence']}\n")
        print(first["python"])
        print()
    _show_portrait(card, loss, console)
    if html is not None:
        console.print(f"page: {html}")


def _show_portrait(card: dict[str, Any], loss: Loss, console: Console) -> None:
    for name, value in card["properties"].items():
        console.print(f"{name:<12} {value}")
    if card["cost"] is not None:
        console.print(f"{'cost':<12} {card['cost']['sentence']}")
    if card["portrait"] is None:
        return
    seen = card["portrait"]
    finite = all(isfinite(one) for one in (*seen["value"], *seen["slope"]))
    if loss.axis is not None:
        print(f"\n{draw(curve_of(loss), height=9)}")
    elif finite:
        columns = (torch.tensor(seen[name], dtype=torch.float64) for name in ("x", "value", "slope"))
        print(f"\n{draw(Curve('all answers right by', *columns), height=9)}")


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
