"""The streamed lifts on a GPU: how tensors are cut into tiles, and what the kernels in Triton are told."""

from functools import cache
from importlib.util import find_spec
from math import ceil
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .streamed import LIKELIHOOD, ROWS, real, rows

TILE = 2048  # numbers of a kind that a program holds: 16 for each of 128 threads
WHOLE = 128  # classes of a softmax that are held at once; more go by in blocks
BLOCK = 32  # classes
CHANNELS = 16  # of a sigmoid that are held at once: they need not know of each other
PROGRAMS = 4096  # of a batch, whatever the device: sums do not depend on how many of them it runs at once
CAPABLE = 8, 0  # of computing, at least, as Triton asks of a GPU
OLDEST = 3, 7  # of Triton, that was tested; others take no tuples of strides, or take them in their own way
FAR = 1 << 30  # numbers; beyond, an offset of 32 bits may overflow


@cache
def available() -> bool:
    """Whether Triton is here and builds for this GPU: that takes a C compiler and the headers of Python."""
    if find_spec("triton") is None or not torch.cuda.is_available() or torch.cuda.get_device_capability() < CAPABLE:
        return False
    try:
        from . import triton_kernels as kernels

        kernels.nothing[(1,)](torch.zeros(1, device="cuda"))  # pyright: ignore[reportIndexIssue]
    except Exception:  # of the compiler, the linker, the driver: whatever is missing, there is the plain formula
        return False
    return kernels.VERSION >= OLDEST


def forward(
    logits: Tensor, target: Tensor, weight: Tensor | None, ignored: int | None, softmax: bool, region: bool,
    likelihood: str,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Sums (N, 6, C), and the log-probability of the truth of each voxel, (N, 1, *S), or (0,): see `streamed`.

    logits (N, C, *S) of one to three axes, in any layout; target (N, 1, *S) of indices, or (N, C, *S); weight
    (N, 1, *S) or (N, C, *S). Each program adds up its own tiles, and these sums are added in their order.
    """
    from . import triton_kernels as kernels

    dtype, (images, classes, *space) = real(logits), logits.shape
    each = logits.new_empty((images, 1, *space) if likelihood == "each" else (0,), dtype=dtype)
    if not logits.numel():
        return logits.new_zeros(images, ROWS, classes, dtype=dtype), each
    plan = _plan(logits, target, weight, ignored, softmax, region, likelihood)
    sums = logits.new_zeros(images, plan.programs, ROWS, classes, dtype=dtype)
    kernel = kernels.forward_by_blocks if plan.by_blocks else kernels.forward
    with torch.cuda.device_of(logits):
        kernel[plan.grid](*plan.told, sums, each, **plan.kind)
    return sums.sum(1, dtype=torch.float64).to(dtype), each


def backward(
    logits: Tensor, target: Tensor, weight: Tensor | None, ignored: int | None, softmax: bool, region: bool,
    likelihood: str, of_sums: Tensor, of_each: Tensor,
) -> Tensor:  # fmt: skip
    """The gradient at the logits, in their type and layout, from that of the sums and of each log-probability.

    of_sums (N, 6, C); of_each (N, 1, *S), in any layout, looked at where "each" was asked.
    """
    from . import triton_kernels as kernels

    gradient = torch.empty_like(logits)
    if not logits.numel():
        return gradient
    of_sums = of_sums.to(real(logits)).contiguous()
    passed = [of_each] if likelihood == "each" else []
    plan = _plan(logits, target, weight, ignored, softmax, region, likelihood, gradient, *passed)
    gradient_by, *of_each_by = plan.more
    kernel = kernels.backward_by_blocks if plan.by_blocks else kernels.backward
    with torch.cuda.device_of(logits):
        kernel[plan.grid](*plan.told, of_sums, gradient, gradient_by, of_each, *of_each_by or [None], **plan.kind)
    return gradient


class Plan(NamedTuple):
    """One launch: programs of each image; arguments and constants that the kernels share; strides of what is more."""

    programs: int
    by_blocks: bool
    grid: tuple[int, int]
    told: tuple[Any, ...]
    kind: dict[str, Any]
    more: list[tuple[int, ...]]


def _plan(
    logits: Tensor, target: Tensor, weight: Tensor | None, ignored: int | None, softmax: bool, region: bool,
    likelihood: str, *more: Tensor,
) -> Plan:  # fmt: skip
    images, classes, *space = logits.shape
    tensors = [logits, target, logits if weight is None else weight, *more]
    (outer, between, row), along = rows(space, [one.stride()[2:] for one in tensors])
    by = [
        (one.stride(0), one.stride(1) if one.shape[1] > 1 else 0, *steps)
        for one, steps in zip(tensors, along, strict=True)
    ]
    by_blocks = softmax and classes > WHOLE
    held = BLOCK if by_blocks else _power(classes) if softmax else min(_power(classes), CHANNELS)
    span = TILE * 4 // real(logits).itemsize // held
    voxels = outer * between * row
    tiles = ceil(voxels / span)
    programs = tiles if by_blocks else min(tiles, max(1, PROGRAMS // images))
    kind = {
        "CLASSES": classes, "SOFTMAX": softmax, "INDEXED": not target.is_floating_point(),
        "REGION": region, "LIKELIHOOD": LIKELIHOOD.index(likelihood), "PER_CLASS": weight is not None and by[2][1] > 0,
        "AXES": 3 if outer > 1 else 2 if between > 1 else 1, "WIDE": any(_reach(one) >= FAR for one in tensors),
        "C": held, "V": span,
    }  # fmt: skip
    grid = images * programs, 1 if by_blocks else ceil(classes / held)
    told = logits, target, weight, ignored, tuple(by[:3]), (voxels, between, row), tiles, programs
    return Plan(programs, by_blocks, grid, told, kind, by[3:])


def _power(classes: int) -> int:
    """The next power of two."""
    return 1 << (classes - 1).bit_length()


def _reach(x: Tensor) -> int:
    """How far the last number of an image lies behind the first."""
    return sum((size - 1) * stride for size, stride in zip(x.shape[1:], x.stride()[1:], strict=True))
