"""Images and masks brought to one size."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import interpolate


def linear(values: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """(C, *S) to (C, *size), float32: linear between the centres of voxels, axis by axis.

    The field of view stays. Where it shrinks, the weights are as wide as the new voxels, as in Pillow's BILINEAR, so
    that nothing is skipped.
    """
    found = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    for axis, side in enumerate(size, start=1):
        if found.shape[axis] != side:
            lines = found.movedim(axis, -1)  # rows of one picture: torch fails where columns are, and there is one
            made = interpolate(
                lines.reshape(1, 1, -1, lines.shape[-1]),
                size=(lines.shape[:-1].numel(), side),
                mode="bilinear",
                antialias=True,
            )
            found = made.reshape(*lines.shape[:-1], side).movedim(-1, axis)
    return np.ascontiguousarray(found.numpy())


def nearest(values: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """(*S) to (*size): the voxel in which the centre of the new one lies."""
    for axis, side in enumerate(size):
        if values.shape[axis] != side:
            values = values.take((2 * np.arange(side) + 1) * values.shape[axis] // (2 * side), axis)
    return values


def centred(values: np.ndarray, size: Sequence[int], fill: float) -> np.ndarray:
    """(..., *S) to (..., *size): cut off, or filled, on both sides alike; of an odd number one more behind."""
    for axis, side in enumerate(size, start=values.ndim - len(size)):
        lack = side - values.shape[axis]
        if lack < 0:
            values = values.take(range((-lack) // 2, (-lack) // 2 + side), axis)
        elif lack:
            around = [(0, 0)] * values.ndim
            around[axis] = (lack // 2, lack - lack // 2)
            values = np.pad(values, around, constant_values=fill)
    return values
