"""Lesions: the connected parts of masks."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

Box = tuple[slice, ...]


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """Voxels of one class that hang together, corners included."""

    case: int  # which of the masks
    label: int
    box: Box  # the smallest that holds it
    inside: np.ndarray  # which voxels of the box

    def widened(self, reach: int, shape: tuple[int, ...]) -> tuple[Box, np.ndarray]:
        """The same with `reach` more voxels on each side, as far as a mask of this shape goes."""
        room = [
            (min(reach, side.start), min(reach, size - side.stop)) for side, size in zip(self.box, shape, strict=True)
        ]
        box = tuple(slice(side.start - low, side.stop + high) for side, (low, high) in zip(self.box, room, strict=True))
        return box, np.pad(self.inside, room)


def lesions(masks: np.ndarray) -> list[Lesion]:
    """All of them, each class but background by itself. masks: (N, *S), class indices; -1 belongs to none."""
    corners = np.ones((3,) * (masks.ndim - 1), dtype=bool)
    found = []
    for case, mask in enumerate(masks):
        for label in np.unique(mask[mask > 0]).tolist():
            numbers, _ = ndimage.label(mask == label, structure=corners)  # type: ignore[misc]
            for number, box in enumerate(ndimage.find_objects(numbers), start=1):
                found.append(Lesion(case=case, label=label, box=box, inside=numbers[box] == number))
    return found
