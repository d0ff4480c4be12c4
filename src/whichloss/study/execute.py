"""Execute runs in worker processes of this machine. One that dies costs its own run and no other."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from whichloss.metrics import Metric

from . import machine
from .agenda import Agenda
from .runs import Run
from .store import Store
from .worker import order


@dataclass(frozen=True)
class Ended:
    """The end of one run."""

    run: Run
    outcome: str
    message: str
    recorded: bool  # whether the worker has kept it


def plan_workers(device: str, wanted: int | None) -> tuple[int, int, list[str]]:
    """How many workers, how many threads each, and the device of each."""
    cores, chosen = machine.cores(), machine.choose_device(device)
    gpus = torch.cuda.device_count() if chosen.type == "cuda" and chosen.index is None else 0
    workers = wanted or (gpus if gpus else 1 if chosen.type == "cuda" else min(cores, 8))
    devices = [f"cuda:{at % gpus}" for at in range(workers)] if gpus else [str(chosen)] * workers
    return workers, max(1, cores // workers), devices


def execute(
    agenda: Agenda,
    metrics: Sequence[Metric],
    store: Store,
    roots: Sequence[Path],
    logs: Path,
    *,
    device: str = "auto",
    workers: int | None = None,
    most: int,
    trials: bool = False,
    ended: Callable[[Ended], None],
) -> None:
    """Compute what is on the agenda, `most` runs, until nothing is left. `ended` hears of each, in this thread."""
    count, threads, devices = plan_workers(device, workers)
    texts = [repr(metric) for metric in metrics]
    news: queue.Queue[tuple[Ended, threading.Event] | Exception | None] = queue.Queue()
    crew = [Worker(at, store, roots, logs, threads) for at in range(min(count, most))]

    def work(worker: Worker, device: str) -> None:
        try:
            while (run := agenda.take()) is not None:
                heard = threading.Event()
                news.put((worker.do(run, order(run, texts, device, trials)), heard))
                heard.wait()  # what comes next may depend on what is recorded now
                agenda.ended(run)
        except Exception as error:
            news.put(error)
        finally:
            news.put(None)

    helpers = [threading.Thread(target=work, args=pair, daemon=True) for pair in zip(crew, devices, strict=False)]
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

    def __init__(self, at: int, store: Store, roots: Sequence[Path], logs: Path, threads: int) -> None:
        self.command = [sys.executable, "-m", "whichloss.study.worker", str(store.folder), *map(str, roots)]
        self.log = logs / f"worker-{at}.log"
        count = str(threads)  # read by the libraries below torch when they are loaded
        self.environment = os.environ | {
            "OMP_NUM_THREADS": count,
            "MKL_NUM_THREADS": count,
            "OPENBLAS_NUM_THREADS": count,
            "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
        }
        self.process: subprocess.Popen[str] | None = None
        self.stopping = False

    def do(self, run: Run, message: dict[str, Any]) -> Ended:
        process = self._alive()
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            return Ended(run, "died", self._why(process), recorded=False)
        reply = json.loads(answer)
        return Ended(run, reply["outcome"], reply["message"], recorded="unrecorded" not in reply)

    def stop(self) -> None:
        self.stopping = True
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _alive(self) -> "subprocess.Popen[str]":
        if self.process is None or self.process.poll() is not None:
            with self.log.open("a") as log:
                self.process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=self.environment,
                )
        return self.process

    def _why(self, process: "subprocess.Popen[str]") -> str:
        code = process.wait()
        name = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return f"its worker process ended with {name}; see {self.log.name}"
