"""What an engine does for a study: take runs to other machines, and say how they ended."""

import os
import platform
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from whichloss.core import UserError

from .. import machine
from ..execute import Ended, Work, Worker
from ..runs import Run
from ..store import FINAL, Store

if TYPE_CHECKING:
    from .place import Place

PATIENCE = 120.0  # seconds until what another machine wrote must have appeared in the store


@dataclass(frozen=True, kw_only=True)
class Site:
    """What all runs of a study need on any machine: folders that are the same everywhere, and limits."""

    store: str
    roots: tuple[str, ...]
    study: str  # the folder of the study in the store; logs go there
    path: tuple[str, ...]  # where code of the user's is imported from
    threads: int
    limit: float | None  # minutes of a run
    memory: float | None  # GB of a worker
    source: str  # digest of the code that the study was started with


@dataclass(frozen=True)
class Share:
    """What each run gets of a machine."""

    cpus: int
    gpus: float  # a part of one is shared with other runs
    memory: float | None  # GB


@dataclass(frozen=True)
class Answer:
    """What came of a run on another machine, as `Ended` has it."""

    outcome: str
    message: str
    recorded: bool = False
    untracked: Mapping[str, str] = field(default_factory=dict)
    hopeless: bool = False  # no other run would fare better


class Engine(Protocol):
    """Somebody else's scheduler."""

    room: int  # how many runs it takes at a time
    slots: int  # how many of them it computes at a time, as far as it can tell

    def submit(self, site: Site, orders: Sequence[dict[str, Any]]) -> Sequence[Hashable]:
        """Hand over runs; a name for each. Raises UserError where they are refused."""
        ...

    def wait(self) -> Iterable[tuple[Hashable, Answer]]:
        """Those that have ended since the last time; waits for one at least."""
        ...

    def stop(self) -> None:
        """Cancel what has not ended, and let go."""
        ...


def execute_on(engine: Engine, place: "Place", work: Work, ended: Callable[[Ended], None]) -> None:
    """What `execute` does, on other machines: whatever is ready is handed over at once, as one wave.

    How many runs at a time is the engine's to know.
    """
    device, threads = place.share(work.device, work.devices)
    site = Site(
        store=str(work.store.folder.absolute()), roots=tuple(str(root.absolute()) for root in work.roots),
        study=str(work.logs.absolute()), path=tuple(_own_path()), threads=threads, limit=work.limit,
        memory=work.memory, source=machine.source(),
    )  # fmt: skip
    busy: dict[Hashable, Run] = {}
    while True:
        if runs := work.agenda.ready(engine.room - len(busy)):
            names = engine.submit(site, [work.order(run, device) for run in runs])
            busy |= zip(names, runs, strict=True)
        if not busy:
            return
        for name, answer in engine.wait():
            run = busy.pop(name)
            if answer.hopeless:
                raise UserError(answer.message)
            if answer.recorded:
                _appeared(work.store, run, answer)
            ended(Ended(run, answer.outcome, answer.message, answer.recorded, answer.untracked))
            work.agenda.ended(run)


def _own_path() -> Iterator[str]:
    """Where this process imports from beyond what is installed: the folder of the study, and the current one."""
    installed = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
    for entry in dict.fromkeys(str(Path(entry).resolve()) for entry in sys.path):
        if not installed & set(Path(entry).parents):
            yield entry


def _appeared(store: Store, run: Run, answer: Answer) -> None:
    """Wait until this machine sees what another one wrote. Shared folders remember for a while what was not there."""
    end = time.monotonic() + PATIENCE
    while (record := store.record(run.key)) is None or record["outcome"] not in (answer.outcome, *FINAL):
        if time.monotonic() > end:
            raise UserError(
                f"run {run.key[:12]} was {answer.outcome} on another machine, and does not appear in {store.folder}:"
                " --store must be a folder that all machines share, by one path"
            )
        with suppress(OSError):  # to list a folder makes NFS look again
            os.listdir(store.path(run.key).parent)
        time.sleep(0.2)


# on the machine that computes


def perform(site: Site, message: dict[str, Any], keep: bool = False) -> Answer:
    """One run, by a worker process of this machine: one that dies, or must be stopped, costs that run alone.

    keep: leave the worker for the next run that this process is given.
    """
    sys.path[:0] = [entry for entry in site.path if entry not in sys.path]
    here = platform.node()
    if not (Path(site.study) / "protocol.json").exists():
        return _hopeless(
            f"{here} does not see the store {site.store}: --store must be a folder that all machines share, by one path"
        )
    if machine.source() != site.source:
        return _hopeless(
            f"whichloss on {here}, in {Path(machine.__file__).parents[1]}, is not the code that started the study;"
            " install the same version on every machine"
        )
    try:
        return Answer(*_worker(site, os.environ.get("CUDA_VISIBLE_DEVICES")).answer(message))
    except UserError as error:
        return _hopeless(f"{here}: {error}")
    finally:
        if not keep:
            dismiss()


def dismiss() -> None:
    """Stop the workers that this process has kept."""
    while _kept:
        _kept.popitem()[1].stop()


_kept: dict[tuple[Site, str | None], Worker] = {}


def _worker(site: Site, gpus: str | None) -> Worker:
    """gpus: those that this process may see now; a worker has those of its start for good."""
    if (site, gpus) not in _kept:
        dismiss()
        name, roots = f"{platform.node()}-{os.getpid()}", [Path(root) for root in site.roots]
        _kept[site, gpus] = Worker(
            name, Store(site.store), roots, Path(site.study), site.threads, site.limit, site.memory
        )
    return _kept[site, gpus]


def _hopeless(message: str) -> Answer:
    return Answer("error", message, hopeless=True)
