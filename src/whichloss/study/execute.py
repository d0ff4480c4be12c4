"""Execute runs in worker processes of this machine. One that dies costs its own run and no other."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from whichloss.core import UserError
from whichloss.metrics import Metric

from . import machine
from .agenda import Agenda
from .runs import Run
from .store import Store, StoreError
from .track import Tracks
from .worker import order


@dataclass(frozen=True)
class Ended:
    """The end of one run."""

    run: Run
    outcome: str
    message: str
    recorded: bool  # whether the worker has kept it
    untracked: Mapping[str, str] = field(default_factory=dict)  # where it could not be told, and why; see `Tracks`


def gpus(device: str) -> int:
    """How many GPUs a study may use that names this device."""
    chosen = machine.choose_device(device)
    return (torch.cuda.device_count() if chosen.index is None else 1) if chosen.type == "cuda" else 0


def plan_workers(device: str, wanted: int | None, each: int = 1, slots: int = 1) -> tuple[int, int, list[str]]:
    """How many workers, how many threads each of their processes, and the device of each.

    each: how many devices a run is trained on; the first is told. Raises UserError where there are fewer.
    slots: how many runs share a GPU.
    """
    cores, chosen, found = machine.cores(), machine.choose_device(device), gpus(device)
    if each > 1 and chosen.type != "cpu" and found < each:
        raise UserError(
            f"training.devices: {each} with device: {device}, which offers {max(1, found)}; say device: auto or cuda on"
            f" a machine of {each} GPUs or more, or fewer devices"
        )
    places = found // each
    workers = wanted or (places * slots if found else max(1, min(cores // each, 8)))
    several = found and chosen.index is None
    devices = [f"cuda:{at % places * each}" for at in range(workers)] if several else [str(chosen)] * workers
    return workers, max(1, cores // (workers * each)), devices


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be computed, where it is kept, and what it may cost."""

    agenda: Agenda
    metrics: Sequence[Metric]
    store: Store
    roots: Sequence[Path]
    logs: Path
    most: int  # runs at a time that there can be
    device: str = "auto"
    devices: int = 1  # of one run
    workers: int | None = None
    trials: bool = False
    limit: float | None = None  # minutes of a run
    memory: float | None = None  # GB of main memory of a worker, or of each of its processes
    tracks: Tracks | None = None

    def order(self, run: Run, device: str) -> dict[str, Any]:
        """What a worker is sent for one run."""
        told = self.tracks.order() if self.tracks else {}
        return order(run, [repr(metric) for metric in self.metrics], device, self.trials) | told


def execute(work: Work, ended: Callable[[Ended], None]) -> None:
    """Compute what is on the agenda until nothing is left. `ended` hears of each run, in this thread."""
    count, threads, places = plan_workers(work.device, work.workers, work.devices)
    agenda, news = work.agenda, queue.Queue[tuple[Ended, threading.Event] | Exception | None]()
    crew = [
        Worker(at, work.store, work.roots, work.logs, threads, work.limit, work.memory)
        for at in range(min(count, work.most))
    ]

    def keep_busy(worker: Worker, device: str) -> None:
        try:
            while (run := agenda.take()) is not None:
                heard = threading.Event()
                news.put((worker.do(run, work.order(run, device)), heard))
                heard.wait()  # what comes next may depend on what is recorded now
                agenda.ended(run)
        except Exception as error:
            news.put(error)
        finally:
            news.put(None)

    helpers = [threading.Thread(target=keep_busy, args=pair, daemon=True) for pair in zip(crew, places, strict=False)]
    try:
        for helper in helpers:
            helper.start()
        busy = len(helpers)
        while busy:
            one = news.get()
            if isinstance(one, Exception):
                raise one
            busy -= one is None
            if one is not None:
                ended(one[0])
                one[1].set()
    finally:
        for worker in crew:
            worker.stop()


class Worker:
    """One worker process, started when first needed and again after it died."""

    def __init__(
        self,
        at: int | str,
        store: Store,
        roots: Sequence[Path],
        logs: Path,
        threads: int,
        limit: float | None = None,
        memory: float | None = None,
    ) -> None:
        """limit: minutes of a run; memory: GB of the process."""
        folders = (store.folder, *roots)  # absolute: the code of a study may go to another folder
        self.command = [sys.executable, "-m", "whichloss.study.worker", *(str(one.absolute()) for one in folders)]
        self.log, self.limit, self.memory = logs / f"worker-{at}.log", limit, memory
        count = str(threads)  # read by the libraries below torch when they are loaded
        self.environment = os.environ | {
            "OMP_NUM_THREADS": count,
            "MKL_NUM_THREADS": count,
            "OPENBLAS_NUM_THREADS": count,
            "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
        }
        self.process: subprocess.Popen[str] | None = None
        self.stopping = False
        self._starting = threading.Lock()

    def do(self, run: Run, message: dict[str, Any]) -> Ended:
        """Raises StoreError where nothing can be kept, so that no other run is computed in vain."""
        return Ended(run, *self.answer(message))

    def answer(self, message: dict[str, Any]) -> tuple[str, str, bool, dict[str, str]]:
        """What came of an order: outcome, message, whether it has been recorded, and where it could not be told."""
        process = self._alive()
        with _Limit(process, self.limit) as limit:
            answer = _ask(process, message)
        if limit.exceeded:
            process.wait()
        if not answer:
            outcome, why = ("hung", self._late()) if limit.exceeded else ("died", self._why(process))
            return outcome, why, False, {}
        reply = json.loads(answer)
        if "store" in reply:
            raise StoreError(reply["store"])
        return reply["outcome"], reply["message"], "unrecorded" not in reply, reply.get("untracked", {})

    def tell(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """What it replies to what is no run; nothing where it died of it."""
        answer = _ask(self._alive(), message)
        return json.loads(answer) if answer else {}

    def stop(self) -> None:
        with self._starting:
            self.stopping = True
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _alive(self) -> "subprocess.Popen[str]":
        """The process, ready for a run: what it takes to start is not a part of any."""
        if self.process is None or self.process.poll() is not None:
            try:
                self.process = self._start()
            except OSError as error:
                raise UserError(f"cannot start a worker process: {error}") from error
            assert self.process.stdout is not None
            self.process.stdout.readline()
        return self.process

    def _start(self) -> "subprocess.Popen[str]":
        with self._starting, self.log.open("a") as log:
            if self.stopping:
                raise UserError("the workers have been stopped")
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self.environment,
            )
        if self.memory is not None:
            _limit_memory(process.pid, round(self.memory * 1e9))
        return process

    def _late(self) -> str:
        return f"it had not ended after {self.limit:g} min, and its worker process was stopped; see {self.log.name}"

    def _why(self, process: "subprocess.Popen[str]") -> str:
        code = process.wait()
        name = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return f"its worker process ended with {name}; see {self.log.name}"


class _Limit:
    """Kills a process that takes longer than so many minutes, while it lasts."""

    def __init__(self, process: "subprocess.Popen[str]", minutes: float | None) -> None:
        self.process, self.exceeded = process, False
        self.timer = None if minutes is None else threading.Timer(60 * minutes, self._end)

    def __enter__(self) -> "_Limit":
        if self.timer is not None:
            self.timer.daemon = True
            self.timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer.join()  # it may be at work at this moment

    def _end(self) -> None:
        self.exceeded = True
        self.process.kill()


def _ask(process: "subprocess.Popen[str]", message: Mapping[str, Any]) -> str:
    """The line that a worker answers with; nothing where it ends before."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except OSError:
        return ""


def _limit_memory(process: int, most: int) -> None:
    """What a process asks for beyond this is refused, and most often ends as the outcome out_of_memory."""
    try:
        import resource

        resource.prlimit(process, resource.RLIMIT_DATA, (most, most))
    except (ImportError, AttributeError):
        raise UserError("memory can be limited on Linux alone; run without --memory") from None
    except ProcessLookupError:  # it has died already
        return
