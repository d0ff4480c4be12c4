"""Make what is seen larger or smaller."""

import torch
from torch import Generator, Size

from whichloss.core import FieldError, positive

from .augmentation import Augmentation, uniform
from .motion import Affine


class Scale(Augmentation):
    """About the centre by a factor U(low, high), the same for every axis; 2 shows everything twice as large."""

    low: float = positive(0.9)
    high: float = positive(1.1)

    def check(self) -> None:
        if self.low > self.high:
            raise FieldError(f"Scale: low is {self.low:g}, above high, {self.high:g}")

    def draw(self, shape: Size, random: Generator) -> Affine:
        count, dims = shape[0], len(shape) - 2
        factor = uniform((count,), self.low, self.high, random)
        shrink = torch.eye(dims, dtype=torch.float64) / factor[:, None, None]
        return Affine.linear(shrink).only(self.chosen((count,), random))
