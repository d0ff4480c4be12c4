"""Optimizer: how the weights are moved, as a value."""

from abc import abstractmethod
from collections.abc import Iterable

import torch
from torch import nn

from whichloss.core import Value


class Optimizer(Value):
    """A value that makes one of torch's optimisers."""

    @abstractmethod
    def build(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer: ...
