"""Adam."""

from collections.abc import Iterable

import torch
from torch import nn

from whichloss.core import nonnegative, positive

from .optimizer import Optimizer


class Adam(Optimizer):
    """Steps of a size that the scale of the loss hardly changes."""

    lr: float = positive(0.001)
    weight_decay: float = nonnegative(0.0)  # added to the gradient

    def build(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(weights, lr=self.lr, weight_decay=self.weight_decay)
