"""What a study will take, before it starts: measured on one training step of each loss and network."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from whichloss.core import Task

from . import machine
from .conduct import Prepared, look_first
from .execute import plan_workers
from .runs import Run
from .train import Precision, memory_format


def estimate(prepared: Prepared, workers: int | None) -> str:
    """The grid, the runs left, hours and disk, as text."""
    study, missing = prepared.study, prepared.missing
    look_first(prepared)
    count, threads, devices = plan_workers(study.training.device, workers)
    torch.set_num_threads(threads)
    seconds: dict[tuple[str, str, str], float] = {}
    disk = 0.0
    for run in missing:
        kind = (repr(run.loss), repr(run.data), repr(run.network))
        if kind not in seconds:
            seconds[kind] = _seconds(run, prepared, torch.device(devices[0]))
        disk += _disk(run, prepared)
    total = sum(seconds[repr(run.loss), repr(run.data), repr(run.network)] for run in missing) / count
    folds = len({run.fold for run in prepared.runs})
    lines = [
        f"{study.name}: {len(study.losses)} losses x {len(study.data)} data x {len(study.network)} networks"
        f" x {folds} folds x {study.design.seeds} seeds = {len(prepared.runs)} runs,"
        f" {len(prepared.runs) - len(missing)} finished",
        f"{count} workers of {threads} threads on {devices[0]}, {machine.cores()} cores",
        f"about {total / 60:.1f} min left, {disk / 2**20:.0f} MiB on disk",
    ]
    return "\n".join(lines)


def _seconds(run: Run, prepared: Prepared, device: torch.device) -> float:
    """Seconds of one run: steps of training, and prediction of inner and test part after each epoch."""
    cases, training = prepared.shelf.of(run), run.training
    split = run.split(cases)
    network = run.network.build(cases.task, run.loss.outputs(cases.task)).to(
        device, memory_format=memory_format(training.memory_format, cases.task.dims)
    )  # type: ignore[call-overload]
    total = look = 0.0
    for stage in training.stages:
        at = list(split.fit[: stage.batch])
        images, labels = cases.images[at].to(device), cases.labels[at].to(device)
        step = _time(lambda n=network, i=images, y=labels: _step(n, i, y, run, cases.task), device)
        with torch.no_grad():
            look = _time(lambda n=network, i=images: n(i), device) / len(at)
        total += stage.epochs * (step * len(split.fit) / len(at) + look * len(split.inner))
    return total + look * (len(split.inner) + len(split.fold.test))


def _step(network: nn.Module, images: Tensor, labels: Tensor, run: Run, task: Task) -> None:
    precision = Precision(run.training.precision, images.device)
    with precision.context():
        logits = network(images)
        loss = run.loss(logits, task.target(labels, logits))
    network.zero_grad(set_to_none=True)
    loss.backward()


def _time(action: Callable[[], Any], device: torch.device) -> float:
    action()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return sorted(times)[1]


def _disk(run: Run, prepared: Prepared) -> float:
    cases = prepared.shelf.of(run)
    split = run.split(cases)
    kept = len(split.inner) + len(split.fold.test)
    if cases.task.kind != "segmentation":
        return kept * 4.0 * cases.task.outputs
    elements = cases.labels[0].numel()
    return kept * elements * (2.0 * cases.task.outputs + 1)
