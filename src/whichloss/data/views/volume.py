"""Volume: grey values on a grid, and where the grid lies in the world."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    r"""Grey values, (D, H, W), int16 or float32; in CT Hounsfield units.

    The voxel of index $i = (x, y, z)$, `values[z, y, x]`, lies at

    $$p = \mathrm{origin} + \mathrm{direction}\,(\mathrm{spacing} \cdot i)$$

    in millimetres towards the patient's left, back and head (LPS), as in DICOM, ITK and the lists of LUNA16. The
    columns of `direction`, (3, 3), say where the axes x, y, z of the grid point to; they may be oblique.
    """

    values: np.ndarray
    spacing: np.ndarray  # (3,): x, y, z, mm
    origin: np.ndarray  # (3,): of voxel (0, 0, 0), mm
    direction: np.ndarray  # (3, 3)

    @property
    def size(self) -> np.ndarray:
        """Voxels along x, y, z."""
        return np.array(self.values.shape[::-1])

    @property
    def steps(self) -> np.ndarray:
        """(3, 3): column k is the way from a voxel to the next along axis k, mm."""
        return self.direction * self.spacing

    @cached_property
    def to_voxels(self) -> np.ndarray:
        """(3, 3): turns a way in mm into one in voxels."""
        return np.linalg.inv(self.steps)

    def index(self, points: np.ndarray) -> np.ndarray:
        """Continuous indices (..., 3), x, y, z, of points in the world."""
        return (np.asarray(points, float) - self.origin) @ self.to_voxels.T

    def world(self, index: np.ndarray) -> np.ndarray:
        """Points (..., 3) of continuous indices."""
        return np.asarray(index, float) @ self.steps.T + self.origin

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Whether each of points (n, 3) is in a voxel, which reaches half a step around its index."""
        index = self.index(points)
        return np.all((index >= -0.5) & (index < self.size - 0.5), axis=-1)
