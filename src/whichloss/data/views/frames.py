"""Frames: where the three planes of each view lie, as chance decided."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

# the two ways along an image: to the right and down, in the axes (left, back, head) of the frame, as radiologists look
PLANES = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
}
ROTATIONS = ("all", "axial", "none")


@dataclass(frozen=True, kw_only=True, eq=False)
class Frames:
    """For each of n points V views: each the axial, coronal and sagittal plane of a cube, turned and shifted."""

    points: np.ndarray  # (n, 3), mm
    shifts: np.ndarray  # (n, V, 3): from the point to the middle of the cube, mm
    rotations: np.ndarray  # (n, V, 3, 3): columns are the axes of the cube in the world
    edges: np.ndarray  # (V,): of the cubes, mm
    reach: float  # no pixel can be farther from its point, whatever chance decided, mm

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, at: slice) -> "Frames":
        return replace(self, points=self.points[at], shifts=self.shifts[at], rotations=self.rotations[at])

    def planes(self, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Middle, step to the right and step down of each image, (n, V, 3 planes, 3), mm.

        The middles of the outermost of `size` pixels are half a pixel inside the edge of the cube.
        """
        middle = np.repeat((self.points[:, None] + self.shifts)[:, :, None], len(PLANES), axis=2)
        pixel = (self.edges / size)[:, None, None]
        right, down = (
            np.einsum("nvij,pj->nvpi", self.rotations, np.array(ways, float)) * pixel
            for ways in zip(*PLANES.values(), strict=True)
        )
        return middle, right, down


def draw(
    names: Sequence[str],
    points: np.ndarray,
    *,
    views: int = 36,
    scales: Sequence[float] = (30.0, 35.0, 40.0, 45.0),
    shift: float = 3.0,
    shifts: int = 3,
    rotate: str = "all",
    seed: int = 0,
) -> Frames:
    """Frames around points (n, 3) in mm, each from chances of its own, which its name and the seed decide.

    View k has the scale k mod S of S scales, in mm; of these the view number j = k div S has the shift j mod `shifts`,
    and every view has its own rotation. So 36 views are 4 scales x 3 shifts x 3 rotations, any other number is as even
    as it can be, and the first of many views are the few views. A shift has a uniform direction and a uniform length up
    to `shift`, mm. A rotation is uniform among all ("all"), among those around the axis towards the head ("axial"), or
    is none: the chances stay the same, so that two data sets that differ in a field are paired.
    """
    scale, turn = np.arange(views) % len(scales), np.arange(views) // len(scales) % shifts
    streams = [_streams(seed, name) for name in names]
    ways = np.array([one[0].standard_normal((shifts, len(scales), 3)) for one in streams])
    ways = ways.reshape(len(names), shifts, len(scales), 3)
    lengths = np.array([one[1].random((shifts, len(scales))) for one in streams]).reshape(ways.shape[:3])
    moves = ways / np.linalg.norm(ways, axis=-1, keepdims=True) * (shift * lengths[..., None])
    quaternions = np.array([one[2].standard_normal((views, 4)) for one in streams]).reshape(len(names), views, 4)
    return Frames(
        points=np.asarray(points, float).reshape(len(names), 3),
        shifts=moves[:, turn, scale],
        rotations=_rotations(quaternions, rotate),
        edges=np.asarray(scales, float)[scale],
        reach=max(scales) * 0.5**0.5 + shift,
    )


def _streams(seed: int, name: str) -> list[Generator]:
    entropy = int.from_bytes(sha256(f"{seed}/{name}".encode()).digest()[:16], "big")
    return [Generator(PCG64(SeedSequence(entropy, spawn_key=(which,)))) for which in range(3)]


def _rotations(quaternions: np.ndarray, rotate: str) -> np.ndarray:
    """(..., 3, 3) from (..., 4): a normal vector of four has a uniform direction, which is a uniform rotation."""
    if rotate == "none":
        return np.broadcast_to(np.eye(3), (*quaternions.shape[:-1], 3, 3))
    if rotate == "axial":
        quaternions = quaternions * (1, 0, 0, 1)
    w, x, y, z = np.moveaxis(quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)
