"""Promises about values and gradients: true derivatives, finite at extremes, half precision."""

import torch
from torch import Tensor

from whichloss.core import Loss

from .problems import Problem, one_hot, problems
from .promise import close, differentiate, hold, promise, refused, trains


@promise
def has_the_gradient_of_its_value(loss: Loss) -> None:
    tried = problems(loss)
    hold(bool(tried), has_the_gradient_of_its_value, "it accepts no problem at all")
    if not trains(loss):
        for problem in tried:
            refuses = refused(problem.loss, problem.leaf(), problem.target)
            hold(refuses, has_the_gradient_of_its_value, f"it is for evaluation only, and trains on {problem}")
        return
    for problem in tried:
        weight = torch.linspace(0.5, 2, problem.logits.numel(), dtype=torch.float64).reshape(problem.logits.shape)
        for w in (None, weight):
            with torch.random.fork_rng():  # gradcheck draws from the global generator
                torch.manual_seed(0)
                fine = torch.autograd.gradcheck(
                    lambda x, p=problem, w=w: p.loss(x, p.target, w),
                    problem.leaf(),
                    fast_mode=True,
                    raise_exception=False,
                )
            hold(fine, has_the_gradient_of_its_value, f"not on {problem}{'' if w is None else ' with weights'}")


@promise
def has_the_gradients_of_its_terms(loss: Loss) -> None:
    """However much is asked of each term: a wrapper or a sum sends back something else for every one of them."""
    me = has_the_gradients_of_its_terms
    if not trains(loss):
        return
    for problem in problems(loss, shapes=((2, 3, 3, 2),)):
        yes_or_no = "yes or no" in problem.form
        target = 0.1 + 0.7 * problem.target if yes_or_no else problem.target  # between yes and no, too
        weight = torch.linspace(0.5, 2, 12, dtype=torch.float64).reshape(2, 3, 2)

        def told(x: Tensor, p: Problem = problem, y: Tensor = target, w: Tensor = weight) -> Tensor:
            value, say = p.loss.terms(x, y, w)
            return torch.where(say > 0, value, 0.0) * say.detach()

        hold(told(problem.leaf()).requires_grad, me, f"its terms have no gradient at all, on {problem}")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            fine = torch.autograd.gradcheck(told, problem.leaf(), fast_mode=True, raise_exception=False)
        hold(fine, me, f"not on {problem}")
        leaf, factor = problem.leaf(), 3.7
        value = problem.loss(leaf, target, weight)
        (once,), (scaled,) = (torch.autograd.grad(f * value, leaf, retain_graph=True) for f in (1.0, factor))
        hold(close(factor * once, scaled), me, f"{factor} times the value has another gradient, on {problem}")


@promise
def gives_each_term_a_weight(loss: Loss) -> None:
    """The loss is the weighted mean of its terms; a term of one element has the weight of that element."""
    me = gives_each_term_a_weight
    for problem in problems(loss):
        uneven = torch.linspace(0.5, 2, problem.logits.numel(), dtype=torch.float64).reshape(problem.logits.shape)
        for given in (None, uneven):
            value, weight = problem.loss.terms(problem.logits, problem.target, given)
            fits = value.shape == weight.shape and bool((weight >= 0).all())
            hold(fits, me, f"value {tuple(value.shape)}, weight {tuple(weight.shape)} on {problem}")
            number = (value * weight).sum() / weight.sum()
            hold(close(number, problem.loss(problem.logits, problem.target, given)), me, problem)
    for problem in problems(loss, shapes=((2, 3, 6, 5),)):
        value, weight = problem.loss.terms(problem.logits, problem.target)
        if value.shape == problem.logits[:, 0].shape:
            twice = problem.loss.terms(problem.logits, problem.target, torch.full_like(value, 2))
            same = (
                close(value, twice.value) and close(torch.ones_like(value), weight) and close(2 * weight, twice.weight)
            )
            hold(
                same,
                me,
                f"an element of weight 2 has the value {twice.value[0, 0, 0]}, and {value[0, 0, 0]} without it",
            )


@promise
def stays_finite_at_extreme_logits(loss: Loss) -> None:
    me = stays_finite_at_extreme_logits
    for problem in problems(loss):
        if problem.form == "regression":
            continue
        right = answers(problem)
        for dtype in (torch.float32, torch.float64):
            for size in (0.0, 20.0, 100.0, 1e4):
                for sign, word in ((1, "right"), (-1, "wrong")):
                    logits = (sign * size * right).to(dtype)
                    value, gradient = differentiate(problem, logits=logits)
                    finite = bool(value.isfinite() and gradient.isfinite().all())
                    hold(finite, me, f"{value} when all are {word} by {size:g}, {dtype}, on {problem}")


@promise
def reads_half_precision_as_what_it_stands_for(loss: Loss) -> None:
    me = reads_half_precision_as_what_it_stands_for
    for problem in problems(loss, shapes=((2, 3, 6, 5),)):
        for dtype in (torch.float16, torch.bfloat16):
            half = problem.logits.to(dtype)
            value, whole = problem.loss(half, problem.target), problem.loss(half.float(), problem.target)
            hold(close(value, whole, 1e-5), me, f"{value} in {dtype}, {whole} in float32, on {problem}")
    if loss.reach == "pairs":
        return
    many = torch.full((1, 1, 512, 512), 2.2, dtype=torch.float16)  # sums beyond 65504
    value = loss(many, torch.ones_like(many)) if _takes(loss, many) else torch.zeros(())
    hold(value.isfinite(), me, f"{value} on 512 x 512 voxels in float16")


# helpers


def answers(problem: Problem) -> Tensor:
    """+1 where the target says yes and -1 where it says no, of the logits' shape."""
    target = problem.target
    if target.ndim < problem.logits.ndim:
        target = one_hot(target, problem.logits.shape[1])
    return torch.where(target > (0.5 if problem.logits.shape[1] == 1 else 0.34), 1.0, -1.0).double()


def _takes(loss: Loss, logits: Tensor) -> bool:
    return not refused(loss, logits, torch.ones_like(logits))
