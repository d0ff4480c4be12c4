"""Frame: how an image lay in its file, and the way back to it from the orientation and size that all have in common."""

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from ..views.volume import Volume
from .resize import centred, nearest


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Of a volume: which axes of the file, (z, y, x), became the axes of the array, and which were turned around.

    The array is (D, H, W) towards the patient's head, back and left (LPS): each axis of the file goes to the direction
    of the body that it is closest to. An oblique volume stays oblique; nothing is interpolated.
    """

    shape: tuple[int, ...]  # of the array, (H, W) or (D, H, W), before it is brought to any size
    spacing: tuple[float, ...] = ()  # of its axes, mm; of pictures nothing is known
    axes: tuple[int, ...] = ()
    turned: tuple[int, ...] = ()  # axes of the array

    @classmethod
    def of(cls, volume: Volume) -> "Frame":
        order = _closest(volume.direction)
        axes = tuple(2 - order[2 - axis] for axis in range(3))
        turned = tuple(axis for axis in range(3) if volume.direction[2 - axis, order[2 - axis]] < 0)
        return cls(
            shape=tuple(volume.values.shape[axis] for axis in axes),
            spacing=tuple(float(volume.spacing[2 - axis]) for axis in axes),
            axes=axes,
            turned=turned,
        )

    def into(self, values: np.ndarray) -> np.ndarray:
        """From the axes of the file to those of the array."""
        return np.flip(values.transpose(self.axes), self.turned) if self.axes else values

    def out_of(self, values: np.ndarray) -> np.ndarray:
        """The way back."""
        return np.ascontiguousarray(self.seen(values))

    def seen(self, values: np.ndarray) -> np.ndarray:
        """The same memory, as the file has its axes."""
        return np.flip(values, self.turned).transpose(np.argsort(self.axes)) if self.axes else values

    def scaled(self, size: tuple[int, ...] | None, spacing: tuple[float, ...] | None) -> tuple[int, ...]:
        """The shape at this spacing; else this size; else as it is. The field of view stays, so that the spacing is
        met up to half a voxel in the whole."""
        if spacing is not None:
            pairs = zip(self.shape, self.spacing, spacing, strict=True)
            return tuple(max(1, round(side * own / wanted)) for side, own, wanted in pairs)
        return self.shape if size is None else size

    def restored(self, mask: np.ndarray, spacing: tuple[float, ...] | None) -> np.ndarray:
        """A mask of class indices, as the network sees it, back on the grid of the file; 0 where it did not look."""
        at_spacing = mask if spacing is None else centred(mask, self.scaled(None, spacing), 0)
        return self.out_of(nearest(at_spacing, self.shape))


def _closest(direction: np.ndarray) -> tuple[int, ...]:
    """For left, back and head, the axis x, y, z of the grid that goes there, or the other way."""
    return max(permutations(range(3)), key=lambda order: sum(abs(direction[k, order[k]]) for k in range(3)))
