"""Exact Euclidean distances on a grid, on any device, remembered by what stands on it.

An axis after the other: the last one in two sweeps; along each other, what stands 1, 2, 3, ... places away is offered
until that way alone is longer than all that is left to improve. So the time grows with the number of voxels and with
how far away objects lie, which on masks of organs and lesions is less of it than scipy's transform takes. Where they
lie too far, a transform in linear time takes over on a CPU, if `kernels` has given one.
"""

import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from ctypes import c_char
from hashlib import blake2b
from threading import Lock

import torch
from torch import Tensor

from .errors import UserError

Transform = Callable[[Tensor, Sequence[float]], Tensor]  # as `to_nearest`, of an image with at least one object
FAR = 8, 64  # places along an axis, of pictures and of volumes, beyond which linear time is worth its constant
BLOCK = 1 << 16  # voxels that are looked at in one go on a CPU: they stay in its cache
LOOK = 4  # places further, it is looked whether anything is left to improve
EXACT = 1 << 24  # up to here float32 holds every whole number
ROOM = 0.5  # GB of maps that are remembered, where nothing is said


def to_nearest(objects: Tensor, spacing: Sequence[float]) -> Tensor:
    """From each voxel to the nearest that is True; infinite where none is.

    objects: (*S), bool. spacing: the step along each axis. Gives (*S), float64, in the unit of the spacing.
    """
    if not objects.numel():
        return objects.double()
    farthest = sum((side * step) ** 2 for side, step in zip(objects.shape, spacing, strict=True))
    whole = all(step == int(step) for step in spacing) and farthest < EXACT
    apart = torch.arange(objects.shape[-1], device=objects.device, dtype=torch.float32 if whole else torch.float64)
    before = torch.where(objects, apart, -torch.inf).cummax(-1).values
    after = torch.where(objects, apart, torch.inf).flip(-1).cummin(-1).values.flip(-1)
    squared = (torch.minimum(apart - before, after - apart) * spacing[-1]).square()
    linear, far = _linear_on(objects), FAR[objects.ndim > 2]
    for axis, step in enumerate(spacing[:-1]):
        nearer = _nearest_along(squared, axis, step, far if linear else squared.shape[axis])
        if nearer is None:
            assert linear is not None
            return linear(objects, spacing)
        squared = nearer
    return squared.double().sqrt()


def _nearest_along(squared: Tensor, axis: int, step: float, most: int) -> Tensor | None:
    """The least, over the places of an axis, of what stands there plus the squared way to it.

    None where `most` places are not enough.
    """
    lines = squared.movedim(axis, 0)
    flat, side = lines.flatten(1), len(lines)
    at_once = max(1, BLOCK // side) if squared.device.type == "cpu" else flat.shape[1]
    least = []
    for block in flat.split(at_once, 1):
        block, best = block.contiguous(), block.clone(memory_format=torch.contiguous_format)
        for away in range(1, side):
            way = (away * step) ** 2
            if away % LOOK == 1 and (way >= float(best.amax()) or not best.isfinite().any()):
                break
            if away > most:
                return None
            further = block + way
            torch.minimum(best[away:], further[:-away], out=best[away:])
            torch.minimum(best[:-away], further[away:], out=best[:-away])
        least.append(best)
    return torch.cat(least, 1).reshape(lines.shape).movedim(0, axis)


_linear: Transform | None = None
_asked = False


def fill(linear: Transform) -> None:
    """Say how distances are found in linear time on a CPU. The hook for `kernels`."""
    global _linear
    _linear = linear


def _linear_on(objects: Tensor) -> Transform | None:
    """The package above us is asked, once, to load whoever has it."""
    global _asked
    if not _asked and _linear is None:
        _asked = True
        load = getattr(sys.modules[__name__.partition(".")[0]], "_load", None)
        if load is not None:
            load()
    return _linear if objects.device.type == "cpu" else None


# signed maps


def signed_distances(
    objects: Tensor, present: Tensor, spacing: Sequence[float], dtype: torch.dtype, *, keep: bool
) -> Tensor:
    """Outside of an object the distance to it, above 0; inside minus the distance to what is outside, below 0.

    objects, present: (N, C, *S), bool. What is not present is neither object nor background, and gets 0; so does
    all of an image and class that is all object, or all background. keep: whether the same objects will come again.
    """
    work = _one_step if torch.compiler.is_compiling() else _each
    return work(objects, present, spacing, dtype, keep)


def _each(objects: Tensor, present: Tensor, spacing: Sequence[float], dtype: torch.dtype, keep: bool) -> Tensor:
    made = _remembered if keep and objects.device.type == "cpu" else _signed
    masks = zip(objects.flatten(0, 1), present.flatten(0, 1), strict=True)
    each = [made(one, there, spacing, dtype) for one, there in masks]
    return torch.stack(each).reshape(objects.shape) if each else objects.to(dtype)


@torch.library.custom_op("whichloss::signed_distances", mutates_args=())
def _one_step(objects: Tensor, present: Tensor, spacing: Sequence[float], dtype: torch.dtype, keep: bool) -> Tensor:
    """For compilers, which shall not look inside."""
    return _each(objects, present, spacing, dtype, keep)


@_one_step.register_fake
def _(objects: Tensor, present: Tensor, spacing: Sequence[float], dtype: torch.dtype, keep: bool) -> Tensor:
    return torch.empty(objects.shape, dtype=dtype, device=objects.device)


def _signed(objects: Tensor, present: Tensor, spacing: Sequence[float], dtype: torch.dtype) -> Tensor:
    inside, outside = objects & present, ~objects & present
    away, deep = to_nearest(inside, spacing), to_nearest(outside, spacing)
    signed = torch.where(outside, away, torch.where(inside, -deep, 0.0))
    return torch.where(signed.isfinite(), signed, 0.0).to(dtype)


# memory, of this process


class Memory:
    """Maps by a digest of what they were made from; those asked for longest ago go first."""

    def __init__(self) -> None:
        self._maps: OrderedDict[tuple, Tensor] = OrderedDict()
        self._lock = Lock()
        self.size = 0  # bytes

    def get(self, key: tuple) -> Tensor | None:
        with self._lock:
            if key in self._maps:
                self._maps.move_to_end(key)
            return self._maps.get(key)

    def put(self, key: tuple, made: Tensor, room: float) -> None:
        with self._lock:
            if key not in self._maps and made.nbytes <= room:
                self._maps[key] = made
                self.size += made.nbytes
            while self.size > room:
                self.size -= self._maps.popitem(last=False)[1].nbytes

    def __len__(self) -> int:
        return len(self._maps)


memory = Memory()


def room() -> float:
    """Bytes of maps that are remembered: WHICHLOSS_DISTANCES in GB, 0 for none."""
    said = os.environ.get("WHICHLOSS_DISTANCES")
    try:
        size = ROOM if not said else float(said)
    except ValueError:
        size = -1.0
    if not 0 <= size < float("inf"):
        raise UserError(f"WHICHLOSS_DISTANCES is {said!r}; it must be a number of GB, such as 2 or 0.5, or 0 for none")
    return size * 1e9


def _remembered(objects: Tensor, present: Tensor, spacing: Sequence[float], dtype: torch.dtype) -> Tensor:
    space = room()
    if not space:
        return _signed(objects, present, spacing, dtype)
    key = (_digest(objects, present), objects.shape, tuple(spacing), dtype)
    found = memory.get(key)
    if found is None:
        found = _signed(objects, present, spacing, dtype)
        memory.put(key, found, space)
    return found


def _digest(objects: Tensor, present: Tensor) -> bytes:
    digest = blake2b(digest_size=16)
    for mask in (objects, present):
        held = mask.contiguous()
        digest.update((c_char * held.numel()).from_address(held.data_ptr()) if held.numel() else b"")
    return digest.digest()


def steps(spacing: Sequence[float] | None, space: Sequence[int]) -> list[float]:
    """The step along each axis of a space (*S), 1 where nothing is said. Raises UserError where they do not fit."""
    if spacing is not None and len(spacing) != len(space):
        raise UserError(
            f"spacing={tuple(spacing)} has {len(spacing)} numbers, and an image {tuple(space)} has {len(space)} axes:"
            " give the step along each, (y, x) or (z, y, x)"
        )
    return list(spacing or [1.0] * len(space))
