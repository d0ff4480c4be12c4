"""The region and the log-probability lift as one streamed operation, and its derivative: opaque to compilers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from whichloss.core import UserError
from whichloss.core.question import out_of_range

from .library import TILE, Job, Strides, in_huge_pages, run, threads_of

BLOCKS = 32  # of a batch, whatever the number of threads: so results do not depend on it
ROWS = 6  # of sums, as in lift.c
KINDS = {torch.float32: 0, torch.float64: 0, torch.bfloat16: 1, torch.float16: 2}  # as in lift.c, logits_as
STORED = {torch.uint8: 1, torch.bool: 1, torch.int8: 2, torch.int16: 3, torch.int32: 4, torch.int64: 5}
LIKELIHOOD = ("none", "sum", "each")
BENDS = {  # what p counts as in TP, and 1 - p or p in FN and FP: a p + b p^2
    "none": ((0.0, 0.0), (0.0, 0.0)),
    "linear": ((1.0, 0.0), (1.0, 0.0)),
    "squared": ((2.0, -1.0), (0.0, 1.0)),  # RegionSums(squared=True): p (2 - p) and squares
    "power": ((1.0, 0.0), (0.0, 1.0)),  # PowerSums(exponent=2): p and squares
}


def _forward(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignored: int | None,
    softmax: bool,
    region: str,
    likelihood: str,
    focus: float,
) -> tuple[Tensor, Tensor]:
    """Six sums of each image and class, (N, 6, C); and the log-probability of the truth, (N, 1, *S), for "each".

    logits (N, C, *S) in any layout; target (N, C, *S) of proportions, or under softmax (N, 1, *S) of indices; weight
    (N, 1 or C, *S). Target and weight are integers, or in the type of the sums: float32, or float64 of such logits.

    Soft TP, FP and FN, sums of w y p, w (1 - y) p, w y (1 - p), with p and errors bent as `region` says; of w; and, if
    likelihood is "sum" or "each", under sigmoid of w y (1 - p)^focus log p and w (1 - y) p^focus log(1 - p), under
    softmax of w y log p and w y, in class 0 for all classes.
    """
    each = _room_for_each(logits, likelihood)
    job = _job(logits, target, weight, ignored, softmax, region, likelihood, focus, each=each)
    sums = torch.zeros(job.blocks, ROWS, job.classes, dtype=torch.float64)
    job.sums = sums.data_ptr()
    _run("lift_forward", logits, job)
    if job.bad:
        raise out_of_range(target, ignored, job.classes)
    sums = sums.view(job.images, job.per_image if job.blocks else 0, ROWS, job.classes).sum(1)
    if softmax and target.shape[1] == 1 and (weight is None or weight.shape[1] == 1):
        sums[:, 3] = sums[:, 3, :1]  # counted once for all classes
    return sums.to(real(logits)), each


streamed = torch.library.custom_op("whichloss::streamed", _forward, mutates_args=(), device_types="cpu")


@streamed.register_fake
def _(logits, target, weight, ignored, softmax, region, likelihood, focus):
    sums = logits.new_empty((logits.shape[0], ROWS, logits.shape[1]), dtype=real(logits))
    return sums, _room_for_each(logits, likelihood)


def _backward(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignored: int | None,
    softmax: bool,
    region: str,
    likelihood: str,
    focus: float,
    of_sums: Tensor,
    of_each: Tensor,
) -> Tensor:
    """The gradient at the logits, from that of the sums and of each log-probability."""
    gradient = in_huge_pages(torch.empty_like(logits))
    more = {"upstream": of_each} if likelihood == "each" else {}
    assert not more or of_each.shape[2:] == logits.shape[2:]  # the kernel reads wherever it is told to
    job = _job(logits, target, weight, ignored, softmax, region, likelihood, focus, gradient=gradient, **more)
    of_sums = of_sums.contiguous()
    job.of_sums = of_sums.data_ptr()
    _run("lift_backward", logits, job)
    return gradient


streamed_backward = torch.library.custom_op(
    "whichloss::streamed_backward", _backward, mutates_args=(), device_types="cpu"
)


@streamed_backward.register_fake
def _(logits, target, weight, ignored, softmax, region, likelihood, focus, of_sums, of_each):
    return torch.empty_like(logits)


def _keep(ctx, inputs, output) -> None:
    logits, target, weight, *ctx.asked = inputs
    ctx.save_for_backward(logits, target, weight)


def _derive(ctx, of_sums, of_each):
    gradient = streamed_backward(*ctx.saved_tensors, *ctx.asked, of_sums, of_each)
    return gradient, None, None, None, None, None, None, None


def _refuse(ctx, gradient):
    raise second_derivative()


streamed.register_autograd(_derive, setup_context=_keep)
streamed_backward.register_autograd(_refuse)


class Streamed(torch.autograd.Function):
    """The same of a CPU, past the registry of operations and each row by itself: small batches take half the time."""

    @staticmethod
    def forward(ctx, *inputs):
        sums, each = _forward(*inputs)
        rows = sums.unbind(1)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(rows[3], *(rows[5:] if inputs[4] else ()))
        _keep(ctx, inputs, None)
        ctx.like = sums
        return *rows, each

    @staticmethod
    def backward(ctx, *upstream):
        of_sums = torch.zeros_like(ctx.like)
        for row, one in enumerate(upstream[:ROWS]):
            if one is not None:
                of_sums[:, row] = one
        of_each = upstream[ROWS]
        if of_each is None:
            *_, likelihood, _ = ctx.asked
            of_each = _room_for_each(ctx.saved_tensors[0], likelihood).zero_()
        # where a second derivative may be asked for, it is refused by the operation
        derive: Any = streamed_backward if torch.is_grad_enabled() else _backward
        return derive(*ctx.saved_tensors, *ctx.asked, of_sums, of_each), None, None, None, None, None, None, None


def stream(logits: Tensor, *others: Any) -> tuple[Tensor, ...]:
    """The six sums, (N, C) each, and the log-probability of the truth, by the shortest way."""
    if torch.compiler.is_compiling() or logits.device.type != "cpu":
        sums, each = streamed(logits, *others)
        return *sums.unbind(1), each
    return Streamed.apply(logits, *others)  # type: ignore[return-value]


@streamed.register_kernel("cuda")
def _(logits, target, weight, ignored, softmax, region, likelihood, focus):
    from .triton_lift import forward  # of what it knows: see `fuse`

    return forward(logits, target, weight, ignored, softmax, region != "none", likelihood)


@streamed_backward.register_kernel("cuda")
def _(logits, target, weight, ignored, softmax, region, likelihood, focus, of_sums, of_each):
    from .triton_lift import backward

    return backward(logits, target, weight, ignored, softmax, region != "none", likelihood, of_sums, of_each)


def second_derivative() -> UserError:
    return UserError(
        "a second derivative was asked of a fused lift, which has none; compute the loss within:  with"
        " whichloss.plain():"
    )


def real(logits: Tensor) -> torch.dtype:
    """The type that logits are computed with."""
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


# what the kernel is told


def _job(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignored: int | None,
    softmax: bool,
    region: str,
    likelihood: str,
    focus: float,
    **more: Tensor,
) -> Job:
    given = {"logits": logits, "target": target, "weight": weight, **more}
    tensors = {name: one for name, one in given.items() if one is not None and one.ndim > 1}
    shape, strides = rows(logits.shape[2:], [one.stride()[2:] for one in tensors.values()])
    job = Job(images=logits.shape[0], classes=logits.shape[1], rows=shape[0] * shape[1], row=shape[2], between=shape[1])
    voxels = job.rows * job.row
    per_image = max(1, min(-(-BLOCKS // max(1, job.images)), -(-voxels // TILE)))
    job.span = -(-voxels // per_image // TILE) * TILE or TILE
    job.per_image = max(1, -(-voxels // job.span))
    job.blocks = job.images * job.per_image if voxels else 0
    job.softmax, job.region, job.likelihood = softmax, region != "none", LIKELIHOOD.index(likelihood)
    (job.hit[0], job.hit[1]), (job.error[0], job.error[1]) = BENDS[region]
    job.focus = 0.0 if softmax else focus
    job.indexed = target.shape[1] == 1 and softmax
    job.logits_as, job.target_as = KINDS[logits.dtype], STORED.get(target.dtype, 0)
    job.weight_as = 0 if weight is None else STORED.get(weight.dtype, 0)
    job.ignoring, job.ignored = ignored is not None, ignored or 0
    for (name, one), along in zip(tensors.items(), strides, strict=True):
        by_class = one.stride(1) if one.shape[1] > 1 else 0
        setattr(job, f"{name}_at", Strides(one.stride(0) if one.shape[0] > 1 else 0, by_class, *along))
        setattr(job, name, one.data_ptr())
    return job


def _run(function: str, logits: Tensor, job: Job) -> None:
    shared = job.indexed and not (job.weight and job.weight_at[1])
    planes = 4 if job.softmax and not shared else 1
    room = torch.empty(threads_of(job) * job.classes * TILE * planes, dtype=real(logits))
    job.room = room.data_ptr()
    run(f"{function}_{'f64' if logits.dtype == torch.float64 else 'f32'}", job)


def rows(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """Axes of space as three, by joining those that follow on each other in every tensor: sizes, strides of each."""
    joined, along = [1], [[0] for _ in strides]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        steps = [one[axis] for one in strides]
        if all(have[-1] == step * size for have, step in zip(along, steps, strict=True)) and joined[-1] != 1:
            joined[-1] *= size
            for have, step in zip(along, steps, strict=True):
                have[-1] = step
        else:
            joined.append(size)
            for have, step in zip(along, steps, strict=True):
                have.append(step)
    joined, along = joined[1:] or [1], [have[1:] or [1] for have in along]
    missing = 3 - len(joined)
    assert missing >= 0
    return [1] * missing + joined, [[0] * missing + have for have in along]


def _room_for_each(logits: Tensor, likelihood: str) -> Tensor:
    shape = (logits.shape[0], 1, *logits.shape[2:]) if likelihood == "each" else (0,)
    return logits.new_empty(shape, dtype=real(logits))
