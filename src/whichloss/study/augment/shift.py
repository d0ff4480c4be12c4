"""Move images."""

import torch
from torch import Generator, Size

from whichloss.core import flag, fraction

from .augmentation import Augmentation, uniform
from .motion import Affine


class Shift(Augmentation):
    """Along each axis by up to a share of the image's side, uniformly: U(-share, share) * side.

    With `whole=True` by the nearest whole number of voxels, so that nothing is interpolated; this, and
    `outside="border"`, is `width_shift_range` and `height_shift_range` of Keras.
    """

    share: float = fraction(0.1)  # of the side of the image
    whole: bool = flag(False)  # only by whole voxels

    def draw(self, shape: Size, random: Generator) -> Affine:
        count, size = shape[0], shape[2:]
        offset = uniform((count, len(size)), -self.share, self.share, random) * torch.tensor(size)
        return Affine.shift(offset.round() if self.whole else offset).only(self.chosen((count,), random))
