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
    value, weight = terms
    total = weight.sum()
    said = torch.where(weight > 0, value, 0.0)  # a term without say may be NaN
    return (said * weight).sum() / torch.where(total > 0, total, 1.0)


def total(terms: Terms) -> Terms:
    """One term: the weighted sum of all."""
    value, weight = terms
    summed = (torch.where(weight > 0, value, 0.0) * weight).sum().reshape(1)
    return Terms(summed, torch.ones_like(summed))


def average(value: Tensor, share: Tensor) -> Terms:
    """One term per case from the answers along axis 1, each with its share of the say.

    value, share: (N, Q, *S). Gives value and weight (N, *S).
    """
    weight = share.sum(1)
    total = (torch.where(share > 0, value, 0.0) * share).sum(1)
    return Terms(total / torch.where(weight > 0, weight, 1.0), weight)
