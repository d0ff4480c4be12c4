"""A part of the image, shown at the size of the whole."""

import torch
from torch import Generator, Size

from whichloss.core import FieldError, number

from .augmentation import Augmentation, uniform
from .motion import Affine


class ResizedCrop(Augmentation):
    """A box with U(low, high) of each side, at a random place inside the image, enlarged to the image's size.

    Shape is kept: every axis has the same share. torchvision's RandomResizedCrop draws the share of the area, low ** 2.
    """

    low: float = number(0.5, low=0.01, high=1.0)  # share of each side of the image
    high: float = number(1.0, low=0.01, high=1.0)

    def check(self) -> None:
        if self.low > self.high:
            raise FieldError(f"ResizedCrop: low is {self.low:g}, above high, {self.high:g}")

    def draw(self, shape: Size, random: Generator) -> Affine:
        count, size = shape[0], shape[2:]
        share = uniform((count, 1), self.low, self.high, random)
        place = uniform((count, len(size)), -0.5, 0.5, random)  # of the box within what room there is
        matrix = torch.diag_embed(share.expand(-1, len(size)))
        return Affine(matrix, place * (1 - share) * torch.tensor(size)).only(self.chosen((count,), random))
