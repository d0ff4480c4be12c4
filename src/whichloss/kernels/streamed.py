"""The region and the log-probability lift as one streamed operation, and its derivative: opaque to compilers."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from whichloss.core import UserError
from whichloss.core.question import out_of_range
from whichloss.core.terms import weight_sum

from .library import ROWS, TILE, Job, Strides, in_huge_pages, run, threads_of

BLOCKS = 32  # of a batch, whatever the number of threads: so results do not depend on it
KINDS = {torch.float32: 0, torch.float64: 0, torch.bfloat16: 1, torch.float16: 2}  # as in lift.c, logits_as
STORED = {torch.uint8: 1, torch.bool: 1, torch.int8: 2, torch.int16: 3, torch.int32: 4, torch.int64: 5}
LIKELIHOOD = ("none", "sum", "each")
BENDS = {  # what p counts as in TP, and 1 - p or p in FN and FP: a p + b p^2
    "none": ((0.0, 0.0), (0.0, 0.0)),
    "linear": ((1.0, 0.0), (1.0, 0.0)),
    "squared": ((2.0, -1.0), (0.0, 1.0)),  # RegionSums(squared=True): p (2 - p) and squares
    "power": ((1.0, 0.0), (0.0, 1.0)),  # PowerSums(exponent=2): p and squares
}


class Streams(NamedTuple):
    """What one pass gives: the six sums, each (N, C), see `_forward` (None: not asked for); and what is made of them.

    each: the log-probability of the truth, (N, 1, *S), where it was asked for. cost: one number, what an element costs
    on average under -w y log p, or its sigmoid form; None where no likelihoods were asked for. weight: of all elements.
    """

    tp: Tensor | None
    fp: Tensor | None
    fn: Tensor | None
    elements: Tensor
    said: Tensor
    other: Tensor
    each: Tensor | None
    cost: Tensor | None
    weight: Tensor | float


def stream(
    logits: Tensor, target: Tensor, weight: Tensor | None, ignored: int | None, softmax: bool, region: str,
    likelihood: str, focus: float,
) -> Streams:  # fmt: skip
    """What `_forward` makes, by the shortest way."""
    asked = ignored, softmax, region, likelihood, focus
    if not torch.compiler.is_compiling() and logits.device.type == "cpu":
        return Streams(*Streamed.apply(logits, target, weight, asked))  # type: ignore[arg-type]
    sums, each = streamed(logits, target, weight, *asked)
    tp, fp, fn, elements, said, other = sums.unbind(1)
    elements, other = elements.detach(), other.detach() if softmax else other
    weighs = weight_sum(other if softmax else elements)
    cost = None if likelihood == "none" else -(said.sum() if softmax else said.sum() + other.sum()) / weighs
    return Streams(tp, fp, fn, elements, said, other, each, cost, weighs)


# as an operation that compilers see


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
    totals, _ = _read(logits, target, weight, (ignored, softmax, region, likelihood, focus), each, None)
    return totals, each


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
    asked = ignored, softmax, region, likelihood, focus
    return _derive(logits, target, weight, asked, of_sums.unbind(1), of_each)


streamed_backward = torch.library.custom_op(
    "whichloss::streamed_backward", _backward, mutates_args=(), device_types="cpu"
)


@streamed_backward.register_fake
def _(logits, target, weight, ignored, softmax, region, likelihood, focus, of_sums, of_each):
    return torch.empty_like(logits)


def _keep(ctx, inputs, output) -> None:
    logits, target, weight, *ctx.asked = inputs
    ctx.save_for_backward(logits, target, weight)


def _differentiate(ctx, of_sums, of_each):
    gradient = streamed_backward(*ctx.saved_tensors, *ctx.asked, of_sums, of_each)
    return gradient, None, None, None, None, None, None, None


def _refuse(ctx, gradient):
    raise second_derivative()


streamed.register_autograd(_differentiate, setup_context=_keep)
streamed_backward.register_autograd(_refuse)


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


# on a CPU, step by step: a call of the operation costs more than small batches do


class Streamed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, target, weight, asked):
        _, softmax, region, likelihood, _ = ctx.asked = asked
        each = _room_for_each(logits, likelihood) if likelihood == "each" else None
        cost = None if likelihood == "none" else torch.empty((), dtype=real(logits))
        totals, ctx.divisor = _read(logits, target, weight, asked, each, cost)
        rows = totals.unbind(1)
        ctx.save_for_backward(logits, target, weight)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(rows[3], *(rows[5:] if softmax else ()))
        if region == "none":  # what nobody asked for costs a microsecond each
            rows = None, None, None, *rows[3:]
        return *rows, each, cost, ctx.divisor

    @staticmethod
    def backward(ctx, *upstream):
        logits, target, weight = ctx.saved_tensors
        _, softmax, _, likelihood, _ = asked = ctx.asked
        *of_rows, of_each, of_cost, _ = upstream
        if of_each is None and likelihood == "each":
            of_each = _room_for_each(logits, likelihood).zero_()
        if torch.is_grad_enabled():  # a second derivative may be asked for: the operation refuses it
            nothing = logits.new_zeros(len(logits), logits.shape[1], dtype=real(logits))
            of_rows = [nothing if one is None else one for one in of_rows]
            if of_cost is not None:
                for row in (4,) if softmax else (4, 5):
                    of_rows[row] = of_rows[row] - of_cost / ctx.divisor
            of_each = _room_for_each(logits, likelihood) if of_each is None else of_each
            gradient = streamed_backward(logits, target, weight, *asked, torch.stack(of_rows, 1), of_each)
        else:
            gradient = _derive(logits, target, weight, asked, of_rows, of_each, of_cost, ctx.divisor)
        return gradient, None, None, None


# what the kernel is told

Asked = tuple[int | None, bool, str, str, float]  # the index ignored, softmax, region, likelihood, focus


def _read(
    logits: Tensor, target: Tensor, weight: Tensor | None, asked: Asked, each: Tensor | None, cost: Tensor | None
) -> tuple[Tensor, float]:
    """Sums (N, 6, C), and what the cost was divided by. Fills `each` and `cost`."""
    ignored, _, _, likelihood, _ = asked
    job = _job(asked, logits=logits, target=target, weight=weight, each=each if likelihood == "each" else None)
    sums = torch.empty(job.blocks * ROWS * job.classes, dtype=torch.float64)
    totals = torch.empty((job.images, ROWS, job.classes), dtype=real(logits))
    job.sums, job.totals, job.cost = sums.data_ptr(), totals.data_ptr(), None if cost is None else cost.data_ptr()
    _run("forward", logits, job)
    if job.bad:
        raise out_of_range(target, ignored, job.classes)
    run(f"lift_gather_{_kind(logits)}", job, 1)
    return totals, job.divisor


def _derive(
    logits: Tensor, target: Tensor, weight: Tensor | None, asked: Asked, of_rows: Sequence[Tensor | None],
    of_each: Tensor | None, of_cost: Tensor | None = None, divisor: float = 1.0,
) -> Tensor:  # fmt: skip
    _, _, _, likelihood, _ = asked
    of_each = of_each if likelihood == "each" else None
    assert of_each is None or of_each.shape[2:] == logits.shape[2:]  # the kernel reads wherever it is told to
    gradient = in_huge_pages(torch.empty_like(logits))
    job = _job(asked, logits=logits, target=target, weight=weight, gradient=gradient, upstream=of_each)
    of_sums = torch.empty((job.images, ROWS, job.classes), dtype=real(logits))
    job.of_sums = of_sums.data_ptr()
    for row, one in enumerate(of_rows):
        if one is not None:
            job.of_totals[row], job.of_totals_at[row][:] = one.data_ptr(), one.stride()
    if of_cost is not None:
        job.of_cost, job.divisor = of_cost.data_ptr(), divisor
    run(f"lift_collect_{_kind(logits)}", job, 1)
    _run("backward", logits, job)
    return gradient


def _run(way: str, logits: Tensor, job: Job) -> None:
    shared = job.indexed and not (job.weight and job.weight_at[1])
    planes, threads = 4 if job.softmax and not shared else 1, threads_of(job)
    room = torch.empty(threads * job.classes * TILE * planes, dtype=real(logits))
    job.room = room.data_ptr()
    run(f"lift_{way}_{_kind(logits)}", job, threads)


def _kind(logits: Tensor) -> str:
    return "f64" if logits.dtype == torch.float64 else "f32"


def real(logits: Tensor) -> torch.dtype:
    """The type that logits are computed with."""
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def _room_for_each(logits: Tensor, likelihood: str) -> Tensor:
    shape = (logits.shape[0], 1, *logits.shape[2:]) if likelihood == "each" else (0,)
    return logits.new_empty(shape, dtype=real(logits))


class Layout(NamedTuple):
    name: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype


def _job(asked: Asked, **given: Tensor | None) -> Job:
    tensors = {name: one for name, one in given.items() if one is not None}
    layouts = tuple([Layout(name, one.shape, one.stride(), one.dtype) for name, one in tensors.items()])
    job = Job.from_buffer_copy(_pattern(layouts, asked))
    for name, one in tensors.items():
        setattr(job, name, one.data_ptr())
    return job


@lru_cache(1024)  # a step asks as the step before
def _pattern(layouts: tuple[Layout, ...], asked: Asked) -> Job:
    """A job without addresses. The first tensor is the logits, the second the target."""
    ignored, softmax, region, likelihood, focus = asked
    (images, classes, *space), target = layouts[0].shape, layouts[1]
    shape, strides = rows(space, [one.strides[2:] for one in layouts])
    job = Job(images=images, classes=classes, rows=shape[0] * shape[1], row=shape[2], between=shape[1])
    voxels = job.rows * job.row
    per_image = max(1, min(-(-BLOCKS // max(1, images)), -(-voxels // TILE)))
    job.span = -(-voxels // per_image // TILE) * TILE or TILE
    job.per_image = max(1, -(-voxels // job.span))
    job.blocks = images * job.per_image if voxels else 0
    job.softmax, job.region, job.likelihood = softmax, region != "none", LIKELIHOOD.index(likelihood)
    (job.hit[0], job.hit[1]), (job.error[0], job.error[1]) = BENDS[region]
    job.focus = 0.0 if softmax else focus
    job.indexed = target.shape[1] == 1 and softmax
    job.logits_as, job.target_as = KINDS[layouts[0].dtype], STORED.get(target.dtype, 0)
    job.ignoring, job.ignored = ignored is not None, ignored or 0
    for one, along in zip(layouts, strides, strict=True):
        if one.name == "weight":
            job.weight_as = STORED.get(one.dtype, 0)
        by_class = one.strides[1] if one.shape[1] > 1 else 0
        setattr(job, f"{one.name}_at", Strides(one.strides[0] if one.shape[0] > 1 else 0, by_class, *along))
    return job


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
