"""What a loss looks like along the way from wrong to right, and what it costs beside cross-entropy."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .readings import QUANTITY, Reading

REPEATS = 9


@dataclass(frozen=True)
class Portrait:
    """Value and slope of a small batch, all of whose answers are right by x logits (of quantities: x away)."""

    x: list[float]
    value: list[float]
    slope: list[float]
    low: float  # over this batch at random logits, too
    high: float
    smooth: bool
    convex: bool
    bounded: bool
    easy_from: float | None  # from here on nothing is asked any more


def portrait(reading: Reading) -> Portrait:
    answer = reading.answer()
    direction = reading.tame(answer) if reading.form is QUANTITY else reading.sides(answer)
    start = answer if reading.form is QUANTITY else 0 * direction

    def at(x: float) -> Tensor:
        return reading.value(start + x * direction, answer).detach().double()

    def slope_at(x: float) -> float:
        leaf = torch.tensor(x, dtype=reading.dtype, requires_grad=True)
        value = reading.value(start + leaf * direction, answer)
        return float(torch.autograd.grad(value, leaf)[0]) if value.requires_grad else 0.0

    x = torch.linspace(-6, 6, 241, dtype=torch.float64).tolist()
    value, slope = [float(at(one)) for one in x], [slope_at(one) for one in x]
    random = [float(reading.value(reading.tame(answer, seed), answer)) for seed in range(8)]
    spread = max(value) - min(value) or 1.0
    jumps = _jumps(slope_at, x, slope)
    rise = [after - before for before, after in pairwise(slope)]
    far = abs(float(at(-1e4)) - float(at(-1e2)))
    idle = [s == 0.0 for s in slope]
    last = max((i for i, still in enumerate(idle) if not still), default=-1)
    easy = x[last + 1] if reading.form is not QUANTITY and 0 <= last < len(x) - 12 else None
    return Portrait(
        x, value, slope, min(value + random), max(value + random), jumps < 1e-3 * spread, min(rise) > -1e-6 * spread,
        far < 0.2 * spread, easy,
    )  # fmt: skip


def _jumps(slope_at: Callable[[float], float], x: list[float], slope: list[float]) -> float:
    """The largest change of slope that remains where the two points next to it come together."""
    largest, steps = 0.0, sorted(range(len(x) - 1), key=lambda i: -abs(slope[i + 1] - slope[i]))[:8]
    for i in steps:
        low, high = x[i], x[i + 1]
        for _ in range(18):
            middle = (low + high) / 2
            there = slope_at(middle)
            if abs(there - slope_at(low)) > abs(slope_at(high) - there):
                high = middle
            else:
                low = middle
        largest = max(largest, abs(slope_at(high) - slope_at(low)))
    return largest


@dataclass(frozen=True)
class Cost:
    """Time and peak memory of value and gradient, beside torch's own loss of the same question."""

    beside: str
    shape: tuple[int, ...]
    threads: int
    seconds: float
    times: float  # what the other takes
    memory: float | None  # times the other's peak beyond the logits
    device: str = "cpu"


def cost(reading: Reading) -> Cost | None:
    """Measured in turns, the shortest of each; None where it refuses a batch of this size. No part of any verdict."""
    side = {2: (128, 128), 3: (24, 24, 24)}.get(len(reading.space), ())
    large = replace(reading, space=side, dtype=torch.float32)
    answer = large.answer(images=2 if side else 4096)
    answer = answer if large.form.exclusive else answer.float()
    output, target = large.shown(large.tame(answer)), large.target(answer)
    name, other, aim = _beside(large, answer)
    z = large.tame(answer)
    mine = (lambda x: large.loss(x, target)) if large.link == "logits" else (lambda x: large.value(x, answer))
    try:
        first = _seconds(mine, z)
        if first > 5.0:
            return None
        pairs = [(_seconds(mine, z), _seconds(lambda x: other(x, aim), z)) for _ in range(REPEATS)]
        least = min(one for one, _ in pairs), min(two for _, two in pairs)  # what others do on the machine only adds
        peaks = _peak(mine, z), _peak(lambda x: other(x, aim), z)
    except Exception:
        return None
    return Cost(
        name, tuple(output.shape), torch.get_num_threads(), least[0],
        least[0] / least[1], peaks[0] / peaks[1] if peaks[1] else None,
    )  # fmt: skip


def _beside(reading: Reading, answer: Tensor) -> tuple[str, Callable[[Tensor, Tensor], Tensor], Tensor]:
    if reading.form is QUANTITY:
        return "torch's squared error", F.mse_loss, answer
    if reading.form.exclusive:
        return "torch's cross-entropy", F.cross_entropy, answer
    return "torch's binary cross-entropy", F.binary_cross_entropy_with_logits, answer.float()


def _seconds(loss: Callable[[Tensor], Tensor], z: Tensor) -> float:
    leaf = z.clone().requires_grad_()
    started = perf_counter()
    loss(leaf).backward()
    return perf_counter() - started


def _peak(loss: Callable[[Tensor], Tensor], z: Tensor) -> int:
    leaf = z.clone().requires_grad_()
    with _Alive() as alive:
        loss(leaf).backward()
    return alive.peak


class _Alive(TorchDispatchMode):
    """Bytes of the tensors that operations have made and that are still held; their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        held = {one.untyped_storage()._cdata for one in _tensors((args, kwargs or {}))}
        for one in _tensors(made):
            storage = one.untyped_storage()
            if storage._cdata not in held and storage._cdata not in self.seen:
                self.seen.add(storage._cdata)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._free, storage._cdata, storage.nbytes())
        return made

    def _free(self, which: int, size: int) -> None:
        self.seen.discard(which)
        self.now -= size


def _tensors(thing: Any) -> list[Tensor]:
    if isinstance(thing, Tensor):
        return [thing]
    if isinstance(thing, dict):
        return [one for part in thing.values() for one in _tensors(part)]
    if isinstance(thing, list | tuple):
        return [one for part in thing for one in _tensors(part)]
    return []
