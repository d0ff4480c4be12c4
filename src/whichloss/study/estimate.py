"""What a study will take, before it starts: from a few steps of training each loss and network."""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from whichloss.data import Cases
from whichloss.metrics import Metric

from . import machine
from .conduct import Prepared, look_first
from .execute import Worker, plan_workers
from .mixup import sentence
from .runs import Run, Split
from .score import inner_scores, scores
from .shelf import Shelf
from .slots import ONE, slots_of
from .study import Stage
from .train import Diverged, Trained, train
from .tune import applied, planned
from .worker import answers, small

ENOUGH = 0.1  # seconds that a measurement takes at least
RECORD, CASE = 12 * 1024, 24  # bytes of record.json: for a run, and for each case and metric


@dataclass(frozen=True)
class Pace:
    """What one run takes."""

    step: float  # seconds of one batch
    epoch: float  # seconds of an epoch beside its steps: the look at the inner split
    rest: float  # seconds of a run beside its epochs: building, predicting, scoring
    memory: float | None  # MiB, of this process when it did the same
    disk: float  # bytes

    def seconds(self, stages: Sequence[Stage], cases: int) -> float:
        """Of a run that fits to so many cases."""
        return self.rest + sum(
            stage.epochs * (-(-round(stage.share * cases) // stage.batch) * self.step * stage.batch / stages[0].batch
                            + self.epoch)
            for stage in stages
        )  # fmt: skip


def estimate(prepared: Prepared, workers: int | None) -> str:
    """The grid, the budget, and what is left: runs, hours, memory and disk, as text."""
    study, missing = prepared.study, prepared.missing
    before = _timed(lambda: look_first(prepared))
    slots = ONE if workers else slots_of(missing, prepared.store, prepared.shelf.roots)
    count, threads, devices = plan_workers(study.training.device, workers, study.training.devices, slots.count)
    busy = max(1, min(count, len(missing)))
    speed = busy / slots.count * slots.speed
    torch.set_num_threads(threads)
    trials = _trials_left(prepared)
    lines = [
        f"{study.name}: {_grid(prepared)} = {len(prepared.runs)} runs, {prepared.finished} finished",
        f"budget: {_budget(prepared)}",
        *([f"mixup: {sentence(study.training.mixup)}"] if study.training.mixup is not None else []),
        f"left to train: {len(missing)}" + (f", of which {trials} trials" if trials else ""),
        f"{count} workers of {threads} threads on {devices[0]}, {machine.cores()} cores"
        + _shared(study.training.devices),
        *([f"measured: {slots}"] if slots.tried else []),
    ]
    if not missing:
        return "\n".join(lines)
    start = _seconds_to_start(prepared, missing, threads, torch.device(devices[0]))
    paces = _paces(prepared, missing, torch.device(devices[0]))
    cases = {(run.data, run.stress): run for run in reversed(missing)}
    fitted = {at: len(run.split(prepared.shelf.of(run)).fit) for at, run in cases.items()}
    seconds = sum(paces[_kind(run)].seconds(run.training.plan, fitted[run.data, run.stress]) for run in missing)
    disk = sum(paces[_kind(run)].disk for run in missing)
    memory = max(pace.memory or 0.0 for pace in paces.values())
    return "\n".join(
        [
            *lines,
            f"about {_time(before + start + seconds / speed)} left, of which {start:.0f} s to start;"
            f" {_size(max(1.0, disk / 2**20))} on disk",
            f"{_size(memory)} of memory for each worker, {_size(busy * memory)} in all"
            if memory
            else "memory: unknown",
        ]
    )


def _grid(prepared: Prepared) -> str:
    study = prepared.study
    sizes = {"losses": len(study.losses), "data": len(study.data), "networks": len(study.network)}
    if len(study.stress.levels) > 1:
        sizes["levels of stress"] = len(study.stress.levels)
    if study.design.draws is not None:
        sizes["draws"] = study.design.draws
    else:
        sizes |= {"folds": len({run.fold for run in prepared.runs}), "seeds": study.design.seeds}
    return " x ".join(f"{size} {name}" for name, size in sizes.items())


def _shared(devices: int) -> str:
    return f"; each run on {devices} devices, and measured on one: several take less time" if devices > 1 else ""


def _budget(prepared: Prepared) -> str:
    tune = prepared.study.tune
    if tune is None:
        return "no tuning, each loss once for each of these"
    searches = list(prepared.tuning.searches(prepared.runs))
    losses = {repr(search.base.loss) for search in searches}
    whom = "the baseline alone" if tune.losses == "baseline" else "each loss"
    return f"{tune.budget} in each of {len(searches) // len(losses)} searches for {whom}"


def _trials_left(prepared: Prepared) -> int:
    tune = prepared.study.tune
    if tune is None:
        return 0
    searches = prepared.tuning.searches(prepared.runs)
    return sum(planned(tune, search.base) - sum(trial.ended for trial in search.trials) for search in searches)


def _kind(run: Run) -> tuple[str, ...]:
    """Runs whose steps take as long."""
    return repr(run.loss), repr(run.data), repr(run.network)


def _paces(prepared: Prepared, missing: Sequence[Run], device: torch.device) -> dict[tuple[str, ...], Pace]:
    """The pace of each kind of run."""
    paces: dict[tuple[str, ...], Pace] = {}
    for run in missing:
        if _kind(run) not in paces:
            cases = prepared.shelf.of(run)
            paces[_kind(run)] = _pace(applied(run), cases, run.split(cases), prepared.study.metrics, device)
    return paces


def _pace(run: Run, cases: Cases, split: Split, metrics: Sequence[Metric], device: torch.device) -> Pace:
    """Trains on one batch and on two; of images to segment it predicts but a few, and the rest takes in proportion."""
    batch = min(run.training.plan[0].batch, max(1, len(split.fit) // 2))
    few = batch if cases.task.kind == "segmentation" else len(cases)
    inner, test = _some(split.inner, few), _some(split.fold.test, few)

    def measured(fitted: int, epochs: int) -> tuple[float, Trained | None]:
        part = replace(split, fit=_some(split.fit, fitted), inner=inner, fold=replace(split.fold, test=test))
        training = run.training.model_copy(
            update={"stages": (Stage(epochs=epochs, batch=batch, rate=1.0, share=1.0),), "length": 1.0, "batch": None}
        )
        start, trained = time.perf_counter(), None
        with suppress(Diverged):  # it has taken its time all the same
            trained = train(replace(run, training=training), cases, part, device)
        return time.perf_counter() - start, trained

    machine.start_peak(device)
    measured(2 * batch, 1)  # once for what is only done the first time
    alone, trained = measured(2 * batch, 1)
    memory = machine.peak_memory(device)
    two, one = _each_epoch(lambda n: measured(2 * batch, n)[0]), _each_epoch(lambda n: measured(batch, n)[0])
    step = max(0.0, two - one)
    epoch = max(0.0, one - step)
    fitted = (len(split.fit), 2 * batch) if cases.task.by_image else (0, 0)  # predicted in the end, too
    every = len(split.inner) + len(split.fold.test) + fitted[0]
    looked = (len(split.inner) / len(inner), every / (len(inner) + len(test) + fitted[1]))
    scored, kept = _scored(trained, cases, inner, test, metrics)
    return Pace(
        step=step * run.training.plan[0].batch / batch,
        epoch=epoch * looked[0],
        rest=max(0.0, alone - two) * looked[1] + scored * looked[1],
        memory=memory,
        disk=kept * looked[1] + RECORD + CASE * len(metrics) * len(split.fold.test),
    )


def _some(at: tuple[int, ...], count: int) -> tuple[int, ...]:
    """So many of them, from all over."""
    return at[:: max(1, len(at) // count)][:count]


def _each_epoch(seconds: Callable[[int], float]) -> float:
    """What one epoch more takes, from enough of them."""
    first, epochs = seconds(1), 2
    while (more := seconds(epochs) - first) < ENOUGH and epochs < 1000:
        epochs *= 2
    return max(0.0, more / (epochs - 1))


def _scored(
    trained: Trained | None, cases: Cases, inner: Sequence[int], test: Sequence[int], metrics: Sequence[Metric]
) -> tuple[float, float]:
    """Seconds of scoring, and bytes of what is kept."""
    if trained is None:
        return 0.0, 0.0
    outputs: dict[str, Tensor] = answers(trained, best=False) | {
        "inner_labels": small(cases.truth(inner)),
        "test_labels": small(cases.truth(test)),
        "inner_cases": torch.tensor(inner),
        "test_cases": torch.tensor(test),
    }

    def score() -> None:
        inner_scores(metrics, outputs, cases.task)
        if test:
            scores(metrics, outputs, cases.task)

    return _timed(score), float(sum(one.numel() * one.element_size() for one in outputs.values()))


def _seconds_to_start(prepared: Prepared, missing: Sequence[Run], threads: int, device: torch.device) -> float:
    """A worker is started to see; what it then does once, reading data and the first step, is done here."""
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(0, prepared.store, prepared.shelf.roots, Path(folder), threads)
        seconds = _timed(worker._alive)
        worker.stop()
    drawn = {(run.data, run.draw): run for run in missing}
    for data in {run.data for run in missing}:
        draws = [run for (one, _), run in drawn.items() if one == data]
        seconds += len(draws) * _timed(lambda run=draws[0]: Shelf(prepared.shelf.roots).of(run))
    return seconds


def _timed(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _time(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _size(mebibytes: float) -> str:
    return f"{mebibytes:.0f} MiB" if mebibytes < 2048 else f"{mebibytes / 1024:.1f} GiB"
