"""From the answers to views to one score for each candidate."""

from math import nan
from typing import NamedTuple

import torch
from torch import Tensor

from whichloss.core.candidates import CANDIDATE, LESION

PLACES = {"median": 0.5, "p25": 0.25, "p75": 0.75, "max": 1.0, "min": 0.0}  # between the lowest view and the highest
VIEWS = ("mean", *PLACES)


class Pooled(NamedTuple):
    """C candidates, in the order of their numbers."""

    score: Tensor  # (C,), float64
    lesion: Tensor  # (C,): the lesion that each hits; -1: none
    row: Tensor  # (C,): the first of its views


def pool_views(logits: Tensor, labels: Tensor, views: str = "mean") -> Pooled:
    """One score for each candidate.

    logits: (N, 1), one for each view. labels: (N + m, 4), see `Candidates.truth`.
    views: the mean of the logits of a candidate's views, or a percentile, between two views on the line that joins
    them. One view that is not a number, and the candidate's score is none either: it is never marked. To leave such
    views out would make a failing network look good.
    """
    _, of, counts = labels[: len(logits), CANDIDATE].unique(return_inverse=True, return_counts=True)
    start = counts.cumsum(0) - counts
    row = of.argsort(stable=True)[start]
    return Pooled(_pool(logits[:, 0].double(), of, start, counts, views), labels[row, LESION], row)


def _pool(score: Tensor, of: Tensor, start: Tensor, counts: Tensor, views: str) -> Tensor:
    ascending = score.argsort()
    order = ascending[of[ascending].argsort(stable=True)]  # candidate by candidate, each from low to high
    ordered = score[order]
    if views == "mean":  # in a fixed order, so that equal views give equal sums
        return score.new_zeros(len(counts)).index_add(0, of[order], ordered) / counts
    place = PLACES[views] * (counts - 1)
    low, high = ordered[start + place.floor().long()], ordered[start + place.ceil().long()]
    part = place.frac().double()
    between = torch.where(low == high, low, (1 - part) * low + part * high)  # lerp makes NaN of infinity
    return between.masked_fill(ordered[start + counts - 1].isnan(), nan)  # not a number comes last


def first(row: Tensor, number: Tensor) -> Tensor:
    """The lowest row of each number, in ascending order of the numbers."""
    numbers, at = number.unique(return_inverse=True)
    return row.new_zeros(len(numbers)).scatter_reduce(0, at, row, "amin", include_self=False)
