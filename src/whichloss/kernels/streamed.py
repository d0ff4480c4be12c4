"""The region and the log-probability lift as one streamed operation, and its derivative: opaque to compilers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from whichloss.core import UserError

from .library import TILE, Job, Strides, in_huge_pages, run, threads_of

BLOCKS = 32  # of a batch, whatever the number of threads: so results do not depend on it
KINDS = {torch.float32: "f32", torch.float64: "f64", torch.bfloat16: "bf16", torch.float16: "f16"}
STORED = {torch.uint8: 1, torch.bool: 1, torch.int8: 2, torch.int16: 3, torch.int32: 4, torch.int64: 5}


@torch.library.custom_op("whichloss::streamed", mutates_args=(), device_types="cpu")
def streamed(
    logits: Tensor, target: Tensor, weight: Tensor | None, ignored: int | None, softmax: bool, region: bool, kept: bool
) -> tuple[Tensor, Tensor]:
    """Sums (N, 4, C) of soft TP, FP, FN and elements; and the log-probability of the truth, (N, 1, *S).

    logits (N, C, *S) in any layout; target (N, 1, *S) of indices, or (N, C, *S); weight (N, 1 or C, *S), in the type of
    the sums: float32, or float64 of such logits. What is not asked for is empty.
    """
    log_p = _room_for_log_p(logits, kept)
    job = _job(logits, target, weight, ignored, softmax, region, kept, log_p=log_p)
    sums = torch.zeros(job.blocks, 4, job.classes, dtype=torch.float64)
    job.sums = sums.data_ptr()
    _run("lift_forward", logits, job)
    if job.bad:
        raise UserError(_out_of_range(target, ignored, job.classes))
    if not region:
        return logits.new_empty(0, dtype=_real(logits)), log_p
    sums = sums.view(job.images, -1, 4, job.classes).sum(1)
    if weight is None or weight.shape[1] == 1:
        if softmax and target.shape[1] == 1:  # counted once for all classes
            sums[:, 3] = sums[:, 3, :1]
    return sums.to(_real(logits)), log_p


@streamed.register_fake
def _(logits, target, weight, ignored, softmax, region, kept):
    sums = (logits.shape[0], 4, logits.shape[1]) if region else (0,)
    return logits.new_empty(sums, dtype=_real(logits)), _room_for_log_p(logits, kept)


@torch.library.custom_op("whichloss::streamed_backward", mutates_args=(), device_types="cpu")
def streamed_backward(
    logits: Tensor, target: Tensor, weight: Tensor | None, ignored: int | None, softmax: bool, region: bool, kept: bool,
    log_p: Tensor, of_sums: Tensor, of_log_p: Tensor,
) -> Tensor:  # fmt: skip
    """The gradient at the logits, from that of the sums and of each log-probability."""
    gradient = in_huge_pages(torch.empty_like(logits))
    job = _job(
        logits, target, weight, ignored, softmax, region, kept, log_p=log_p, upstream=of_log_p, gradient=gradient
    )
    if region:
        of_sums = of_sums[:, :3].to(_real(logits)).contiguous()
        job.of_sums = of_sums.data_ptr()
    _run("lift_backward", logits, job)
    return gradient


@streamed_backward.register_fake
def _(logits, target, weight, ignored, softmax, region, kept, log_p, of_sums, of_log_p):
    return torch.empty_like(logits)


def _keep(ctx, inputs, output) -> None:
    logits, target, weight, *ctx.asked = inputs
    ctx.save_for_backward(logits, target, weight, output[1])


def _derive(ctx, of_sums, of_log_p):
    logits, target, weight, log_p = ctx.saved_tensors
    gradient = streamed_backward(logits, target, weight, *ctx.asked, log_p, of_sums, of_log_p)
    return gradient, None, None, None, None, None, None


def _refuse(ctx, gradient):
    raise UserError(
        "a second derivative was asked of a fused lift, which has none; compute the loss within:  with"
        " whichloss.plain():"
    )


streamed.register_autograd(_derive, setup_context=_keep)
streamed_backward.register_autograd(_refuse)


# what the kernel is told


def _job(
    logits: Tensor, target: Tensor, weight: Tensor | None, ignored: int | None, softmax: bool, region: bool, kept: bool,
    **more: Tensor,
) -> Job:  # fmt: skip
    given = {"logits": logits, "target": target, "weight": weight}
    given |= {name: one for name, one in more.items() if kept or name == "gradient"}
    tensors = {name: one for name, one in given.items() if one is not None}
    shape, strides = _rows(logits.shape[2:], [one.stride()[2:] for one in tensors.values()])
    between, rows, row = shape[1], shape[0] * shape[1], shape[2]
    job = Job(images=logits.shape[0], classes=logits.shape[1], rows=rows, row=row, between=between)
    voxels = rows * row
    per_image = max(1, min(-(-BLOCKS // max(1, job.images)), -(-voxels // TILE)))
    job.span = -(-voxels // per_image // TILE) * TILE or TILE
    job.per_image = max(1, -(-voxels // job.span))
    job.blocks = job.images * job.per_image if voxels else 0
    job.softmax, job.region, job.kept = softmax, region, kept
    job.indexed = 0 if target.is_floating_point() else STORED[target.dtype]
    job.ignoring, job.ignored = ignored is not None, ignored or 0
    for (name, one), along in zip(tensors.items(), strides, strict=True):
        by_class = one.stride(1) if one.shape[1] > 1 else 0
        setattr(job, f"{name}_at", Strides(one.stride(0) if one.shape[0] > 1 else 0, by_class, *along))
        setattr(job, name, one.data_ptr())
    return job


def _run(function: str, logits: Tensor, job: Job) -> None:
    simple = job.softmax and job.indexed and not (job.weight and job.weight_at[1])
    room = torch.empty(threads_of(job) * job.classes * TILE * (1 if simple else 4), dtype=_real(logits))
    job.room = room.data_ptr()
    run(f"{function}_{KINDS[logits.dtype]}", job)


def _rows(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """The axes of space as three, by joining those that follow on each other in every tensor."""
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


def _real(logits: Tensor) -> torch.dtype:
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def _room_for_log_p(logits: Tensor, kept: bool) -> Tensor:
    shape = (logits.shape[0], 1, *logits.shape[2:]) if kept else (0,)
    return logits.new_empty(shape, dtype=_real(logits))


def _out_of_range(target: Tensor, ignored: int | None, classes: int) -> str:
    known = target if ignored is None else target[target != ignored]
    return (
        f"the target holds indices from {int(known.min())} to {int(known.max())}, and the logits have {classes}"
        f" classes, 0 to {classes - 1}; a label to be left out is named by ignore_index"
    )
