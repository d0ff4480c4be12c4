"""Batches of every form that a lift may meet, and what a loss makes of them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from whichloss import plain
from whichloss.core import Loss

SHAPES = [(1, 2, 1), (2, 3, 7, 9), (2, 14, 17, 31), (2, 5, 4, 6, 11), (1, 33, 300)]
LAYOUTS = ["contiguous", "channels last", "every second", "transposed"]
KINDS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


@dataclass(frozen=True)
class Problem:
    logits: Tensor
    target: Tensor
    weight: Tensor | None = None
    ignore_index: int | None = None


def in_layout(x: Tensor, layout: str) -> Tensor:
    """The same numbers, lying otherwise in memory."""
    if layout == "channels last":
        return x.movedim(1, -1).contiguous().movedim(-1, 1)
    if layout == "every second":
        wide = x.new_full((*x.shape[:-1], 2 * x.shape[-1]), 3.0)
        wide[..., ::2] = x
        return wide[..., ::2]
    return x.transpose(2, -1).contiguous().transpose(2, -1) if layout == "transposed" else x


def problems(shape: tuple[int, ...], kind: torch.dtype = torch.float32, seed: int = 0) -> dict[str, Problem]:
    """By what the target is and what has a say. Every fourth voxel has no say where anything may be left out."""
    draw = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(shape, generator=draw)).to(kind)
    truth = torch.randint(shape[1], (shape[0], *shape[2:]), generator=draw)
    some = torch.rand(truth.shape, generator=draw) < 0.75
    each = torch.rand(shape, generator=draw)
    soft = torch.rand(shape, generator=draw).softmax(1)
    yes = (soft > 1 / shape[1]).float()
    return {
        "indices": Problem(logits, truth),
        "indices in bytes, weights": Problem(logits, truth.to(torch.uint8), each[:, 0] * some),
        "indices, a mask": Problem(logits, truth.int(), some),
        "indices, ignored": Problem(logits, torch.where(some, truth, 255), ignore_index=255),
        "indices, weights of classes": Problem(logits, truth, each * some.unsqueeze(1)),
        "indices, weights, ignored": Problem(logits, torch.where(some, truth, -1), each[:, 0], ignore_index=-1),
        "exclusive proportions": Problem(logits, soft, each[:, 0] * some),
        "exclusive proportions, ignored": Problem(logits, torch.where(some.unsqueeze(1), soft, -1.0), each, -1),
        "yes and no": Problem(logits, yes, each * (each > 0.3)),
        "yes and no, in bytes": Problem(logits, yes.to(torch.uint8), some),
        "yes and no, ignored": Problem(logits, torch.where(each > 0.3, yes, 2.0), ignore_index=2),
        "soft yes and no": Problem(logits, soft.to(torch.float64)),
    }


def asking(loss: Loss, name: str) -> Loss:
    """The loss that asks the question of a problem."""
    return loss.asking("exclusive" if name.startswith(("indices", "exclusive")) else "independent")


def value_and_gradient(loss: Loss, problem: Problem, **options: Any) -> tuple[Tensor, Tensor]:
    logits = problem.logits.detach().requires_grad_()
    value = loss(logits, problem.target, problem.weight, ignore_index=problem.ignore_index)
    return value.detach(), torch.autograd.grad(value, logits, **options)[0]


def exactly(loss: Loss, problem: Problem) -> tuple[Tensor, Tensor]:
    """By the plain formula in float64."""
    with plain():
        exact = Problem(problem.logits.double(), problem.target, problem.weight, problem.ignore_index)
        return value_and_gradient(loss, exact)
