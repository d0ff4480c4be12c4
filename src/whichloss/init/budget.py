"""How many cases and epochs a study can have, so that it ends in a sensible time on this machine: measured."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from whichloss.core import Task
from whichloss.networks import Network
from whichloss.study.execute import plan_workers

SECONDS = 150.0  # of the whole study, as far as can be said before
EPOCHS = (12, 30)  # the least that teaches anything, and the most of a first look
FEWEST = 60  # cases
MARGIN = 1.3  # for what is not measured: starting, scoring, writing


@dataclass(frozen=True)
class Budget:
    """cases: None for all of them."""

    cases: int | None
    epochs: int
    seconds: float  # that the study will take, about


def budget(
    network: Network, task: Task, outputs: int, batch: int, *, cases: int, runs: int, share: float, reading: float
) -> Budget:
    """runs: how many trainings; share: of the cases that each is fitted to; reading: seconds to read one case."""
    workers, threads, _ = plan_workers("auto", None)
    learn, answer = _pace(network, task, outputs, batch, threads)
    rounds = -(-runs // workers)

    def seconds(count: int, epochs: int) -> float:
        fitted = share * count
        each = epochs * (fitted * learn + (1 - share) / 2 * count * answer) + count * answer
        return MARGIN * rounds * each + 3 * count * reading  # read here, and by each worker

    least, most = EPOCHS
    count = cases
    while count > FEWEST and seconds(count, least) > SECONDS:
        count = max(FEWEST, int(0.9 * count))
    epochs = most
    while epochs > least and seconds(count, epochs) > SECONDS:
        epochs -= 1
    return Budget(None if count == cases else _round(count), epochs, seconds(count, epochs))


def _round(count: int) -> int:
    """Two leading digits."""
    step = 10 ** max(0, len(str(count)) - 2)
    return count // step * step


def _pace(network: Network, task: Task, outputs: int, batch: int, threads: int) -> tuple[float, float]:
    """Seconds to learn from a case, and to answer one; a worker has so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        module = network.build(task, outputs)
        optimizer = torch.optim.Adam(module.parameters())
        images = torch.randn(batch, task.channels, *task.size)

        def step() -> None:
            optimizer.zero_grad()
            module(images).square().mean().backward()
            optimizer.step()

        def forward() -> None:
            with torch.no_grad():
                module(images)

        return _seconds(step) / batch, _seconds(forward) / batch
    finally:
        torch.set_num_threads(before)


def _seconds(action: Callable[[], None]) -> float:
    """The middle one of some, after one that is not counted."""
    action()
    taken = []
    while len(taken) < 3 or (sum(taken) < 0.5 and len(taken) < 50):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[len(taken) // 2]
