"""Augmentation: one way in which images are changed before they are learned from, as a value."""

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Size, Tensor

from whichloss.core import Value, fraction

from .motion import Affine, Warp

Retouch = Callable[[Tensor], Tensor]  # images (N, C, *S), as float, to others of that shape


class Augmentation(Value):
    """A value that draws a change for every image of a batch.

    What it draws is where voxels come from (`Affine`, `Warp`), and then image and mask go together; or it is a function
    of the images alone, and then masks stay.
    """

    p: float = fraction(1.0)  # share of the images that are changed; the others stay exactly as they are

    @abstractmethod
    def draw(self, shape: Size, random: Generator) -> Affine | Warp | Retouch:
        """One change for each of N images, shape = (N, C, *S); drawn on the CPU, from this generator alone."""

    def chosen(self, shape: Sequence[int], random: Generator) -> Tensor:
        """True in a share `p` of the places."""
        return torch.rand(*shape, generator=random) < self.p


def uniform(shape: Sequence[int], low: float, high: float, random: Generator) -> Tensor:
    """Numbers from `low` to `high`, float64, on the CPU."""
    return low + (high - low) * torch.rand(*shape, generator=random, dtype=torch.float64)
