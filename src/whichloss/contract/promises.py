"""What every loss promises, each promise a function that returns or raises Broken.

Run by the tests over the registry, so that a loss is held to them by existing, and on anyone's loss by hand.
A promise names itself by its sentence, and says at which input it broke.
"""

import pickle
from collections.abc import Callable
from dataclasses import fields

import torch
from torch import Tensor

from whichloss.core import (
    Counts,
    Foreign,
    LikelihoodLoss,
    Loss,
    MarginLoss,
    RegionLoss,
    RegressionLoss,
    ShapeError,
    Sum,
    WrapperLoss,
    parse,
    plain,
)

from .problems import Problem, asking, one_hot, problems

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


def _hold(condition: bool | Tensor, function: Promise, why: object) -> None:
    if not bool(condition):
        raise Broken(f"{function.__name__}: {why}")


def _close(one: Tensor, other: Tensor, rtol: float = 1e-9) -> bool:
    return one.shape == other.shape and torch.allclose(
        one.double(), other.double(), rtol=rtol, atol=1e-12, equal_nan=True
    )


def _gradient(problem: Problem, weight: Tensor | None = None, logits: Tensor | None = None) -> tuple[Tensor, Tensor]:
    leaf = (problem.logits if logits is None else logits).clone().requires_grad_()
    value = problem.loss(leaf, problem.target, weight)
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


# what the card says


@promise
def has_a_name_that_can_be_read_back(loss: Loss) -> None:
    me = has_a_name_that_can_be_read_back
    _hold(parse(repr(loss), imports=True) == loss, me, repr(loss))
    copy = pickle.loads(pickle.dumps(loss))
    _hold(copy == loss and hash(copy) == hash(loss) and repr(copy) == repr(loss), me, "pickled")


@promise
def states_its_formula_and_source(loss: Loss) -> None:
    me = states_its_formula_and_source
    if isinstance(loss, Sum | Foreign):  # made by somebody, not published
        return
    _hold("$" in (type(loss).__doc__ or ""), me, "the docstring has no formula between $ signs")
    _hold(bool(loss.card.source and loss.card.equation), me, "the card names no source and equation")


@promise
def has_the_golden_values_of_its_card(loss: Loss) -> None:
    me = has_the_golden_values_of_its_card
    if isinstance(loss, Sum | Foreign):
        return
    _hold(bool(loss.card.golden), me, "the card has no golden value")
    if not _at_defaults(loss):
        return
    for point, value in loss.card.golden.items():
        numbers = [torch.tensor([[one]], dtype=torch.float64) for one in point]
        found = loss.formula(Counts(*numbers, sum(numbers)) if isinstance(loss, RegionLoss) else numbers[0])  # type: ignore[attr-defined]
        _hold(_close(found, torch.full_like(found, value)), me, f"{float(found)} at {point}, and {value} is true")


@promise
def stays_in_its_range(loss: Loss) -> None:
    low, high = loss.range
    for problem in problems(loss):
        for scale in (0.1, 1.0, 30.0):
            value, weight = problem.loss.terms(scale * problem.logits, problem.target)
            scaled = value[weight > 0] / (_questions(problem) if _summed(problem.loss) else 1)
            inside = bool((scaled >= low - 1e-9).all() and (scaled <= high + 1e-9).all())
            _hold(inside, stays_in_its_range, f"{scaled.aminmax()} outside {loss.range} on {problem}")


@promise
def is_as_smooth_as_its_card_says(loss: Loss) -> None:
    if (curve := _curve(loss)) is not None:
        x, y = curve
        slope = (y.diff() / x.diff())[1:-1]
        jump = slope.diff().abs().max()
        _hold((jump < 1e-2) == loss.card.smooth, is_as_smooth_as_its_card_says, f"the slope jumps by {jump:.3g}")


@promise
def is_as_convex_as_its_card_says(loss: Loss) -> None:
    if (curve := _curve(loss)) is not None:
        x, y = curve
        bend = (y.diff() / x.diff()).diff().min()
        _hold((bend > -1e-7) == loss.card.convex, is_as_convex_as_its_card_says, f"the slope changes by {bend:.3g}")


@promise
def leaves_easy_cases_alone_if_its_card_says_so(loss: Loss) -> None:
    me = leaves_easy_cases_alone_if_its_card_says_so
    if not isinstance(loss, MarginLoss) or not _at_defaults(loss):
        return
    easy = loss.card.easy
    start = 6.0 if easy is None else easy
    margin = torch.linspace(start + 1e-9, start + 20, 100, dtype=torch.float64, requires_grad=True)
    value = loss.formula(margin)
    (slope,) = torch.autograd.grad(value.sum(), margin)
    alone = bool((value == 0).all() and (slope == 0).all())
    _hold(alone == (easy is not None), me, f"value {value[0]:.3g}, slope {slope[0]:.3g} at margin {start}")
    if easy is not None:
        before = loss.formula(torch.tensor(easy - 1e-3, dtype=torch.float64))
        _hold(before > 0, me, f"already zero at {easy - 1e-3}")


@promise
def keeps_the_identities_of_its_card(loss: Loss) -> None:
    me = keeps_the_identities_of_its_card
    for left, right in loss.card.equals:
        same, other = parse(left, imports=True), parse(right, imports=True)
        tried = 0
        for problem in problems(same):
            classes = {"classes in proportions": "exclusive", "yes or no for each channel": "independent"}
            twin = asking(other, classes[problem.form]) if problem.form in classes else other
            value, gradient = _gradient(problem)
            expected, slope = _gradient(Problem(problem.form, twin, problem.logits, problem.target))
            agree = _close(value, expected) and _close(gradient, slope)
            _hold(agree, me, f"{left} gives {value}, {right} gives {expected} on {problem}")
            tried += 1
        _hold(tried > 0, me, f"{left} accepts no problem")


# values and gradients


@promise
def has_the_gradient_of_its_value(loss: Loss) -> None:
    tried = problems(loss)
    _hold(bool(tried), has_the_gradient_of_its_value, "it accepts no problem at all")
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
            _hold(fine, has_the_gradient_of_its_value, f"not on {problem}{'' if w is None else ' with weights'}")


@promise
def gives_each_term_a_weight(loss: Loss) -> None:
    for problem in problems(loss):
        value, weight = problem.loss.terms(problem.logits, problem.target)
        fits = value.shape == weight.shape and bool((weight >= 0).all())
        _hold(fits, gives_each_term_a_weight, f"value {tuple(value.shape)}, weight {tuple(weight.shape)} on {problem}")
        number = (value * weight).sum() / weight.sum()
        _hold(_close(number, problem.loss(problem.logits, problem.target)), gives_each_term_a_weight, problem)


@promise
def stays_finite_at_extreme_logits(loss: Loss) -> None:
    me = stays_finite_at_extreme_logits
    for problem in problems(loss):
        if problem.form == "regression":
            continue
        right = _answers(problem)
        for dtype in (torch.float32, torch.float64):
            for size in (0.0, 20.0, 100.0, 1e4):
                for sign, word in ((1, "right"), (-1, "wrong")):
                    logits = (sign * size * right).to(dtype)
                    value, gradient = _gradient(problem, logits=logits)
                    finite = bool(value.isfinite() and gradient.isfinite().all())
                    _hold(finite, me, f"{value} when all are {word} by {size:g}, {dtype}, on {problem}")


@promise
def reads_half_precision_as_what_it_stands_for(loss: Loss) -> None:
    me = reads_half_precision_as_what_it_stands_for
    for problem in problems(loss, shapes=((2, 3, 6, 5),)):
        for dtype in (torch.float16, torch.bfloat16):
            half = problem.logits.to(dtype)
            value, whole = problem.loss(half, problem.target), problem.loss(half.float(), problem.target)
            _hold(_close(value, whole, 1e-5), me, f"{value} in {dtype}, {whole} in float32, on {problem}")
    many = torch.full((1, 1, 512, 512), 2.2, dtype=torch.float16)  # sums beyond 65504
    value = loss(many, torch.ones_like(many)) if _takes(loss, many) else torch.zeros(())
    _hold(value.isfinite(), me, f"{value} on 512 x 512 voxels in float16")


# weights, masks, what is ignored


@promise
def takes_no_weight_for_a_weight_of_one(loss: Loss) -> None:
    for problem in problems(loss):
        ones = torch.ones_like(problem.logits[:, 0])
        for weight in (ones, torch.ones_like(problem.logits)):
            one, other = _gradient(problem), _gradient(problem, weight)
            _hold(_close(one[0], other[0]) and _close(one[1], other[1]), takes_no_weight_for_a_weight_of_one, problem)


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
        value, gradient = _gradient(problem, torch.zeros_like(problem.logits[:, 0]))
        zero = float(value) == 0 and bool((gradient == 0).all())
        _hold(zero, me, f"{value} when nothing has weight, on {problem}")
        if problem.form == "classes by index":
            logits = problem.leaf()
            ignored = problem.loss(logits, torch.full_like(problem.target, 255), ignore_index=255)
            (slope,) = torch.autograd.grad(ignored, logits)
            fine = float(ignored.detach()) == 0 and bool((slope == 0).all())
            _hold(fine, me, f"{ignored} when every index is ignored, on {problem}")


@promise
def ignores_an_index_as_it_does_zero_weight(loss: Loss) -> None:
    me = ignores_an_index_as_it_does_zero_weight
    for problem in problems(loss):
        if problem.form != "classes by index":
            continue
        gone = torch.rand(problem.target.shape, generator=torch.Generator().manual_seed(1)) < 0.4
        one = problem.loss(problem.logits, problem.target, (~gone).double())
        other = problem.loss(problem.logits, torch.where(gone, -100, problem.target), ignore_index=-100)
        _hold(_close(one, other), me, f"{one} and {other} on {problem}")


# forms of the same question


@promise
def takes_an_index_for_its_one_hot(loss: Loss) -> None:
    me = takes_an_index_for_its_one_hot
    for problem in problems(loss):
        if problem.form == "classes by index":
            as_index = _gradient(problem)
            hot = one_hot(problem.target, problem.logits.shape[1])
            for target in (hot, hot.double()):
                twin = Problem("one-hot", asking(loss, "exclusive"), problem.logits, target)
                same = _gradient(twin)
                _hold(_close(as_index[0], same[0]) and _close(as_index[1], same[1]), me, problem)


@promise
def refuses_a_target_that_could_mean_two_things(loss: Loss) -> None:
    me = refuses_a_target_that_could_mean_two_things
    if any(getattr(leaf, "classes", None) != "auto" for leaf in loss.leaves()):
        return
    for shape in ((4, 3), (2, 3, 5, 4)):
        logits = torch.zeros(shape)
        for target, word in ((torch.zeros(shape), "the logits' shape"), (logits[:, 0], "float indices")):
            _hold(_refused(loss, logits, target), me, f"took a target of {word} for logits {shape}")
        _hold(_refused(loss, logits[:, :1], logits[:, 0].long()), me, "took an index target for one channel")


@promise
def does_not_care_about_the_order_of_elements(loss: Loss) -> None:
    me = does_not_care_about_the_order_of_elements
    for problem in problems(loss, shapes=((2, 3, 6, 5),)):
        order = torch.randperm(30, generator=torch.Generator().manual_seed(2))

        def shuffle(x: Tensor, order: Tensor = order) -> Tensor:
            return x.flatten(-2)[..., order].reshape(x.shape)

        moved = Problem(problem.form, problem.loss, shuffle(problem.logits), shuffle(problem.target))
        _hold(_close(_gradient(problem)[0], _gradient(moved)[0]), me, f"voxels of {problem}")
        _hold(_close(shuffle(_gradient(problem)[1]), _gradient(moved)[1]), me, f"gradients of {problem}")


@promise
def takes_a_slice_for_a_volume_of_one_slice(loss: Loss) -> None:
    for problem in problems(loss, shapes=((2, 3, 6, 5),)):
        volume = Problem(problem.form, problem.loss, problem.logits[..., None], problem.target[..., None])
        same = _close(_gradient(problem)[0], _gradient(volume)[0])
        _hold(same, takes_a_slice_for_a_volume_of_one_slice, problem)


@promise
def leaves_its_inputs_alone(loss: Loss) -> None:
    for problem in problems(loss):
        logits, target, weight = problem.logits.clone(), problem.target.clone(), torch.ones_like(problem.logits[:, 0])
        leaf = problem.leaf()
        problem.loss(leaf, problem.target, weight).backward()
        same = bool((leaf == logits).all() and (problem.target == target).all() and (weight == 1).all())
        _hold(same, leaves_its_inputs_alone, problem)


@promise
def is_the_same_through_a_fused_kernel(loss: Loss) -> None:
    for problem in problems(loss):
        with plain():
            expected = _gradient(problem)
        found = _gradient(problem)
        same = _close(found[0], expected[0]) and _close(found[1], expected[1])
        _hold(same, is_the_same_through_a_fused_kernel, problem)


# helpers


def _at_defaults(loss: Loss) -> bool:
    """Whether the card, which speaks of the default fields, speaks of this instance; an inner loss does not matter."""
    return all(
        isinstance(getattr(loss, one.name), Loss) or getattr(loss, one.name) == one.default for one in fields(loss)
    )


def _curve(loss: Loss) -> tuple[Tensor, Tensor] | None:
    """A formula of one number, drawn finely over where it lives."""
    spans = {MarginLoss: (-6, 6), LikelihoodLoss: (-6, -1e-3), RegressionLoss: (-6, 6), WrapperLoss: (1e-2, 6)}
    span = next((ends for family, ends in spans.items() if isinstance(loss, family)), None)
    if span is None or not _at_defaults(loss):
        return None
    x = torch.linspace(span[0], span[1], 120_001, dtype=torch.float64)
    return x, loss.formula(x)  # type: ignore[attr-defined]


def _answers(problem: Problem) -> Tensor:
    """+1 where the target says yes and -1 where it says no, of the logits' shape."""
    target = problem.target
    if target.ndim < problem.logits.ndim:
        target = one_hot(target, problem.logits.shape[1])
    return torch.where(target > (0.5 if problem.logits.shape[1] == 1 else 0.34), 1.0, -1.0).double()


def _summed(loss: Loss) -> bool:
    return getattr(loss, "per_class", "mean") == "sum"


def _questions(problem: Problem) -> int:
    return problem.logits.shape[1]


def _takes(loss: Loss, logits: Tensor) -> bool:
    return not _refused(loss, logits, torch.ones_like(logits))


def _refused(loss: Loss, logits: Tensor, target: Tensor) -> bool:
    try:
        loss(logits, target)
    except ShapeError:
        return True
    except ValueError:
        return True
    return False


def _check_crop(me: Promise, problem: Problem, weight: Tensor, crop: Callable[[Tensor, int], Tensor]) -> None:
    axis_of_logits, axis_of_target = 2, 2 if problem.target.ndim == problem.logits.ndim else 1
    cropped = Problem(
        problem.form, problem.loss, crop(problem.logits, axis_of_logits), crop(problem.target, axis_of_target)
    )
    value, gradient = _gradient(problem, weight)
    expected, slope = _gradient(cropped)
    _hold(_close(value, expected), me, f"{value} with zero weight, {expected} when cropped, on {problem}")
    inside = (weight > 0).unsqueeze(1).expand_as(gradient)
    same = _close(gradient[inside], slope.flatten()) and bool((gradient[~inside] == 0).all())
    _hold(same, me, f"the gradient on {problem}")
    hollow = torch.where((weight > 0).unsqueeze(1), problem.logits, torch.nan)
    value, gradient = _gradient(problem, weight, hollow)
    fine = _close(value, expected) and bool(gradient.isfinite().all())
    _hold(fine, me, f"{value} with NaN where the weight is zero, {expected} when cropped, on {problem}")
