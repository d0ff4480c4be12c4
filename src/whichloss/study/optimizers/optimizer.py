"""Optimizer: how the weights are moved, as a value."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import torch

from whichloss.core import Value

Groups = Iterable[dict[str, Any]]  # of parameters, as torch takes them: what a group says counts before the value


class Optimizer(Value):
    """A value that makes one of torch's optimisers."""

    @abstractmethod
    def build(self, groups: Groups) -> torch.optim.Optimizer: ...
