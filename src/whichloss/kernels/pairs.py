"""Embedding losses some cases at a time, each compared with all: memory grows with the cases, not with their pairs."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from whichloss.core import EmbeddingLoss, Terms, mean
from whichloss.core.lifts.points import ALL, PointLift
from whichloss.core.question import Batch, Points
from whichloss.core.terms import average

CELLS = 1 << 18  # comparisons of a block, which stay in cache
ELSEWHERE = 1 << 24  # of a block on a GPU, all of which it is to keep busy
LEAST = 128  # cases of a block: each block adds to the gradient of all
MOST = 1 << 36  # comparisons; of more a step takes hours, and the plain formula says at once that they do not fit


def averaged(batch: Batch, loss: EmbeddingLoss) -> Tensor | None:
    """The weighted mean of an embedding loss; None where the plain formula is as good, or has to do it."""
    lift = loss.lifts[0]
    if not isinstance(lift, PointLift) or not _suits(batch):
        return None
    cells, cases = CELLS if batch.output.device.type == "cpu" else ELSEWHERE, batch.target.numel()
    each = lift.comparisons(batch.target)
    if not 2 * cells < cases * each <= MOST:
        return None
    rows = max(1, max(cells, LEAST * cases) // each)
    points = lift.points(batch)
    return ByRows.apply(points.embeddings, points.labels, points.weight, loss, rows)  # type: ignore[return-value]


def _suits(batch: Batch) -> bool:
    tensors = [one for one in (batch.output, batch.target, batch.weight) if one is not None]
    return (
        not torch.compiler.is_compiling()
        and all(type(one) in (Tensor, torch.nn.Parameter) and one.layout == torch.strided for one in tensors)
        and not any(one.requires_grad for one in tensors[1:])
        and not transformed(batch.output)
    )


def transformed(x: Tensor) -> bool:
    """Whether torch.func or forward derivatives are at work, which see through plain formulas alone."""
    return torch._C._are_functorch_transforms_active() or unpack_dual(x).tangent is not None


class ByRows(torch.autograd.Function):
    """The mean over blocks of cases. One number has one gradient: it is made beside it, so that no block is seen twice.

    The formula has to be one of each case's own comparisons.
    """

    @staticmethod
    def forward(ctx: Any, embeddings: Tensor, labels: Tensor, weight: Tensor, loss: EmbeddingLoss, rows: int) -> Tensor:
        learns = ctx.needs_input_grad[0]
        every = Terms(*weight.new_empty(2, len(weight)))  # a list of small tensors would leave holes among large ones
        slope = torch.zeros_like(embeddings) if learns else None
        for at in range(0, len(labels), rows):
            with torch.set_grad_enabled(learns):
                points = Points(embeddings.detach().requires_grad_(learns), labels, weight)
                value, say = _terms(loss, points, slice(at, at + rows))
                total = (torch.where(say > 0, value, 0.0) * say).sum()
            if slope is not None and total.requires_grad:
                with torch.autocast(embeddings.device.type, enabled=False):  # a backward pass is outside of it
                    slope += torch.autograd.grad(total, points.embeddings)[0]
            every.value[at : at + rows], every.weight[at : at + rows] = value.detach(), say.detach()
        if slope is not None:
            say = every.weight.sum()
            ctx.save_for_backward(embeddings, labels, weight, slope / torch.where(say > 0, say, 1.0))
            ctx.loss = loss
        return mean(every)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        embeddings, labels, weight, slope = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative will be asked for: the plain formula has one, or says so
            plain = mean(_terms(ctx.loss, Points(embeddings, labels, weight), ALL))
            (slope,) = torch.autograd.grad(plain, embeddings, create_graph=True)
        return slope * upstream, None, None, None, None


def _terms(loss: EmbeddingLoss, cases: Points, rows: slice) -> Terms:
    """Of some of the cases."""
    lift = loss.lifts[0]
    assert isinstance(lift, PointLift)
    seen, share = lift.compare(cases, rows)
    return average(loss.formula(*seen), share)
