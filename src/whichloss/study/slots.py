"""Slots: how many runs share a GPU. A small network does not fill one; how many do is measured, with real workers."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from . import machine
from .execute import Worker, gpus
from .runs import Run
from .store import Store
from .worker import order

MOST = 16  # runs on one GPU; beyond, what a process needs for itself is in the way
GAIN = 1.1  # twice as many must do so much more together to be worth their memory
SECONDS = 3.0  # of each measurement
CONTEXT = 600 * 2**20  # bytes that CUDA itself takes for a process
WORTH = 8  # runs for which it is worth the time to look


@dataclass(frozen=True)
class Slots:
    """How many runs a device does best at a time, and what was tried: batches a second of all of them together."""

    count: int
    tried: tuple[tuple[int, float], ...]

    @property
    def speed(self) -> float:
        """How many times as much is done as by one run at a time."""
        tried = dict(self.tried)
        return tried[self.count] / tried[1] if tried else 1.0

    def __str__(self) -> str:
        each = "".join(f", {pace:.0f} of {count}" for count, pace in self.tried)
        return f"{self.count} at a time on a device" + (each and f" (batches a second:{each[1:]})")


ONE = Slots(1, ())


def slots_of(missing: Sequence[Run], store: Store, roots: Sequence[Path]) -> Slots:
    """The fewest that any kind of run does well with; one, unmeasured, where no GPU would be shared by many runs."""
    training = missing[0].training if missing else None
    if training is None or training.devices > 1 or len(missing) < WORTH or not (count := gpus(training.device)):
        return ONE
    kinds = {(run.data, run.network): run for run in reversed(missing)}.values()
    most = min(MOST, machine.cores() // count, len(missing))
    return min((measured(run, store, roots, most) for run in kinds), key=lambda one: one.count)


def measured(run: Run, store: Store, roots: Sequence[Path], most: int) -> Slots:
    """By workers side by side on the first device."""
    device = str(machine.choose_device(run.training.device))
    with TemporaryDirectory() as logs:
        crew: list[Worker] = []

        def pace(count: int) -> float | None:
            """Of so many at a time; None where there is no room for them."""
            threads = max(1, machine.cores() // most)
            crew.extend(Worker(at, store, roots, Path(logs), threads) for at in range(len(crew), count))
            told = _together(crew, order(run, [], device))
            if any(one.get("outcome") != "measured" for one in told):
                return None
            room.append(sum(one["memory"] for one in told) / count + CONTEXT)
            return sum(one["pace"] for one in told)

        room: list[float] = []  # what each takes
        try:
            return fullest(pace, lambda count: count <= most and _fits(count, room, device))
        finally:
            for worker in crew:
                worker.stop()


def fullest(pace: Callable[[int], float | None], fits: Callable[[int], bool]) -> Slots:
    """One, two, four and so on, as long as twice as many do clearly more; one where nothing could be seen."""
    tried: dict[int, float] = {}
    count = 1
    while fits(count) and (found := pace(count)):
        tried[count] = found
        if count > 1 and found < GAIN * tried[count // 2]:
            return Slots(count // 2, tuple(tried.items()))
        count *= 2
    return Slots(max(tried, default=1), tuple(tried.items()))


def _fits(count: int, room: Sequence[float], device: str) -> bool:
    place = torch.device(device)
    if place.type != "cuda" or not room:
        return True
    return count * max(room) <= 0.9 * torch.cuda.get_device_properties(place).total_memory


def _together(crew: Sequence[Worker], message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each of them did in the same seconds."""
    with ThreadPoolExecutor(len(crew)) as side_by_side:
        list(side_by_side.map(lambda one: one.tell({**message, "burst": (0.0, 0.0)}), crew))
        window = time.monotonic() + 0.1  # one clock for all processes of a machine
        return list(side_by_side.map(lambda one: one.tell({**message, "burst": (window, window + SECONDS)}), crew))
