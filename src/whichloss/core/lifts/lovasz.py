"""Errors of the elements of a region, and by how much the Jaccard loss rises as each is counted wrong in turn."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..lift import Lift
from ..question import Batch
from .region import RegionSums, by_image


class RankedErrors(NamedTuple):
    """What a Lovasz extension is made of, after the soft counts of the region.

    error: (N, C, M), how wrong each element is, in any order.
    rise:  (N, C, M), what the Jaccard loss rises by when the element joins those that are more wrong; no gradient.
    """

    tp: Tensor
    fp: Tensor
    fn: Tensor
    elements: Tensor
    error: Tensor
    rise: Tensor


@dataclass(frozen=True)
class LovaszErrors(Lift):
    """Errors 1 - p of what is there and p of what is not; or the hinge of the margin.

    Of a soft label both errors count, each in its proportion. Over the batch N is 1.
    """

    hinge: bool = False
    over: str = "image"
    smooth: float = 0.0

    def __call__(self, batch: Batch) -> RankedErrors:
        question = batch.question(self.classes)
        p, y, weight = by_image(question)
        counts = RegionSums(self.classes)(batch)
        if self.hinge:
            u = question.logits.reshape(p.shape)
            missed, false = (1 - u).clamp_min(0), (1 + u).clamp_min(0)
        else:
            missed, false = 1 - p, p
        there, not_there = weight * y, weight * (1 - y)
        if question.indexed or not batch.target.is_floating_point():
            error = torch.where(y > 0, missed, false)
        else:  # it may be soft
            nothing = torch.zeros_like(y)
            error = torch.cat([missed, false], 2)
            there, not_there = torch.cat([there, nothing], 2), torch.cat([nothing, not_there], 2)
        if self.over == "batch":
            counts = counts._make(part.sum(0, keepdim=True) for part in counts)
            error, there, not_there = (x.movedim(1, 0).flatten(1).unsqueeze(0) for x in (error, there, not_there))
        return RankedErrors(*counts, error, rises(error.detach(), there, not_there, self.smooth))


def rises(error: Tensor, there: Tensor, not_there: Tensor, smooth: float) -> Tensor:
    r"""What $|M| / (|Y \cup M| + s)$ rises by as elements join M in the order of falling errors.

    there, not_there: the weight of each element in the truth Y and outside of it, one of them 0. Elements of one error
    share what they raise it by in proportion to their weights, those of Y before the others: one of the subgradients,
    and the only one of its kind that does not depend on their order. No difference of nearly equal numbers is taken.
    """
    if not error.shape[-1]:
        return torch.zeros_like(error)
    order = error.argsort(dim=-1, descending=True, stable=True)
    ranked, there, not_there = (x.gather(-1, order) for x in (error, there, not_there))
    ends = torch.ones_like(ranked[..., :1], dtype=torch.bool)
    changes = ranked[..., 1:] != ranked[..., :-1]
    first, last = torch.cat([ends, changes], -1), torch.cat([changes, ends], -1)
    so_far, left = not_there.cumsum(-1), there.flip(-1).cumsum(-1).flip(-1)
    none = torch.zeros_like(so_far[..., :1])
    before, left = torch.cat([none, so_far[..., :-1]], -1), torch.cat([left[..., 1:], none], -1)
    # of the first and the last element with the same error
    before = torch.where(first, before, 0.0).cummax(-1).values
    after = torch.where(last, so_far, torch.inf).flip(-1).cummin(-1).values.flip(-1)
    left = torch.where(last, left, 0.0).flip(-1).cummax(-1).values.flip(-1) + smooth
    truth = there.sum(-1, keepdim=True) + smooth
    smaller, larger = truth + before, truth + after  # the union, without and with those of this error
    none = smaller == 0  # then the union is what has been found, and the first to be found raises the loss to 1
    step = torch.where(none, 1.0, left / torch.where(none, 1.0, smaller))
    rise = there / torch.where(none, 1.0, smaller) + step * not_there / torch.where(larger > 0, larger, 1.0)
    return torch.zeros_like(rise).scatter(-1, order, rise)
