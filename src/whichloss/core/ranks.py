"""Sums over the processes of a data-parallel training."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_whole = False  # whether each process has been given the batch of all of them


class _SumOverRanks(torch.autograd.Function):
    """Adds a tensor up across processes, forwards and backwards.

    Data-parallel training averages the gradients of the ranks. Every rank holds the same loss of the same sums, so
    each must hand back the gradient once for every rank: the backward pass adds up too.
    """

    @staticmethod
    def forward(ctx: Any, sums: Tensor) -> Tensor:
        total = sums.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def over_ranks(sums: Tensor) -> Tensor:
    """The sums of the batch of all processes; the sums themselves outside data-parallel training."""
    if _whole or not dist.is_available() or not dist.is_initialized():
        return sums
    return _SumOverRanks.apply(sums)  # type: ignore[no-any-return]


@contextmanager
def whole_batch() -> Iterator[None]:
    """Within this context each process is given the logits of all of them, so that there is nothing to add up."""
    global _whole
    before, _whole = _whole, True
    try:
        yield
    finally:
        _whole = before
