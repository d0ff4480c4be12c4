"""Adam."""

import torch

from whichloss.core import nonnegative, positive

from .optimizer import Groups, Optimizer


class Adam(Optimizer):
    """Steps of a size that the scale of the loss hardly changes."""

    lr: float = positive(0.001)
    weight_decay: float = nonnegative(0.0)  # added to the gradient

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        return torch.optim.Adam(groups, lr=self.lr, weight_decay=self.weight_decay)
