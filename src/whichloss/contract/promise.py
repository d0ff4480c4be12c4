"""What a promise is: a function of a loss that returns, or raises Broken.

Run by the tests over the registry, so that a loss is held to them by existing, and on anyone's loss by hand.
A promise names itself by its sentence, and says at which input it broke.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from whichloss.core import Loss

from .problems import Problem

Promise = Callable[[Loss], None]
PROMISES: list[Promise] = []


Status = Literal["kept", "broken", "remark", "not applicable"]

_held: ContextVar[int] = ContextVar("held", default=0)  # how often anything was held to anything


@dataclass(frozen=True)
class Trial:
    """One call of a loss: what it was shown. `made` is code for inputs too large to be spelled."""

    loss: Loss  # as it was asked
    output: Tensor
    target: Tensor
    form: str
    made: str = ""


class Broken(AssertionError):
    """A promise that a loss does not keep, and the input at which it does not."""

    def __init__(self, why: str, at: Trial | None = None) -> None:
        super().__init__(why)
        self.at = at


class Inapplicable(Exception):
    """A promise that holds this loss to nothing, and why."""


@dataclass(frozen=True)
class Finding:
    """What became of one promise. A remark is a property that its user should know, and no fault."""

    promise: str
    status: Status
    why: str = ""
    at: Trial | None = None

    @property
    def sentence(self) -> str:
        """The name of a promise is its sentence."""
        return self.promise.replace("_", " ")


def promise(function: Promise) -> Promise:
    PROMISES.append(function)
    return function


def check(loss: Loss) -> list[Broken]:
    """All promises that the loss breaks."""
    return [Broken(f"{one.promise}: {one.why}") for one in examine(loss) if one.status == "broken"]


def examine(loss: Loss) -> list[Finding]:
    """What becomes of each promise; one that held the loss to nothing does not apply to it."""
    return [_examine(one, loss) for one in PROMISES]


def _examine(one: Promise, loss: Loss) -> Finding:
    before, name = _held.get(), one.__name__
    try:
        one(loss)
    except Broken as error:
        return Finding(name, "broken", str(error).removeprefix(f"{name}: "), _at(error))
    except Exception as error:  # a loss that crashes has not kept its promise either
        return Finding(name, "broken", f"{type(error).__name__}: {error}", _at(error))
    return Finding(name, "kept" if _held.get() > before else "not applicable")


def _at(error: Exception) -> Trial | None:
    """The problem that was at hand, which stands among the variables of the promise."""
    found, step = None, error.__traceback__
    while step is not None:
        problem = step.tb_frame.f_locals.get("problem")
        found, step = problem if isinstance(problem, Problem) else found, step.tb_next
    return None if found is None else Trial(found.loss, found.logits, found.target, found.form)


# for writing promises


def hold(condition: bool | Tensor, function: Promise, why: object) -> None:
    _held.set(_held.get() + 1)
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
