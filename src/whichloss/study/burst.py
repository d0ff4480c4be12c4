"""A burst: a few batches, trained on again and again for some seconds, to see how many a second there are."""

import time
from contextlib import suppress
from dataclasses import replace
from math import prod

import torch

from whichloss.data import Cases

from . import machine
from .course import Curve
from .runs import Run, Split
from .study import Stage
from .train import Diverged, train

FEW = 8  # batches in an epoch of it
LONGEST = 10_000  # epochs


class _Enough(Exception):
    pass


def burst(run: Run, cases: Cases, split: Split, device: torch.device, start: float, end: float) -> dict[str, float]:
    """Batches a second between two times of `time.monotonic`, and the bytes that a whole run takes on the device.

    Whatever is only done the first time should have been done: a burst whose end is past is one epoch.
    """
    batch = run.training.plan[0].batch
    some = replace(split, fit=split.fit[: FEW * batch], inner=split.inner[:batch])
    some = replace(some, fold=replace(split.fold, test=split.fold.test[:1]))
    stage = Stage(epochs=LONGEST, batch=batch, rate=1.0, share=1.0)
    training = run.training.model_copy(update={"stages": (stage,), "length": 1.0, "batch": None})
    epochs: list[float] = []

    def look(_: Curve) -> None:
        epochs.append(time.monotonic())
        if epochs[-1] >= end:
            raise _Enough

    machine.start_peak(device)
    with suppress(_Enough, Diverged):
        train(replace(run, training=training), cases, some, device, watcher=look)
    within = [one for one in epochs if start <= one <= end]
    pace = (len(within) - 1) / (within[-1] - within[0]) if len(within) > 1 else 0.0
    images = cases.images_at(split.fit[:1])
    rest = (len(split.fit) - len(some.fit)) * prod(images.shape) * images.element_size()
    return {
        "pace": pace * -(-len(some.fit) // batch),
        "memory": (machine.peak_memory(device) or 0.0) * 2**20 + rest,
    }
