"""What a promise is: a function of a loss that returns, or raises Broken.

Run by the tests over the registry, so that a loss is held to them by existing, and on anyone's loss by hand.
A promise names itself by its sentence, and says at which input it broke.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from whichloss.core import Loss

from .problems import Problem

Promise = Callable[[Loss], None]
PROMISES: list[Promise] = []


class Broken(AssertionError):
    """A promise that a loss does not keep."""


def promise(function: Promise) -> Promise:
    PROMISES.append(function)
    return function


def check(loss: Loss) -> list[Broken]:
    """All promises that the loss breaks."""
    broken = []
    for one in PROMISES:
        try:
            one(loss)
        except Broken as error:
            broken.append(error)
        except Exception as error:  # a loss that crashes has not kept its promise either
            broken.append(Broken(f"{one.__name__}: {type(error).__name__}: {error}"))
    return broken


# for writing promises


def hold(condition: bool | Tensor, function: Promise, why: object) -> None:
    if not bool(condition):
        raise Broken(f"{function.__name__}: {why}")


def close(one: Tensor, other: Tensor, rtol: float = 1e-9) -> bool:
    return one.shape == other.shape and torch.allclose(
        one.double(), other.double(), rtol=rtol, atol=1e-12, equal_nan=True
    )


def differentiate(
    problem: Problem, weight: Tensor | None = None, logits: Tensor | None = None, ignore_index: int | None = None
) -> tuple[Tensor, Tensor]:
    """Value and gradient, at the logits of the problem or at others."""
    leaf = (problem.logits if logits is None else logits).clone()
    if not trains(problem.loss):
        return problem.loss(leaf, problem.target, weight, ignore_index=ignore_index), torch.zeros_like(leaf)
    leaf.requires_grad_()
    value = problem.loss(leaf, problem.target, weight, ignore_index=ignore_index)
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


def trains(loss: Loss) -> bool:
    """Whether anything can be learned from a loss, so that it has a gradient to promise."""
    return all(leaf.trains for leaf in loss.leaves())


def refused(loss: Loss, logits: Tensor, target: Tensor) -> bool:
    try:
        loss(logits, target)
    except ValueError:
        return True
    return False
