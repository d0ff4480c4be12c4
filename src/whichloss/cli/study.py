"""`whichloss run` and `whichloss report`: a study from the command line."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from whichloss.report import beside
from whichloss.report.paper import write_paper
from whichloss.stats import Verdict
from whichloss.study.conduct import Conducted, Listener, Prepared, prepare, report, run_missing
from whichloss.study.estimate import estimate
from whichloss.study.execute import Ended
from whichloss.study.on import Place, settings
from whichloss.study.predictions import write_predictions
from whichloss.study.read import find_study, read_study
from whichloss.study.store import write_text

from .main import Exit
from .markdown import as_markdown


def run_study(
    source: str,
    store: Path,
    data_root: Path | None,
    changes: list[str] | None,
    name: str | None,
    effort: dict[str, Any],
    plan: bool,
    allow_mixed: bool,
    require_winner: bool,
) -> Exit:
    """effort: workers, retries, limit, memory and track, as `run_missing` takes them, and the fields of its place."""
    asked = effort.pop("place")
    place = Place(**asked | {"slurm": settings(asked["slurm"])})
    _import_from_here_and(source)
    study = read_study(source, changes, name)
    prepared = prepare(study, store, _roots(source, data_root))
    if plan:
        print(estimate(prepared, effort["workers"]))
        return Exit.DONE
    run_missing(prepared, listener=Bar(prepared.finished), place=place, **effort)
    done = report(prepared, allow_mixed=allow_mixed)
    _tell(prepared, done)
    if done.failed:
        return Exit.FAILED
    return Exit.NO_WINNER if require_winner and not _has_winner(done.verdict) else Exit.DONE


def report_study(
    source: str,
    store: Path,
    data_root: Path | None,
    changes: list[str] | None,
    name: str | None,
    allow_mixed: bool,
    markdown: Path | None,
    paper: Path | None,
    predictions: Path | None = None,
) -> Exit:
    _import_from_here_and(source)
    study = read_study(source, changes, name)
    prepared = prepare(study, store, _roots(source, data_root))
    done = report(prepared, allow_mixed=allow_mixed)
    if markdown is not None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        markdown.write_text(as_markdown(prepared, done), encoding="utf-8")
    _tell(prepared, done)
    if paper is not None:
        print(f"for a paper: {len(write_paper(done.record, paper))} files in {paper}")
    if predictions is not None:
        print(f"predictions: {write_predictions(prepared, predictions)} files in {predictions}")
    return Exit.FAILED if done.failed else Exit.DONE


def report_beside(sources: list[str], store: Path, data_root: Path | None, allow_mixed: bool) -> Exit:
    """Each study by itself, and one page with the verdicts of all: two protocols of one question, say."""
    ended, failed = [], 0
    for source in sources:
        _import_from_here_and(source)
        prepared = prepare(read_study(source), store, _roots(source, data_root))
        done = report(prepared, allow_mixed=allow_mixed)
        _tell(prepared, done)
        ended.append((prepared.study.name, done.verdict.to_json()))
        failed += done.failed
    path = store / "studies" / ("+".join(name for name, _ in ended) + ".html")
    write_text(path, beside([verdict for _, verdict in ended]))
    print(f"side by side: {path}")
    return Exit.FAILED if failed else Exit.DONE


def _roots(source: str, data_root: Path | None) -> list[Path]:
    """Where data are looked for: --data-root, then the study's own folder."""
    return [*([data_root] if data_root is not None else []), find_study(source).resolve().parent]


def _import_from_here_and(source: str) -> None:
    """A study may name code of the user's, in the current folder or beside the study file."""
    for folder in (str(find_study(source).resolve().parent), os.getcwd()):
        if folder not in sys.path:
            sys.path.insert(0, folder)


def _tell(prepared: Prepared, done: Conducted) -> None:
    print(f"\n{prepared.study.question}\n")
    for sentence in done.verdict.sentences:
        print(f"  {sentence}")
    for warning in done.verdict.warnings:
        print(f"  note: {warning}")
    if done.failed:
        print(f"  {done.failed} of {len(prepared.runs)} runs failed; the report names them")
    print(f"\nreport: {done.report}")


def _has_winner(verdict: Verdict) -> bool:
    return len(verdict.best_set) == 1


class Bar(Listener):
    """Progress with the time left; never who is ahead, which would invite stopping on it."""

    def __init__(self, already: int) -> None:
        self.already = already
        self.outcomes: dict[str, bool] = {}  # of each run, whether it finished when it was last tried
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self.task = TaskID(0)

    def begin(self, total: int, workers: int) -> None:
        self.total, self.workers, self.start = total, workers, time.monotonic()
        if self.already:
            self.console.print(f"{self.already} runs are finished already")
        if not total:
            return
        self.console.print(f"{total} runs to do, {workers} at a time")
        if self.console.is_terminal:
            columns = (
                TextColumn("runs"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
            )
            self.bar = Progress(*columns, console=self.console)
            self.bar.start()
            self.task = self.bar.add_task("runs", total=total, left="")

    def ended(self, one: Ended) -> None:
        again = one.run.key in self.outcomes
        self.outcomes[one.run.key] = one.outcome == "finished"
        done, failed = len(self.outcomes), sum(not well for well in self.outcomes.values())
        left = f"about {_duration((time.monotonic() - self.start) / done * max(0, self.total - done))} left"
        if one.outcome != "finished":
            self.console.print(
                f"{one.run.loss.label}, fold {one.run.fold}, seed {one.run.seed}: {one.outcome}: {one.message}"
            )
        if self.bar is not None:
            self.bar.update(self.task, advance=not again, left=left)
        else:
            self.console.print(f"{done} of {self.total} runs, {failed} failed, {left}")

    def warn(self, text: str) -> None:
        self.console.print(f"warning: {text}", markup=False)

    def end(self) -> None:
        if self.bar is not None:
            self.bar.stop()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
