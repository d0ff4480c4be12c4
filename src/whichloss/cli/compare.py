"""`whichloss compare`: the verdict on scores that were computed elsewhere. Nothing here loads torch."""

import json
import os
from pathlib import Path
from typing import Literal, get_args

from whichloss.compare import Asked, Compared, compare_tables
from whichloss.compare.asked import DESIGN_OPTIONS
from whichloss.report import page
from whichloss.stats import Design, TableError, write

from .main import Exit


def compare_scores(asked: Asked, out: Path, require_winner: bool) -> Exit:
    """Writes results.csv, verdict.json and report.html into `out`, and says the two sentences."""
    compared = compare_tables(asked)
    _write(compared, out)
    _tell(compared, out)
    if compared.failed:
        return Exit.FAILED
    return Exit.NO_WINNER if require_winner and len(compared.verdict.best_set) != 1 else Exit.DONE


def design_of(**chosen: bool) -> Design | None:
    """The one design whose option was given; None: none was."""
    found: list[Design] = [design for design in get_args(Design) if chosen[design]]
    if len(found) > 1:
        raise TableError(f"{' and '.join(DESIGN_OPTIONS[one] for one in found)} exclude each other; give one")
    return found[0] if found else None


def trained_on(text: str | None) -> int | Literal["rest"] | None:
    """What --n-train says."""
    if text is None or text == "rest":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise TableError(f"--n-train {text}: write a number of cases such as 80, or rest")
    return int(text)


def _write(compared: Compared, out: Path) -> None:
    table, verdict, report = (out / name for name in ("results.csv", "verdict.json", "report.html"))
    for name in compared.record.provenance["Files"]:
        if Path(name).resolve() in {one.resolve() for one in (table, verdict, report)}:
            raise TableError(f"{name} would be written over; choose another folder: --out DIR")
    if (out / "protocol.json").exists():
        raise TableError(f"--out {out} is the folder of a study, whose report it keeps; choose another folder")
    text = page(compared.record)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write(table, compared.rows)
        _write_text(verdict, json.dumps(compared.verdict.to_json(), indent=1, allow_nan=False))
        _write_text(report, text)
    except OSError as error:
        raise TableError(f"--out {out}: cannot be written to ({error.strerror})") from error


def _write_text(path: Path, text: str) -> None:
    """Aside and renamed, as the table is: a reader sees the old file or the new one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _tell(compared: Compared, out: Path) -> None:
    print(f"\n{compared.verdict.question}\n")
    for sentence in compared.verdict.sentences:
        print(f"  {sentence}")
    for warning in compared.verdict.warnings:
        print(f"  note: {warning}")
    print(f"\nreport: {out / 'report.html'}")
