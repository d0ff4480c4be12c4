"""Bend images."""

from torch import Generator, Size

from whichloss.core import FieldError, nonnegative, positive

from .augmentation import Augmentation, uniform
from .motion import Warp, controls

FOLDS = 0.4  # of the spacing: control points that move less cannot fold a volume (Choi and Lee 2000; 0.48 in an image)


class Elastic(Augmentation):
    """Control points move by U(-strength, strength) along each axis; a cubic B-spline carries everything between them.

    No voxel moves further than `strength` along an axis, and nothing tears or folds: the strength is at most 0.4 of the
    spacing. A small spacing makes small waves.
    """

    strength: float = nonnegative(4.0)  # voxels
    spacing: float = positive(16.0)  # voxels from one control point to the next

    def check(self) -> None:
        if self.spacing < 1:
            raise FieldError(f"Elastic: spacing is {self.spacing:g}; control points lie at least 1 voxel apart")
        if self.strength > FOLDS * self.spacing:
            raise FieldError(
                f"Elastic: strength={self.strength:g} could fold the image; with spacing={self.spacing:g}"
                f" it must be at most {FOLDS * self.spacing:g}"
            )

    def draw(self, shape: Size, random: Generator) -> Warp:
        size = shape[2:]
        points = (shape[0], len(size), *(controls(side, self.spacing) for side in size))
        control = uniform(points, -self.strength, self.strength, random)
        return Warp(control, self.spacing).only(self.chosen(shape[:1], random))
