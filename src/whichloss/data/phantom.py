"""One volume of the lymph node phantom: what chance decides about it, and how views of it are drawn from that.

A volume has places. At each lies one structure, a lesion or a vessel, with others beside it. A candidate is a mark near
a place, and a view of it is three orthogonal planes around the mark. The two steps are apart, so that the same anatomy
can be drawn again with one fact changed:

    >>> from dataclasses import replace
    >>> volume = draw(0, 7, views=5, lesions=5.585, hits=2, negatives=38, neighbours=1.0)
    >>> rounder = replace(volume.structures, elongation=volume.structures.elongation**0.5)
    >>> render(rounder, volume.views, size=20).shape == (5 * volume.candidates, 3, 20, 20)
    True
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

# lengths are pixels of a view at scale 1
RADIUS = (2.5, 6.0)  # of lesions and vessels across their axis
BESIDE_RADIUS = (1.5, 4.0)
LESION = (0.9, 2.2)  # elongation, axis over radius: below 1 a disc
VESSEL = (1.2, 8.0)
CONTRAST = (0.8, 1.2)
DISTANCE = (4.0, 12.0)  # of a neighbour's middle
MISS = 1.5  # how far a mark is off the middle of its place, along each axis
SHIFT = 1.5  # how far a view is off its mark
SCALES = (1.0, 1.5)  # pixels from sample to sample
EDGE = 0.6  # width over which a structure fades
PLANES = ((0, 1), (0, 2), (1, 2))  # the two axes of the frame that run down and right


@dataclass(frozen=True, kw_only=True)
class Structures:
    """K spheroids. The first M are what the M places of a volume are about, the others lie beside them."""

    place: np.ndarray  # (K,): 0 .. M - 1
    centre: np.ndarray  # (K, 3), from the middle of the place
    axis: np.ndarray  # (K, 3), of length 1
    radius: np.ndarray  # (K,), across the axis: b
    elongation: np.ndarray  # (K,): e; the semi-axes are b, b and e b
    contrast: np.ndarray  # (K,): h, grey level inside


@dataclass(frozen=True, kw_only=True)
class Views:
    """V frames, from which places are looked at."""

    place: np.ndarray  # (V,)
    origin: np.ndarray  # (V, 3), from the middle of the place
    frame: np.ndarray  # (V, 3, 3): rows are orthogonal, of length 1
    scale: np.ndarray  # (V,)


@dataclass(frozen=True, kw_only=True)
class Volume:
    """All that chance decided about one volume, grain excepted. Lesions come before vessels, as do their candidates."""

    lesions: int  # of the places, the first
    structures: Structures
    candidates: int
    views: Views  # of the first candidate, then of the second, ...


def draw(seed: int, number: int, *, views: int, lesions: float, hits: int, negatives: int, neighbours: float) -> Volume:
    """Each volume from a seed of its own. Fewer views are the beginning of more, of the same anatomy.

    lesions, neighbours: mean numbers, of a volume and of a place. hits: candidates of each lesion.
    """
    anatomy, frames = _chances(seed, number)[:2]
    found = int(anatomy.poisson(lesions))
    places = found + negatives
    beside = anatomy.poisson(neighbours, places)
    place = np.concatenate([np.arange(places), np.repeat(np.arange(places), beside)])
    seen = np.concatenate([np.repeat(np.arange(found), hits), np.arange(found, places)])
    structures = _structures(anatomy.random((len(place), 8)), place, found, places)
    miss = MISS * (2 * anatomy.random((len(seen), 3)) - 1)
    return Volume(
        lesions=found,
        structures=structures,
        candidates=len(seen),
        views=_views(frames.random((views, len(seen), 7)), seen, miss),
    )


def grain(seed: int, number: int, *, views: int, candidates: int, size: int) -> np.ndarray:
    """White noise of variance 1 for all views of a volume, (V, 3, size, size)."""
    white = _chances(seed, number)[2].standard_normal((views, candidates, 3, size, size))
    return white.swapaxes(0, 1).reshape(-1, 3, size, size)


def render(structures: Structures, views: Views, size: int) -> np.ndarray:
    """The brightest of what lies at each sample, without noise: (V, 3, size, size), float64."""
    view, structure = _pairs(structures, views)
    pictures = _density(structures, structure, views, view, size)
    return np.maximum.reduceat(pictures, np.searchsorted(view, np.arange(len(views.place))))


def _chances(seed: int, number: int) -> list[Generator]:
    """Of anatomy, frames and grain, so that asking for more of one changes nothing in the others."""
    return [Generator(PCG64(one)) for one in SeedSequence(seed, spawn_key=(number,)).spawn(3)]


def _structures(chance: np.ndarray, place: np.ndarray, lesions: int, places: int) -> Structures:
    """From eight uniform chances of each."""
    number = np.arange(len(place))
    lesion, beside = number < lesions, number >= places
    radius, elongation, contrast, distance = chance[:, :4].T
    away = np.where(beside, _between(DISTANCE, distance), 0.0)
    return Structures(
        place=place,
        centre=away[:, None] * _direction(chance[:, 4:6]),
        axis=_direction(chance[:, 6:8]),
        radius=np.where(beside, _between(BESIDE_RADIUS, radius), _between(RADIUS, radius)),
        elongation=np.where(lesion, _between(LESION, 1 - np.sqrt(elongation)), _between(VESSEL, elongation)),
        contrast=_between(CONTRAST, contrast),
    )


def _views(chance: np.ndarray, seen: np.ndarray, miss: np.ndarray) -> Views:
    """From seven uniform chances of each view of each candidate, (views, candidates, 7)."""
    views = len(chance)
    chance = chance.swapaxes(0, 1).reshape(-1, 7)
    return Views(
        place=np.repeat(seen, views),
        origin=np.repeat(miss, views, axis=0) + SHIFT * (2 * chance[:, :3] - 1),
        frame=_rotation(chance[:, 3:6]),
        scale=np.where(chance[:, 6] < 0.5, *SCALES),
    )


def _pairs(structures: Structures, views: Views) -> tuple[np.ndarray, np.ndarray]:
    """Each view with each structure of its place, view by view."""
    by_place = np.argsort(structures.place, kind="stable")
    first = np.searchsorted(structures.place[by_place], views.place, side="left")
    last = np.searchsorted(structures.place[by_place], views.place, side="right")
    count = last - first
    view = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(view)) - np.repeat(np.cumsum(count) - count, count)
    return view, by_place[first[view] + within]


def _density(structures: Structures, k: np.ndarray, views: Views, v: np.ndarray, size: int) -> np.ndarray:
    """What structure k[p] alone shows in view v[p]: h sigma(b (1 - rho) / EDGE), (P, 3, size, size).

    A sample is x = o + s (i f + j g) from the structure's middle: i and j steps along two axes of the frame. These are
    orthogonal, so that |x|^2, like n.x, is one number for each row plus one for each column.
    """
    step = np.arange(size) - (size - 1) / 2
    origin, axis = views.origin[v] - structures.centre[k], structures.axis[k]
    frame = views.scale[v][:, None, None] * views.frame[v]
    length = 2 * step * _dot(frame, origin)[..., None] + (step * views.scale[v][:, None, None]) ** 2
    along = _over_planes(step * _dot(frame, axis)[..., None]) + _wide((origin * axis).sum(1))  # n.x
    square = _over_planes(length) + _wide((origin * origin).sum(1))  # |x|^2
    flat = _wide(1 - structures.elongation[k] ** -2.0)
    distance = np.sqrt(np.maximum(square - flat * along**2, 0))  # b rho; rounding may take a 0 below it
    # a logistic step, written with tanh, which does not overflow
    return _wide(structures.contrast[k] / 2) * (1 + np.tanh((_wide(structures.radius[k]) - distance) / (2 * EDGE)))


def _dot(frame: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """With each axis of the frame: (P, 3, 3) and (P, 3) to (P, 3)."""
    return (frame * vector[:, None, :]).sum(2)


def _over_planes(by_axis: np.ndarray) -> np.ndarray:
    """The sum of one number for each row and one for each column: (P, 3, size) to (P, 3, size, size)."""
    down, right = zip(*PLANES, strict=True)
    return by_axis[:, down, :, None] + by_axis[:, right, None, :]


def _between(limits: tuple[float, float], share: np.ndarray) -> np.ndarray:
    return limits[0] + (limits[1] - limits[0]) * share


def _direction(chance: np.ndarray) -> np.ndarray:
    """Evenly over the sphere, from two chances of each: (K, 2) to (K, 3)."""
    height, turn = 2 * chance[:, 0] - 1, 2 * np.pi * chance[:, 1]
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], 1)


def _rotation(chance: np.ndarray) -> np.ndarray:
    """Evenly over all rotations, from three chances of each: (V, 3) to (V, 3, 3). Shoemake (1992)."""
    share, first, second = chance[:, 0], 2 * np.pi * chance[:, 1], 2 * np.pi * chance[:, 2]
    short, long = np.sqrt(1 - share), np.sqrt(share)
    x, y, z, w = short * np.sin(first), short * np.cos(first), long * np.sin(second), long * np.cos(second)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, 1) for row in rows], 1)


def _wide(per_pair: np.ndarray) -> np.ndarray:
    return per_pair[:, None, None, None]
