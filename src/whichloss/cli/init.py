"""`whichloss init`: look at somebody's own data, say what was found, and write a study of them."""

import json
import shlex
from collections.abc import Sequence
from os.path import normpath
from pathlib import Path
from typing import Any

import torch

from whichloss.core import UserError
from whichloss.data.files.image import by
from whichloss.data.files.place import find_place
from whichloss.init import Finding, Guess, Seen, as_study, findings, guess, look, recognise

from .main import Exit


def write_study(path: str, out: Path, data_root: Path | None, as_json: bool) -> Exit:
    """A mistake, and no file, where a study of these data could not run before they are mended."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small operations, in which several threads would wait for each other
    try:
        return _write(path, out, data_root, as_json)
    finally:
        torch.set_num_threads(threads)


def _write(path: str, out: Path, data_root: Path | None, as_json: bool) -> Exit:
    if out.exists():
        raise UserError(f"{out} is there already, and is not overwritten; choose another with --out FILE")
    roots = [*([data_root] if data_root is not None else []), out.absolute().parent]
    name = _as_written(path, roots)
    seen = look(recognise(name, roots), roots)
    found = guess(seen)
    wrong = findings(seen, found.groups, found.folds)
    stopped = any(one.stops for one in wrong)
    command = ["whichloss", "run", str(out), *(["--data-root", str(data_root)] if data_root is not None else [])]
    text = as_study(found, seen, Path(name).name or out.absolute().parent.name, out.stem, shlex.join(command))
    if not stopped:
        _keep(out, text)
    if as_json:
        print(json.dumps(_as_json(seen, found, wrong, None if stopped else out), indent=1, ensure_ascii=False))
    else:
        _tell(seen, found, wrong)
        print("\nnothing is written: mend the data first" if stopped else f"\nwrote {out}; next: {shlex.join(command)}")
    return Exit.MISTAKE if stopped else Exit.DONE


def _keep(out: Path, text: str) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}; choose another with --out FILE") from None


def _as_written(path: str, roots: Sequence[Path]) -> str:
    """The path as the study names it: from the first root that it lies below, else whole."""
    whole = Path(normpath(str(find_place(path, roots))))  # links stay links: they may be there to move the data
    for root in (Path(normpath(one.expanduser().absolute())) for one in roots):
        if whole.is_relative_to(root):
            return str(whole.relative_to(root))
    return str(whole)


def _tell(seen: Seen, found: Guess, wrong: Sequence[Finding]) -> None:
    facts = _facts(seen, found)
    print("found")
    for name, value in facts.items():
        print(f"  {name:<11}{value}")
    print("guessed")
    for name, value in _guessed(found).items():
        print(f"  {name:<11}{value}")
    for note in found.notes:
        print(f"  note       {note}")
    if wrong:
        print("looks wrong")
    for one in wrong:
        print(f"  {'STOP' if one.stops else 'look'}       {one.text}")


def _facts(seen: Seen, found: Guess) -> dict[str, str]:
    """What was found, for people."""
    shapes = sorted({one.shape for one in seen.facts})
    spacings = sorted({one.spacing for one in seen.facts if one.spacing})
    facts = {
        "layout": type(seen.data).__name__,
        "cases": f"{len(seen.ids)}" + f", {len(seen.facts)} looked at" * (len(seen.facts) < len(seen.ids)),
        "patients": f"{len(set(found.groups))}, {found.grouped}",
        "images": by(shapes[0]) + (f" to {by(shapes[-1])}" if len(shapes) > 1 else "")
        + f", {' or '.join(map(str, sorted({one.channels for one in seen.facts})))} channels",
    }  # fmt: skip
    if spacings:
        facts["spacing"] = " to ".join(f"{by(one)} mm" for one in dict.fromkeys((spacings[0], spacings[-1])))
    if seen.kind == "classification":
        facts["balance"] = ", ".join(f"{name} {count}" for name, count in seen.classes.most_common(12))
    if seen.kind == "segmentation":
        facts["foreground"] = f"{seen.foreground:.1%} of all"
    if any(seen.sides):
        facts["split"] = ", ".join(f"{seen.sides.count(side)} {side}" for side in ("train", "test"))
    if any(seen.domains):
        facts["domains"] = ", ".join(sorted(set(seen.domains)))
    return facts


def _guessed(found: Guess) -> dict[str, str]:
    design = f"the given split, {found.seeds} seeds" if found.given else f"{found.folds} folds"
    some = "all cases" if found.budget.cases is None else f"{found.budget.cases} of the cases"
    return {
        "task": f"{found.kind}" + (f": {', '.join(found.classes[:8])}" if found.classes else ""),
        "network": f"{found.network}, sees {by(found.size)}",
        "losses": "; ".join(found.losses),
        "metric": f"{found.primary}; {found.constant}" if found.constant else found.primary,
        "budget": f"{some}, {found.budget.epochs} epochs, {design}: about {found.budget.seconds / 60:.1f} min here",
    }


def _as_json(seen: Seen, found: Guess, wrong: Sequence[Finding], out: Path | None) -> dict[str, Any]:
    return {
        "found": _facts(seen, found),
        "guessed": {
            "kind": found.kind,
            "classes": found.classes,
            "data": repr(found.data),
            "network": found.network,
            "losses": found.losses,
            "primary": found.primary,
            "constant": found.constant,
            "given_split": found.given,
            "folds": found.folds,
            "epochs": found.budget.epochs,
            "cases": found.budget.cases,
            "seconds": round(found.budget.seconds, 1),
            "notes": found.notes,
        },
        "wrong": [{"stops": one.stops, "text": one.text} for one in wrong],
        "written": None if out is None else str(out),
    }
