"""Stochastic gradient descent."""

import torch

from whichloss.core import FieldError, flag, fraction, nonnegative, positive

from .optimizer import Groups, Optimizer


class SGD(Optimizer):
    """Steps along the gradient, with momentum; the scale of a loss is a learning rate under it."""

    lr: float = positive(0.01)
    momentum: float = fraction(0.9)
    nesterov: bool = flag(False)
    weight_decay: float = nonnegative(0.0)

    results_version = 2  # weights are updated in one pass: other last bits

    def check(self) -> None:
        if self.nesterov and not self.momentum:
            raise FieldError("SGD: nesterov needs a momentum above 0")

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        settings = {"momentum": self.momentum, "nesterov": self.nesterov, "weight_decay": self.weight_decay}
        return torch.optim.SGD(groups, lr=self.lr, fused=True, **settings)  # in one pass over memory
