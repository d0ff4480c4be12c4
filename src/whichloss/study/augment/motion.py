"""Where the voxels of an augmented image come from.

A place is written in voxels from the centre of the image, one coordinate an axis in the order of the tensor, (y, x) or
(z, y, x). Every motion is a map from places of the result to places of what it is made from: to show
everything twice as large, places are halved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import torch
from torch import Tensor


@dataclass(frozen=True)
class Affine:
    """p -> matrix p + offset for each of N images: (N, d, d) and (N, d) in voxels; float64, on the CPU."""

    matrix: Tensor
    offset: Tensor

    @classmethod
    def linear(cls, matrix: Tensor) -> "Affine":
        """About the centre: the offset is zero."""
        return cls(matrix, matrix.new_zeros(matrix.shape[:-1]))

    @classmethod
    def shift(cls, offset: Tensor) -> "Affine":
        """What lies at p + offset comes to lie at p."""
        return cls(torch.eye(offset.shape[1], dtype=offset.dtype).expand(len(offset), -1, -1), offset)

    @classmethod
    def still(cls, count: int, dims: int) -> "Affine":
        return cls.shift(torch.zeros(count, dims, dtype=torch.float64))

    def then(self, later: "Affine") -> "Affine":
        """Both motions, this one first. Maps lead from the result back, so the later one is the inner one."""
        offset = (self.matrix @ later.offset.unsqueeze(2)).squeeze(2) + self.offset
        return Affine(self.matrix @ later.matrix, offset)

    def only(self, chosen: Tensor) -> "Affine":
        """This motion for the chosen images (N,), none for the others."""
        still = Affine.still(*self.offset.shape)
        matrix = torch.where(chosen[:, None, None], self.matrix, still.matrix)
        return Affine(matrix, torch.where(chosen[:, None], self.offset, still.offset))

    def rows(self, rows: Tensor) -> "Affine":
        return Affine(self.matrix[rows], self.offset[rows])

    def whole(self) -> Tensor:
        """(N,): whether every voxel comes from a voxel, along axes that are at most reversed."""
        upright = self.matrix.abs() == torch.eye(self.offset.shape[1], dtype=self.matrix.dtype)
        return upright.flatten(1).all(1) & (self.offset == self.offset.round()).all(1)


@dataclass(frozen=True)
class Warp:
    """p -> p + u(p), u a cubic B-spline for each of N images.

    control: (N, d, *K), voxels, on the CPU: how far each control point moves along each axis. They lie `spacing` voxels
    apart, the first of them one spacing before the image, and a weighted mean of 4 on every axis makes u.
    """

    control: Tensor
    spacing: float

    def only(self, chosen: Tensor) -> "Warp":
        return Warp(self.control * chosen.reshape(-1, *[1] * (self.control.ndim - 1)), self.spacing)

    def rows(self, rows: Tensor) -> "Warp":
        return Warp(self.control[rows], self.spacing)

    def whole(self) -> Tensor:
        """(N,): whether nothing moves."""
        return (self.control == 0).flatten(1).all(1)

    def field(self, size: Sequence[int], like: Tensor) -> Tensor:
        """u at every voxel, (N, d, *size), with the device and type of `like`."""
        field = self.control.to(like)
        for axis, side in enumerate(size, start=2):
            field = self._along(field, axis, side)
        return field

    def _along(self, field: Tensor, axis: int, side: int) -> Tensor:
        """Control points of one axis become voxels: a sum of 4, no matrix product, which may be rounded to TF32."""
        place = torch.arange(side, dtype=torch.float64) / self.spacing
        first = place.floor()
        f = place - first
        weights = ((1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3)
        shape = [side if at == axis else 1 for at in range(field.ndim)]
        terms = [
            field.index_select(axis, (first.long() + tap).to(field.device)) * (weight / 6).to(field).reshape(shape)
            for tap, weight in enumerate(weights)
        ]
        return terms[0] + terms[1] + terms[2] + terms[3]


def controls(side: int, spacing: float) -> int:
    """How many control points an axis of so many voxels needs."""
    return floor((side - 1) / spacing) + 4
