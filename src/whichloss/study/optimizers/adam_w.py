"""Adam with decoupled weight decay."""

from collections.abc import Iterable

import torch
from torch import nn

from whichloss.core import nonnegative, positive

from .optimizer import Optimizer


class AdamW(Optimizer):
    """Adam whose weight decay acts on the weights, not on the gradient."""

    lr: float = positive(0.001)
    weight_decay: float = nonnegative(0.01)

    def build(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(weights, lr=self.lr, weight_decay=self.weight_decay)
