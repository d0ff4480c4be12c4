"""Promises about what has a say: weights, masks, ignored elements."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from whichloss.core import Loss

from .problems import Problem, problems
from .promise import Promise, close, differentiate, hold, promise, trains


@promise
def takes_no_weight_for_a_weight_of_one(loss: Loss) -> None:
    for problem in problems(loss):
        ones = torch.ones_like(problem.logits[:, 0])
        for weight in (ones, torch.ones_like(problem.logits)):
            one, other = differentiate(problem), differentiate(problem, weight)
            hold(close(one[0], other[0]) and close(one[1], other[1]), takes_no_weight_for_a_weight_of_one, problem)


@promise
def sees_nothing_where_the_weight_is_zero(loss: Loss) -> None:
    """Zero weight equals cropping, and what stands there may even be NaN."""
    me = sees_nothing_where_the_weight_is_zero
    for problem in problems(loss, shapes=((2, 3, 8, 6), (2, 3, 6, 4, 3))):
        weight = torch.ones_like(problem.logits[:, 0])
        weight[:, 3:] = 0
        _check_crop(me, problem, weight, lambda x, axis: x.narrow(axis, 0, 3))


@promise
def sees_nothing_of_an_image_without_weight(loss: Loss) -> None:
    for problem in problems(loss, shapes=((3, 3, 6, 4), (4, 3))):
        weight = torch.ones_like(problem.logits[:, 0])
        weight[2:] = 0
        _check_crop(sees_nothing_of_an_image_without_weight, problem, weight, lambda x, axis: x[:2])


@promise
def gives_zero_with_a_graph_when_all_is_ignored(loss: Loss) -> None:
    me = gives_zero_with_a_graph_when_all_is_ignored
    for problem in problems(loss):
        value, gradient = differentiate(problem, torch.zeros_like(problem.logits[:, 0]))
        zero = float(value) == 0 and bool((gradient == 0).all())
        hold(zero, me, f"{value} when nothing has weight, on {problem}")
        if problem.form == "classes by index":
            logits = problem.leaf() if trains(loss) else problem.logits
            ignored = problem.loss(logits, torch.full_like(problem.target, 255), ignore_index=255)
            if not trains(loss):
                hold(float(ignored) == 0, me, f"{ignored} when every index is ignored, on {problem}")
                continue
            (slope,) = torch.autograd.grad(ignored, logits)
            fine = float(ignored.detach()) == 0 and bool((slope == 0).all())
            hold(fine, me, f"{ignored} when every index is ignored, on {problem}")


@promise
def ignores_an_index_as_it_does_zero_weight(loss: Loss) -> None:
    me = ignores_an_index_as_it_does_zero_weight
    for problem in problems(loss):
        if problem.form == "classes in proportions" or any("regression" in leaf.tasks for leaf in loss.leaves()):
            continue  # neither proportions nor quantities have an index
        gone = torch.rand(problem.target.shape, generator=torch.Generator().manual_seed(1)) < 0.4
        one, gradient = differentiate(problem, (~gone).double())
        marked = replace(problem, target=torch.where(gone, -100, problem.target))
        other, slope = differentiate(marked, ignore_index=-100)
        hold(close(one, other) and close(gradient, slope), me, f"{one} and {other} on {problem}")


def _check_crop(me: Promise, problem: Problem, weight: Tensor, crop: Callable[[Tensor, int], Tensor]) -> None:
    axis_of_logits, axis_of_target = 2, 2 if problem.target.ndim == problem.logits.ndim else 1
    cropped = Problem(
        problem.form, problem.loss, crop(problem.logits, axis_of_logits), crop(problem.target, axis_of_target)
    )
    value, gradient = differentiate(problem, weight)
    expected, slope = differentiate(cropped)
    hold(close(value, expected), me, f"{value} with zero weight, {expected} when cropped, on {problem}")
    inside = (weight > 0).unsqueeze(1).expand_as(gradient)
    same = close(gradient[inside], slope.flatten()) and bool((gradient[~inside] == 0).all())
    hold(same, me, f"the gradient on {problem}")
    hollow = torch.where((weight > 0).unsqueeze(1), problem.logits, torch.nan)
    value, gradient = differentiate(problem, weight, hollow)
    fine = close(value, expected) and bool(gradient.isfinite().all())
    hold(fine, me, f"{value} with NaN where the weight is zero, {expected} when cropped, on {problem}")
