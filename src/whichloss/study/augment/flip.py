"""Mirror images."""

import torch
from torch import Generator, Size

from whichloss.core import FieldError, UserError, fraction
from whichloss.study.wholes import wholes

from .augmentation import Augmentation
from .motion import Affine


class Flip(Augmentation):
    """Each axis is reversed in a share p of the images, independently of the others. Exact: nothing is interpolated.

    Right where left and right, or up and down, mean nothing; wrong where the heart is to be found.
    """

    axes: tuple[int, ...] | None = wholes(None, low=0, optional=True)  # (y, x) = (0, 1), (z, y, x) = (0, 1, 2); all
    p: float = fraction(0.5)  # of each axis

    def check(self) -> None:
        if self.axes is not None and list(self.axes) != sorted(set(self.axes)):
            raise FieldError(
                f"Flip: axes is {self.axes}; each axis once, in rising order: {tuple(sorted({*self.axes}))}"
            )

    def draw(self, shape: Size, random: Generator) -> Affine:
        dims = len(shape) - 2
        axes = range(dims) if self.axes is None else self.axes
        if any(axis >= dims for axis in axes):
            raise UserError(f"{self.label}: an image {tuple(shape[2:])} has the axes 0 to {dims - 1}")
        sign = torch.ones(shape[0], dims, dtype=torch.float64)
        sign[:, list(axes)] -= 2.0 * self.chosen((shape[0], len(axes)), random)
        return Affine.linear(torch.diag_embed(sign))
