"""Turn images."""

from math import radians

import torch
from torch import Generator, Size, Tensor
from torch.nn.functional import normalize

from whichloss.core import flag, number

from .augmentation import Augmentation, uniform
from .motion import Affine


class Rotate(Augmentation):
    """About the centre by U(-degrees, degrees): an image in its plane, a volume about an axis of any direction.

    The axis of a volume is drawn uniformly from the sphere, so that no direction is preferred and `degrees` bounds the
    whole rotation, which three angles in a row would not. Voxels are taken to be cubes; where slices are thick,
    `within_slices=True` turns a volume about its first axis only.
    """

    degrees: float = number(15.0, low=0.0, high=180.0)
    within_slices: bool = flag(False)  # of a volume

    def draw(self, shape: Size, random: Generator) -> Affine:
        count, dims = shape[0], len(shape) - 2
        angle = uniform((count,), -radians(self.degrees), radians(self.degrees), random)
        axis = normalize(torch.randn(count, 3, generator=random, dtype=torch.float64))
        if dims == 2 or self.within_slices:
            axis = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64).expand(count, 3)
        matrix = rotation(angle, axis)
        return Affine.linear(matrix if dims == 3 else matrix[:, 1:, 1:]).only(self.chosen((count,), random))


def rotation(angle: Tensor, axis: Tensor) -> Tensor:
    r"""$\cos\alpha I + \sin\alpha [a]_\times + (1 - \cos\alpha) a a^T$ (Rodrigues), transposed.

    angle (N,), unit axis (N, 3) in (z, y, x) -> (N, 3, 3), from places of the result back to where they come from.
    Within a slice, about (1, 0, 0), a positive angle is what `torch.rot90` does.
    """
    z, y, x = axis.unbind(1)
    zero = torch.zeros_like(z)
    cross = torch.stack([zero, -x, y, x, zero, -z, -y, z, zero], 1).reshape(-1, 3, 3)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    outer = axis.unsqueeze(2) * axis.unsqueeze(1)
    return cos * torch.eye(3, dtype=axis.dtype) + sin * cross.mT + (1 - cos) * outer
