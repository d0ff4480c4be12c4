"""Promises about where elements lie, of losses that look at it: turned or moved, an image stays the same image."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from whichloss.core import Loss

from .problems import problems
from .promise import close, differentiate, hold, promise

SHAPES = ((2, 3, 6, 5), (2, 3, 4, 3, 5))


def names_axes(loss: Loss) -> bool:
    """Whether a part says something of each axis by its place."""
    return any(getattr(leaf, "spacing", None) is not None for leaf in loss.leaves())


@promise
def does_not_care_which_way_an_image_is_turned(loss: Loss) -> None:
    """Mirrored along any axis and, unless a field tells axes apart, with any two axes exchanged: every right angle."""
    me = does_not_care_which_way_an_image_is_turned
    if not loss.spatial:
        return  # it does not care about the order of elements at all
    for problem in problems(loss, shapes=SHAPES):
        weight = torch.linspace(0.5, 2, problem.logits[:, 0].numel(), dtype=torch.float64).reshape(
            problem.logits[:, 0].shape
        )
        weight[:, 0, 1] = 0  # some of it is not there
        value, gradient = differentiate(problem, weight)
        axes = range(-(problem.logits.ndim - 2), 0)
        turns = [(axis,) for axis in axes] + ([] if names_axes(loss) else [(one, -1) for one in axes if one < -1])
        for turn in turns:

            def turned(x: Tensor, turn: tuple[int, ...] = turn) -> Tensor:
                return x.flip(turn) if len(turn) == 1 else x.transpose(*turn)

            moved = replace(problem, logits=turned(problem.logits), target=turned(problem.target))
            same, slope = differentiate(moved, turned(weight))
            hold(close(value, same), me, f"{value} became {same} on {problem}, turned {turn}")
            hold(close(turned(gradient), slope), me, f"the gradient on {problem}, turned {turn}")


@promise
def does_not_care_where_an_image_lies_in_a_frame_without_weight(loss: Loss) -> None:
    """What has no weight is not there, on any side; what stands in it may be anything."""
    me = does_not_care_where_an_image_lies_in_a_frame_without_weight
    if not loss.spatial:
        return
    for problem in problems(loss, shapes=SHAPES):
        weight = torch.ones_like(problem.logits[:, 0])
        value, gradient = differentiate(problem, weight)
        space = problem.logits.ndim - 2
        for before, after in ((0, 2), (2, 0), (1, 3)):
            around = [before, after] * space

            def framed(x: Tensor, fill: float, around: list[int] = around) -> Tensor:
                return F.pad(x, around, value=fill)

            wide = replace(problem, logits=framed(problem.logits, 7.0), target=framed(problem.target, 1))
            same, slope = differentiate(wide, framed(weight, 0))
            hold(close(value, same), me, f"{value} became {same} on {problem}, {before} before and {after} after it")
            inside = slope[(..., *[slice(before, -after or None)] * space)]
            fine = close(gradient, inside) and close(slope.abs().sum(), inside.abs().sum())
            hold(fine, me, f"the gradient on {problem}, {before} before and {after} after it")
