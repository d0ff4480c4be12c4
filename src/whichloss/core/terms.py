"""Terms: what every loss gives before it becomes one number."""

from typing import NamedTuple

import torch
from torch import Tensor


class Terms(NamedTuple):
    """One value per case, voxel or (image, class), and how much say it has (0 = none)."""

    value: Tensor
    weight: Tensor


def mean(terms: Terms) -> Tensor:
    """The weighted mean; 0, with a graph, where no term has a say."""
    return weighted_sum(*terms) / weight_sum(terms.weight)


def weighted_sum(value: Tensor, weight: Tensor) -> Tensor:
    """One number; of a term without say, which may be NaN, nothing."""
    return (value.masked_fill(weight <= 0, 0.0) * weight).sum()


def weight_sum(weight: Tensor) -> Tensor:
    """To divide by: where it is 0, so is what is divided, and any other number does."""
    return weight.sum().clamp_min(2.0**-126)  # the smallest number of float32 that all processors divide by


def total(terms: Terms) -> Terms:
    """One term: the weighted sum of all."""
    summed = weighted_sum(*terms).reshape(1)
    return Terms(summed, torch.ones_like(summed))


def average(value: Tensor, share: Tensor) -> Terms:
    """One term per case from the answers along axis 1, each with its share of the say.

    value, share: (N, Q, *S). Gives value and weight (N, *S).
    """
    weight = share.sum(1)
    total = (torch.where(share > 0, value, 0.0) * share).sum(1)
    return Terms(total / torch.where(weight > 0, weight, 1.0), weight)
