"""Distances on a CPU by scipy, in a time that grows with the number of voxels alone."""

from collections.abc import Sequence

import torch
from torch import Tensor


def to_nearest(objects: Tensor, spacing: Sequence[float]) -> Tensor:
    """From each voxel of (*S), bool, on the CPU, to the nearest that is True, of which there is one; float64."""
    from scipy.ndimage import distance_transform_edt  # not before it is needed: it takes a while to import

    return torch.from_numpy(distance_transform_edt(~objects.numpy(), sampling=list(spacing)))
