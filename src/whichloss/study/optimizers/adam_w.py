"""Adam with decoupled weight decay."""

import torch

from whichloss.core import nonnegative, positive

from .optimizer import Groups, Optimizer


class AdamW(Optimizer):
    """Adam whose weight decay acts on the weights, not on the gradient."""

    lr: float = positive(0.001)
    weight_decay: float = nonnegative(0.01)

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups, lr=self.lr, weight_decay=self.weight_decay)
