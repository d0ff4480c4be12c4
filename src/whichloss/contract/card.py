"""Promises about the card: name, source, golden values, range, smoothness, convexity, easy cases, identities."""

import copy
import pickle
from typing import Any

import torch

from whichloss.core import (
    Foreign,
    LikelihoodLoss,
    Loss,
    MarginLoss,
    PresetLoss,
    RegionLoss,
    Sum,
    WrapperLoss,
    parse,
)

from .measure import at_defaults, curve, shape, values_of
from .problems import Problem, problems
from .promise import close, differentiate, hold, promise


@promise
def has_a_name_that_can_be_read_back(loss: Loss) -> None:
    me = has_a_name_that_can_be_read_back
    hold(parse(repr(loss), imports=True) == loss, me, repr(loss))
    thawed = pickle.loads(pickle.dumps(loss))
    hold(thawed == loss and hash(thawed) == hash(loss) and repr(thawed) == repr(loss), me, "pickled")


@promise
def equals_its_copies(loss: Loss) -> None:
    for copied in (copy.copy(loss), copy.deepcopy(loss)):
        same = copied == loss and hash(copied) == hash(loss) and repr(copied) == repr(loss)
        hold(same, equals_its_copies, f"{copied!r} is a copy of {loss!r}")


@promise
def states_its_formula_and_source(loss: Loss) -> None:
    me = states_its_formula_and_source
    if isinstance(loss, Sum | Foreign):  # made by somebody, not published
        return
    hold("$" in (type(loss).__doc__ or ""), me, "the docstring has no formula between $ signs")
    hold(bool(loss.card.source and loss.card.equation), me, "the card names no source and equation")


@promise
def has_the_golden_values_of_its_card(loss: Loss) -> None:
    me = has_the_golden_values_of_its_card
    if isinstance(loss, Sum | Foreign | PresetLoss):  # no formula of their own
        return
    hold(bool(loss.card.golden), me, "the card has no golden value")
    if not at_defaults(loss):
        return
    for point, value in loss.card.golden.items():
        numbers = [torch.tensor([[one]], dtype=torch.float64) for one in point]
        seen: list[Any] = [loss.hard(*numbers)] if isinstance(loss, RegionLoss) else numbers
        found = loss.formula(*seen)  # type: ignore[attr-defined]
        hold(close(found, torch.full_like(found, value)), me, f"{float(found)} at {point}, and {value} is true")


@promise
def stays_in_its_range(loss: Loss) -> None:
    low, high = loss.range
    for problem, value in values_of(loss):
        inside = bool((value >= low - 1e-9).all() and (value <= high + 1e-9).all())
        hold(inside, stays_in_its_range, f"{value.aminmax()} outside {loss.range} on {problem}")


@promise
def is_as_bounded_as_its_card_says(loss: Loss) -> None:
    """From a thousand to a million an unbounded curve rises, be it like a logarithm; a bounded one is at rest."""
    me = is_as_bounded_as_its_card_says
    if not at_defaults(loss) or isinstance(loss, WrapperLoss) or curve(loss) is None:
        return
    far = torch.tensor([-1e6, -1e3] if isinstance(loss, LikelihoodLoss) else [-1e6, -1e3, 1e3, 1e6]).double()
    value = loss.formula(far)  # type: ignore[attr-defined]
    rise = float(value.unflatten(0, (-1, 2)).diff(dim=1).abs().max())
    hold((rise < 0.05) == loss.card.bounded, me, f"it rises by {rise:.3g} far out, and its range is {loss.card.range}")
    top = float(value.max())
    full = not loss.card.bounded or top > 0.99 * loss.card.range[1]
    hold(full, me, f"it never comes near {loss.card.range[1]:.3g}, the upper end of its range: {top:.3g} far out")


@promise
def is_as_smooth_as_its_card_says(loss: Loss) -> None:
    if at_defaults(loss) and (seen := shape(loss)) is not None:
        hold(
            seen.smooth == loss.card.smooth, is_as_smooth_as_its_card_says, f"the slope jumps by {seen.slope_jump:.3g}"
        )


@promise
def is_as_convex_as_its_card_says(loss: Loss) -> None:
    if at_defaults(loss) and (seen := shape(loss)) is not None:
        hold(
            seen.convex == loss.card.convex, is_as_convex_as_its_card_says, f"the slope falls by {seen.least_bend:.3g}"
        )


@promise
def leaves_easy_cases_alone_if_its_card_says_so(loss: Loss) -> None:
    me = leaves_easy_cases_alone_if_its_card_says_so
    if not isinstance(loss, MarginLoss) or not at_defaults(loss):
        return
    easy = loss.card.easy
    start = 6.0 if easy is None else easy
    margin = torch.linspace(start + 1e-9, start + 20, 100, dtype=torch.float64, requires_grad=True)
    value = loss.formula(margin)
    (slope,) = torch.autograd.grad(value.sum(), margin) if value.requires_grad else (torch.zeros_like(margin),)
    alone = bool((value == 0).all() and (slope == 0).all())
    hold(alone == (easy is not None), me, f"value {value[0]:.3g}, slope {slope[0]:.3g} at margin {start}")
    if easy is not None:
        before = loss.formula(torch.tensor(easy - 1e-3, dtype=torch.float64))
        hold(before > 0, me, f"already zero at {easy - 1e-3}")


@promise
def keeps_the_identities_of_its_card(loss: Loss) -> None:
    me = keeps_the_identities_of_its_card
    for left, right in loss.card.equals:
        same, other = parse(left, imports=True), parse(right, imports=True)
        tried = 0
        for problem in problems(same):
            classes = {"classes in proportions": "exclusive", "yes or no for each channel": "independent"}
            twin = other.asking(classes[problem.form]) if problem.form in classes else other
            value, gradient = differentiate(problem)
            expected, slope = differentiate(Problem(problem.form, twin, problem.logits, problem.target))
            agree = close(value, expected) and close(gradient, slope)
            hold(agree, me, f"{left} gives {value}, {right} gives {expected} on {problem}")
            tried += 1
        hold(tried > 0, me, f"{left} accepts no problem")
