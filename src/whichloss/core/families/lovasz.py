"""Lovasz losses: the Jaccard loss as a function of errors, piecewise linear between the sets that it is defined on."""

from torch import Tensor

from ..fields import choice, nonnegative
from ..lifts.lovasz import RankedErrors
from ..lifts.region import Counts
from .region import RegionLoss


class LovaszLoss(RegionLoss):
    """A region loss that sees the error of each element, and what the Jaccard loss rises by when it is counted wrong.

    The set function is |M| / (|Y + M| + smooth) for the set M of what is wrong and Y of what is there, each element
    counting by its weight: so one of weight 0 might as well not be there, and one of weight 2 be there twice.
    """

    over: str = choice("image", "batch")  # whose errors are sorted together
    smooth: float = nonnegative(0.0)

    axis = None

    def hard(self, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor | float = 0.0) -> RankedErrors:
        counts: Counts = super().hard(tp, fp, fn, tn)
        wrong = (fp + fn) / (tp + fp + fn)
        return RankedErrors(*counts, wrong.new_ones(1), wrong.unsqueeze(-1))
