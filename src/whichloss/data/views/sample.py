"""Grey values on planes through a volume: linear or cubic interpolation, many views at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from math import ceil

import numpy as np
import torch
from torch import Tensor

from .frames import PLANES, Frames
from .volume import Volume

AIR = -1000.0  # Hounsfield units: what lies outside of the volume
LEVELS = 255  # grey levels above black
_MARGIN = 3  # voxels around what is looked at: neighbours of a sample, and rounding
_ON_THE_EDGE = 1e-4  # voxels by which rounding may move a sample beyond the outermost voxels
_AHEAD = 8  # parts for each thread
_MOST_VOXELS = 2**26  # in boxes at once, to bound the memory of a device


class Sampler:
    r"""Values of a volume between its voxels, $\sum_{ijk} c_{ijk} B(x - i) B(y - j) B(z - k)$; beyond them is AIR.

    linear: $c$ is the volume, $B(t) = \max(0, 1 - |t|)$; 8 voxels count. cubic: B-splines of degree 3 through the
    values of the voxels; 64 coefficients count, which are found once, when this is made (float32, mirrored at the
    border as in scipy.ndimage). A sample is outside if it is beyond the centres of the outermost voxels.

    Around each point a small box of the volume is made float32 and sampled on `device`; the volume stays as it is.
    """

    def __init__(self, volume: Volume, interpolation: str = "linear", device: str | torch.device = "cpu") -> None:
        self.volume, self.weights, self.device = volume, WEIGHTS[interpolation], torch.device(device)
        self.values = torch.from_numpy(_coefficients(volume.values) if interpolation == "cubic" else volume.values)

    def batches(
        self, frames: Frames, size: int, window: Sequence[float] | None = None
    ) -> Iterator[tuple[slice, Tensor]]:
        """Some points at a time: which, and their views (b, V, 3, size, size).

        The three planes are axial, coronal and sagittal; PLANES says which way is right and down. Values are float32,
        in the unit of the volume; with a window grey levels, uint8.
        """

        def views(at: slice) -> Tensor:
            values = self._views(frames[at], size, box)
            return values if window is None else grey(values, window)

        box = self._box(frames)
        # a CPU is fastest while all that belongs to one point stays in its cache
        most = 1 if self.device.type == "cpu" else max(1, _MOST_VOXELS // int(box.prod()))
        parts = [slice(first, min(first + most, len(frames))) for first in range(0, len(frames), most)]
        yield from zip(parts, _side_by_side(views, parts), strict=True)

    def __call__(self, frames: Frames, size: int) -> Tensor:
        """All views (n, V, 3, size, size)."""
        shape = (0, len(frames.edges), len(PLANES), size, size)
        return torch.cat([torch.empty(shape, device=self.device), *(part for _, part in self.batches(frames, size))])

    def _box(self, frames: Frames) -> np.ndarray:
        """Voxels along x, y, z that hold all of what is looked at around a point."""
        half = np.linalg.norm(self.volume.to_voxels, axis=1) * frames.reach
        return np.array([2 * (ceil(one) + _MARGIN) for one in half])

    def _views(self, frames: Frames, size: int, box: np.ndarray) -> Tensor:
        starts = np.floor(self.volume.index(frames.points)).astype(int) - box // 2 + 1
        middle, right, down = frames.planes(size)
        middle = self.volume.index(middle) - starts[:, None, None]
        right, down = (way @ self.volume.to_voxels.T for way in (right, down))
        places = self._places(middle, right, down, size)
        values = _interpolated(self._crops(starts, box).to(self.device), places, self.weights)
        self._fill_outside(values, places, starts, box)
        return values.view(len(frames), -1, len(PLANES), size, size)

    def _places(self, middle: np.ndarray, right: np.ndarray, down: np.ndarray, size: int) -> Tensor:
        """Where in its box each pixel lies, (3: x y z, n, V * planes, size, size), voxels."""

        def each(part: np.ndarray) -> Tensor:
            axes = torch.from_numpy(part).to(self.device, torch.float32).flatten(1, 2)
            return axes.movedim(-1, 0)[..., None, None]

        along = torch.arange(size, dtype=torch.float32, device=self.device) - (size - 1) / 2
        return (each(middle) + along[:, None] * each(down)) + along * each(right)

    def _crops(self, starts: np.ndarray, box: np.ndarray) -> Tensor:
        """(n, D, H, W), float32: the boxes that begin at these indices (n, 3)."""
        crops = torch.empty((len(starts), *box[::-1].tolist()))
        for crop, start in zip(crops, starts, strict=True):
            crop[:] = self._crop(start, box)
        return crops

    def _crop(self, start: np.ndarray, box: np.ndarray) -> Tensor:
        """(D, H, W) of the box; mirrored where it is beyond the volume."""
        values, stop = self.values, start + box
        sides = list(zip(values.shape, start[::-1].tolist(), stop[::-1].tolist(), strict=True))
        for axis, (length, low, high) in enumerate(sides):
            if low >= 0 and high <= length:
                values = values.narrow(axis, low, high - low)
        for axis, (length, low, high) in enumerate(sides):
            if low < 0 or high > length:
                values = values.index_select(axis, _mirrored(torch.arange(low, high), length))
        return values

    def _fill_outside(self, values: Tensor, places: Tensor, starts: np.ndarray, box: np.ndarray) -> None:
        last = self.volume.size - 1
        for k in np.flatnonzero(((starts < 0) | (starts + box > last + 1)).any(-1)):
            for axis, place in enumerate(places[:, k]):
                low, high = -starts[k, axis] - _ON_THE_EDGE, last[axis] - starts[k, axis] + _ON_THE_EDGE
                values[k].masked_fill_((place < low) | (place > high), AIR)


def _side_by_side(do: Callable[[slice], Tensor], parts: Sequence[slice]) -> Iterator[Tensor]:
    """What is done of each part, in as many threads as torch has, each part in one of them.

    Threads that share every operation, as torch's do, wait for each other at each: where other processes keep one from
    its core, that was 20 times slower than one thread alone.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(parts) == 1:
        yield from map(do, parts)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=_work_alone) as pool:
            for first in range(0, len(parts), _AHEAD * threads):  # so that few results wait
                yield from pool.map(do, parts[first : first + _AHEAD * threads])
    finally:
        torch.set_num_threads(threads)


def _work_alone() -> None:
    """Operations that this thread starts do not ask other threads to help."""
    torch.get_num_threads()  # makes torch look up the usual number, which it would do later, and forget ours
    torch.set_num_threads(1)


def grey(values: Tensor, window: Sequence[float]) -> Tensor:
    """Grey levels 0 .. 255, uint8, of Hounsfield units: the window's ends and what is beyond are black and white."""
    low, high = window
    return ((values - low) * (LEVELS / (high - low))).clamp_(0, LEVELS).round_().to(torch.uint8)


def _coefficients(values: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    coefficients = np.empty(values.shape, dtype=np.float32)
    ndimage.spline_filter(values, order=3, output=coefficients, mode="mirror")  # pyright: ignore[reportArgumentType]
    return coefficients


def _mirrored(index: Tensor, length: int) -> Tensor:
    """Indices beyond the ends, reflected about the first and the last voxel: 2 1 0 1 2 ... n-1 n-2."""
    if length == 1:
        return torch.zeros_like(index)
    index = index.remainder(2 * length - 2)
    return torch.minimum(index, 2 * length - 2 - index)


def _linear(f: Tensor) -> list[Tensor]:
    return [1 - f, f]


def _cubic(f: Tensor) -> list[Tensor]:
    square, cube, rest = f * f, f * f * f, 1 - f
    first, third, fourth = rest * rest * rest / 6, (1 + 3 * (f + square - cube)) / 6, cube / 6
    return [first, 1 - first - third - fourth, third, fourth]


# of the neighbours along an axis, as many before a sample as after it, by how far it is beyond the one before
WEIGHTS: dict[str, Callable[[Tensor], list[Tensor]]] = {"linear": _linear, "cubic": _cubic}
INTERPOLATIONS = tuple(WEIGHTS)


def _interpolated(crops: Tensor, places: Tensor, weights: Callable[[Tensor], list[Tensor]]) -> Tensor:
    """(n, images, size, size) from boxes (n, D, H, W) and places (3, n, images, size, size) in them."""
    n, depth, height, width = crops.shape
    whole = places.floor()
    x, y, z = whole.to(torch.int32)
    of_x, of_y, of_z = zip(*weights(places - whole), strict=True)
    box = torch.arange(n, dtype=torch.int32, device=crops.device).view(n, 1, 1, 1) * depth
    taps = range(1 - len(of_x) // 2, 1 + len(of_x) // 2)
    first = ((((box + z + taps[0]) * height + y + taps[0]) * width) + x + taps[0]).view(-1)
    flat, total = crops.view(-1), torch.zeros_like(places[0])
    for k, j in product(range(len(taps)), repeat=2):
        row = (k * height + j) * width
        line = torch.zeros_like(total)
        for i, weight in enumerate(of_x):
            line.addcmul_(flat[row + i :].index_select(0, first).view_as(total), weight)
        total.addcmul_(line, of_y[j] * of_z[k])
    return total
