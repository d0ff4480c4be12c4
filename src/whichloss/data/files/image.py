"""Any file as an array in the common orientation: pictures and volumes, images and masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whichloss.core import UserError
from whichloss.core.rows import slabs

from ..views.read import ENDINGS as VOLUMES
from ..views.read import ending, read_channels, read_volume
from ..views.volume import Volume
from .frame import Frame
from .picture import ENDINGS as PICTURES
from .picture import is_picture, read_drawn, read_picture
from .place import Place

_NEAR = 0.5  # voxels by which a mask may lie beside its image: headers are rounded, and copied by hand


@dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """values: (C, *S), float32."""

    values: np.ndarray
    frame: Frame
    volume: Volume | None = None  # the first channel as the file has it; None for pictures


def is_image(place: Place) -> bool:
    """By its name; a folder may be a DICOM series and is asked about elsewhere."""
    return is_picture(place) or bool(ending(Path(place.name)))


def stem(place: Place) -> str:
    """The name without its ending."""
    known = next((one for one in sorted((*VOLUMES, *PICTURES), key=len) if place.name.lower().endswith(one)), "")
    known = ending(Path(place.name)) or known
    return place.name[: len(place.name) - len(known)] if known and not place.is_dir() else place.name


def read_image(places: Sequence[Place], window: tuple[float, ...] | None = None) -> Image:
    """One image; of several files each is a channel.

    Pictures are as `read_picture` says. Volumes, and DICOM images, have grey values of any range: with a window its
    ends become 0 and 1, and what is beyond them, too; without, each channel gets mean 0 and standard deviation 1.
    """
    if is_picture(places[0]):
        parts = [read_picture(one) for one in places]
        if len({one.shape[1:] for one in parts}) > 1:
            raise UserError(f"{places[0].name} and {places[1].name} are channels of one image, and differ in size")
        values = np.concatenate(parts)
        grey = window is not None or places[0].name.lower().endswith(".dcm")
        return Image(values=normalised(values, window) if grey else values, frame=Frame(shape=values.shape[1:]))
    volumes: list[Volume] = []
    for place in places:
        volumes += read_channels(_file(place))
        refuse_apart(volumes[0], volumes[-1], str(place), "the first channel")
    frame = Frame.of(volumes[0])
    values = np.stack([frame.into(one.values).astype(np.float32) for one in volumes])
    return Image(values=normalised(values, window), frame=frame, volume=volumes[0])


def read_mask(place: Place, image: Image, name: str) -> np.ndarray:
    """(*S), with the values of the file, in the orientation of its image `name`; refuses one that lies elsewhere."""
    if is_picture(place):
        mask = read_drawn(place)
    else:
        drawn = read_volume(_file(place))
        if image.volume is not None:
            refuse_apart(image.volume, drawn, str(place), f"its image {name}")
        mask = image.frame.into(drawn.values) if image.volume is not None else drawn.values
    if mask.shape != image.frame.shape:
        axes = "(height x width)" if mask.ndim == 2 else "(z x y x x)"
        raise UserError(
            f"{name} is {by(image.frame.shape)} {axes}, its mask {place.name} is {by(mask.shape)};"
            " they must have one size"
        )
    return mask


def normalised(values: np.ndarray, window: tuple[float, ...] | None) -> np.ndarray:
    """(C, *S): from 0 to 1 within the window, or of mean 0 and standard deviation 1 in each channel."""
    values = np.array(values, np.float32, order="C")
    normalise(values, window)
    return values


def normalise(values: np.ndarray, window: tuple[float, ...] | None) -> None:
    """As `normalised`, in place and part by part, so that what lies in a file need not fit into memory."""
    for channel in values:
        layers = [channel[part] for part in slabs(channel.shape)]
        mean = sum(one.sum(dtype=float) for one in layers) / channel.size
        square = 0.0 if window else sum(((one - np.float64(mean)) ** 2).sum() for one in layers)
        deviation = np.sqrt(square / channel.size) or np.float64(1)
        for one in layers:
            if window is not None:
                low, high = window
                one[...] = ((one - np.float32(low)) / np.float32(high - low)).clip(0, 1)
            else:
                one[...] = (one - np.float64(mean)) / deviation


def refuse_apart(first: Volume, other: Volume, name: str, what: str) -> None:
    """Refuse two volumes that do not lie on one grid in the body."""
    if first.values.shape != other.values.shape:
        raise UserError(
            f"{name} is {by(other.values.shape)} (z x y x x), and {what} is {by(first.values.shape)};"
            " they must have one size"
        )
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (first.size - 1)
    away = np.abs(first.index(other.world(corners)) - corners).max()
    if away > _NEAR:
        raise UserError(
            f"{name} and {what} lie up to {away:.1f} voxels apart in the body: spacing, origin or direction differ\n"
            "  remedy: resample one onto the grid of the other, or correct its header"
        )


def by(size: Sequence[float]) -> str:
    return " x ".join(map(str, size))


def _file(place: Place) -> Path:
    if not isinstance(place, Path):
        raise UserError(f"{place}: volumes are not read out of a .zip archive; unpack it")
    return place
