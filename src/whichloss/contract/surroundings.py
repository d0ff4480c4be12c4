"""Promises about what surrounds a loss: memory, autocast, the state of torch. None of it is its business."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from whichloss.core import Loss

from .problems import Problem, problems
from .promise import close, differentiate, hold, promise, trains


@promise
def does_not_care_how_its_inputs_lie_in_memory(loss: Loss) -> None:
    me = does_not_care_how_its_inputs_lie_in_memory
    for problem in problems(loss, shapes=((2, 3, 4, 3),)):
        expected, slope = differentiate(problem)
        for lay in (_channels_last, _strided, _transposed):
            value, gradient = _after(lay, replace(problem, target=lay(problem.target)))
            same = close(value, expected) and close(gradient, slope)
            hold(same, me, f"{value} is {expected} where it lies {lay.__name__.strip('_')}, on {problem}")
        one, other = (_after(lay, problem) for lay in (_repeated, lambda x: _repeated(x).contiguous()))
        same = close(one[0], other[0]) and close(one[1], other[1])
        hold(same, me, f"{one[0]} is {other[0]} where it lies repeated, on {problem}")


@promise
def is_not_cast_down_by_autocast(loss: Loss) -> None:
    """Under autocast the network works in half precision; a loss of float32 logits must not."""
    for problem in problems(loss, shapes=((2, 3, 4, 3),)):
        single = replace(problem, logits=problem.logits.float())
        expected, slope = differentiate(single)
        leaf = single.logits.clone().requires_grad_(trains(loss))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = single.loss(leaf, single.target)
        gradient = torch.autograd.grad(value, leaf)[0] if trains(loss) else torch.zeros_like(leaf)  # outside, as usual
        same = close(value, expected, 1e-5) and close(gradient, slope, 1e-5)
        hold(same, is_not_cast_down_by_autocast, f"{value.item()} under autocast, {expected} without, on {problem}")


@promise
def gives_the_same_bits_whatever_the_state_of_torch(loss: Loss) -> None:
    me = gives_the_same_bits_whatever_the_state_of_torch
    for problem in problems(loss, shapes=((2, 3, 4, 3),)):
        single = replace(problem, logits=problem.logits.float())
        expected, slope = differentiate(single)
        for word, state in (
            ("a second time", nullcontext()),
            ("under another seed", _seed(1)),
            ("where float64 is the default", _double()),
        ):
            with state:
                value, gradient = differentiate(single)
            same = value.dtype == expected.dtype and torch.equal(value, expected) and torch.equal(gradient, slope)
            hold(same, me, f"{value} {word}, {expected} before, on {problem}")
        with torch.no_grad():
            value = problem.loss(single.logits, single.target)
        hold(torch.equal(value, expected), me, f"{value} without a gradient, {expected} with it, on {problem}")


def _after(lay: Callable[[Tensor], Tensor], problem: Problem) -> tuple[Tensor, Tensor]:
    """Value and gradient at logits that lie otherwise, and are no leaf."""
    if not trains(problem.loss):
        return problem.loss(lay(problem.logits), problem.target), torch.zeros_like(problem.logits)
    leaf = problem.leaf()
    value = problem.loss(lay(leaf), problem.target)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


# ways to lie in memory; all but the last with the same numbers


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def _strided(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, -1)[..., ::2]


def _transposed(x: Tensor) -> Tensor:
    return x.transpose(0, -1).contiguous().transpose(0, -1)


def _repeated(x: Tensor) -> Tensor:
    return x[:1].expand_as(x)


# states of torch


@contextmanager
def _seed(number: int) -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(number)
        yield


@contextmanager
def _double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
