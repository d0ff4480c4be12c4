"""The same image twice, or nearly the same."""

from collections.abc import Sequence

import numpy as np

from whichloss.data.files.resize import linear

SIDE = 32  # pixels of a thumbnail
ALIKE = 0.995  # correlation of thumbnails


def thumbnail(image: np.ndarray) -> np.ndarray:
    """(C, *S) to (SIDE * SIDE,): grey, the middle slice of a volume; of mean 0 and length 1, zeros if it is blank."""
    grey = image.mean(0)
    grey = grey[len(grey) // 2] if grey.ndim == 3 else grey
    flat = linear(grey[None], (SIDE, SIDE)).ravel().astype(np.float64)
    flat -= flat.mean()
    length = np.linalg.norm(flat)
    return (flat / length if length > 1e-6 * SIDE else 0 * flat).astype(np.float32)


def near(thumbnails: Sequence[np.ndarray], marks: Sequence[bytes | None]) -> list[tuple[int, int]]:
    """Pairs of images that look the same and are not the same to the last bit, the most alike first."""
    table = np.stack(thumbnails)
    found: list[tuple[float, int, int]] = []
    for first in range(0, len(table), 512):
        alike = table[first : first + 512] @ table.T
        for at, other in zip(*np.nonzero(alike > ALIKE), strict=True):
            one = int(first + at)
            if one < other and (marks[one] is None or marks[one] != marks[other]):
                found.append((-float(alike[at, other]), one, int(other)))
    return [(one, other) for _, one, other in sorted(found)]


def same(marks: Sequence[bytes | None]) -> list[list[int]]:
    """Groups of two or more images that are the same to the last bit."""
    places: dict[bytes, list[int]] = {}
    for at, mark in enumerate(marks):
        if mark is not None:
            places.setdefault(mark, []).append(at)
    return [group for group in places.values() if len(group) > 1]
