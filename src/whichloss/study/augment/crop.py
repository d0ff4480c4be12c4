"""Pad with a border, and crop to the size there was."""

import torch
from torch import Generator, Size

from whichloss.core import UserError, count

from .augmentation import Augmentation
from .motion import Affine


class Crop(Augmentation):
    """A border on all sides, then a part of the image's own size at a random place: the usual crop of CIFAR.

    The size stays, as networks need it; every offset from -border to border is equally likely, along each axis, and
    nothing is interpolated. What the border holds is said by `outside` of `augment`.
    """

    border: int = count(4)  # voxels

    def draw(self, shape: Size, random: Generator) -> Affine:
        size = shape[2:]
        if self.border >= min(size):
            raise UserError(
                f"{self.label}: an image {tuple(size)} could be lost behind a border of {self.border} voxels"
            )
        offset = torch.randint(-self.border, self.border + 1, (shape[0], len(size)), generator=random)
        return Affine.shift(offset.double()).only(self.chosen(shape[:1], random))
