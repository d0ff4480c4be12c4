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

    def check(self) -> None:
        if self.nesterov and not self.momentum:
            raise FieldError("SGD: nesterov needs a momentum above 0")

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov, weight_decay=self.weight_decay
        )
