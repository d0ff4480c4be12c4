"""Promises about what a batch is made of: images in any order, classes under any name, everything or nothing there."""

from dataclasses import replace
from itertools import combinations

import torch
from torch import Tensor

from whichloss.core import Loss, Terms
from whichloss.core.lifts.margins import classes_of_pairs

from .problems import Problem, problems
from .promise import close, differentiate, hold, promise
from .values import answers


@promise
def does_not_care_about_the_order_of_images(loss: Loss) -> None:
    me = does_not_care_about_the_order_of_images
    order = torch.tensor([2, 0, 1])
    for problem in problems(loss, shapes=((3, 3, 4, 3),)):
        weight = _uneven(problem.logits[:, 0])
        moved = replace(problem, logits=problem.logits[order], target=problem.target[order])
        value, gradient = differentiate(problem, weight)
        same, slope = differentiate(moved, weight[order])
        hold(close(value, same) and close(gradient[order], slope), me, f"{value} became {same} on {problem}")


@promise
def gives_a_batch_the_terms_of_its_images(loss: Loss) -> None:
    """Where no term sees beyond its image, a batch has the terms of its images, and is the weighted mean of them."""
    me = gives_a_batch_the_terms_of_its_images
    if loss.reach != "image":
        return
    for problem in problems(loss, shapes=((3, 3, 4, 3), (4, 3))):
        weight = _uneven(problem.logits[:, 0])
        whole = problem.loss.terms(problem.logits, problem.target, weight)
        images = [slice(at, at + 1) for at in range(len(problem.logits))]
        each = [problem.loss.terms(problem.logits[at], problem.target[at], weight[at]) for at in images]
        parts = Terms(*(torch.cat(part) for part in zip(*each, strict=True)))
        told = parts.weight > 0
        same = close(whole.weight, parts.weight) and close(whole.value[told], parts.value[told])
        hold(same, me, f"other terms one by one, on {problem}")
        means = torch.stack([problem.loss(problem.logits[at], problem.target[at], weight[at]) for at in images])
        says = torch.stack([part.weight.sum() for part in each])
        value, pooled = problem.loss(problem.logits, problem.target, weight), (means * says).sum() / says.sum()
        hold(close(value, pooled), me, f"{value} is not the mean {pooled} of its images, on {problem}")


@promise
def does_not_care_which_class_is_called_which(loss: Loss) -> None:
    """Channels in another order, and the target with them. Only what a field says of one class may tell them apart."""
    me = does_not_care_which_class_is_called_which
    by_place = ("class_weight", "counts", "distances")
    if any(getattr(leaf, field, None) is not None for leaf in loss.leaves() for field in by_place):
        return  # it names the classes by their places
    asks_pairs = {getattr(leaf, "lift", "") == "one_versus_one" for leaf in loss.leaves()}
    if len(asks_pairs) > 1:
        return  # no network has the outputs of both parts
    first_is_special = any(leaf.background_first or not getattr(leaf, "background", True) for leaf in loss.leaves())
    names = torch.tensor([0, 2, 1] if first_is_special else [2, 0, 1])
    for problem in problems(loss, shapes=((2, 3, 4, 3), (5, 3))):
        if problem.logits.shape[1] != len(names):
            continue
        channels, sign = _pairs_of(names) if asks_pairs == {True} else (names, torch.ones(3))
        sign = sign.reshape(1, 3, *[1] * (problem.logits.ndim - 2)).double()
        target = problem.target
        target = names.argsort()[target] if target.ndim < problem.logits.ndim else target[:, names]
        weight = _uneven(problem.logits)
        renamed = replace(problem, logits=sign * problem.logits[:, channels], target=target)
        value, gradient = differentiate(problem, weight)
        same, slope = differentiate(renamed, weight[:, channels])
        hold(close(value, same), me, f"{value} became {same} on {problem}")
        hold(close(sign * gradient[:, channels], slope), me, f"the gradient on {problem}")


@promise
def sees_nothing_of_a_channel_without_weight(loss: Loss) -> None:
    """Where channels are answers of their own, one without weight might as well not be there."""
    me = sees_nothing_of_a_channel_without_weight
    if _counts_channels(loss):
        return
    for problem in problems(loss, shapes=((2, 3, 4, 3), (5, 3))):
        if problem.form not in ("yes or no for each channel", "regression"):
            continue
        weight = torch.ones_like(problem.logits)
        weight[:, 1] = 0
        rest = [0, 2]
        cropped = replace(problem, logits=problem.logits[:, rest], target=problem.target[:, rest])
        value, gradient = differentiate(problem, weight)
        expected, slope = differentiate(cropped)
        if not close(value, expected):  # a total shows that who answers two questions of three has that much say
            expected, slope = differentiate(cropped, torch.full_like(problem.logits[:, 0], 2 / 3))
        hold(close(value, expected), me, f"{value} without weight, {expected} when cropped, on {problem}")
        same = close(gradient[:, rest], slope) and not bool(gradient[:, 1].any())
        hold(same, me, f"the gradient on {problem}")


@promise
def sees_nothing_of_a_class_that_is_ignored(loss: Loss) -> None:
    """Elements of the ignored class might as well not be there."""
    me = sees_nothing_of_a_class_that_is_ignored
    for problem in problems(loss, shapes=((2, 3, 6, 4), (6, 3))):
        if problem.form not in ("classes by index", "embeddings"):
            continue
        axis = problem.target.ndim - 1  # of the target; the logits have one more, before it
        rest = problem.target.shape[axis] - 2
        target = torch.where(problem.target == 1, 2, problem.target)
        target.narrow(axis, rest, 2).fill_(1)
        leaf = problem.logits.narrow(axis and axis + 1, 0, rest)
        expected, slope = differentiate(replace(problem, logits=leaf, target=target.narrow(axis, 0, rest)))
        value, gradient = differentiate(replace(problem, target=target), ignore_index=1)
        hold(close(value, expected), me, f"{value} when ignored, {expected} when cropped, on {problem}")
        seen, unseen = (gradient.narrow(axis and axis + 1, *part) for part in ((0, rest), (rest, 2)))
        hold(close(seen, slope) and not bool(unseen.any()), me, f"the gradient on {problem}")


@promise
def stays_finite_and_in_range_where_all_or_nothing_is_there(loss: Loss) -> None:
    """An image full of a class, one without it, one element of it, and an image that is one element."""
    me = stays_finite_and_in_range_where_all_or_nothing_is_there
    low, high = loss.range
    for problem in problems(loss, shapes=((1, 3, 1, 1), (2, 3, 2, 2))):
        if problem.form == "classes in proportions":
            continue
        for word, target in _uniform(problem):
            right = answers(replace(problem, target=target)).float()
            for size in (0.0, 20.0, -20.0, 1e4, -1e4):
                value, gradient = differentiate(replace(problem, target=target), logits=size * right)
                finite = bool(value.isfinite() and gradient.isfinite().all())
                room = 1e-5 * max(1.0, abs(float(value)))
                inside = low - room <= float(value) <= high + room
                hold(finite and inside, me, f"{value} where {word} and answers are right by {size:g}, on {problem}")


def _uniform(problem: Problem) -> list[tuple[str, Tensor]]:
    nothing, all_there = torch.zeros_like(problem.target), torch.ones_like(problem.target)
    one = nothing.clone()
    one.flatten()[-1:] = 1
    return [("nothing is there", nothing), ("all is there", all_there), ("one element is there", one)]


def _uneven(like: Tensor) -> Tensor:
    return torch.linspace(0.5, 2, like.numel(), dtype=torch.float64).reshape(like.shape)


def _pairs_of(names: Tensor) -> tuple[Tensor, Tensor]:
    """Where the output of each pair of renamed classes stood, and -1 where the pair is now the other way round."""
    pairs = list(combinations(range(classes_of_pairs(len(names))), 2))
    old = [(int(names[i]), int(names[j])) for i, j in pairs]
    signs = [1.0 if i < j else -1.0 for i, j in old]
    return torch.tensor([pairs.index((min(i, j), max(i, j))) for i, j in old]), torch.tensor(signs)


def _counts_channels(loss: Loss) -> bool:
    """Whether a part names each channel's weight, or sums over as many channels as there are."""
    own = getattr(loss, "class_weight", None) is not None or getattr(loss, "per_class", "mean") == "sum"
    return own or any(_counts_channels(part) for part in loss.parts() if isinstance(part, Loss))
