"""Pictures: PNG, JPEG, TIFF, and single DICOM images."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from whichloss.core import UserError

from ..views.read import need
from .place import Place

TIFF, DICOM = (".tif", ".tiff"), (".dcm",)
ENDINGS = (".png", ".jpg", ".jpeg", *TIFF, *DICOM)
# what pillow calls the mode of a picture, and how it is read: transparency goes, a palette is looked up
_MODES = {"1": "L", "L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "P": "RGB", "PA": "RGB", "F": "F"}
_BITS = 258  # the tag of a TIFF that says how many bits a sample has
_WHITE = {"uint8": 255.0, "uint16": 65535.0}


def is_picture(place: Place) -> bool:
    return place.name.lower().endswith(ENDINGS)


def read_picture(place: Place) -> np.ndarray:
    """(channels, H, W), float32, 1 or 3 channels: 8 bit divided by 255, 16 bit by 65535, floats as they are.

    A DICOM image has its rescaled values as they are, MONOCHROME1 with the other sign, so that more is brighter.
    """
    if place.name.lower().endswith(DICOM):
        return _dicom(place)
    picture = _open(place)
    if isinstance(picture, np.ndarray):
        pixels = picture
    elif picture.mode.startswith("I;16"):
        pixels = np.asarray(picture).astype(np.uint16)
    elif (mode := _MODES.get(picture.mode)) is not None:
        pixels = np.asarray(picture.convert(mode))
    else:
        raise UserError(f"{place}: pictures of mode {picture.mode} are not read; save it as grey or RGB")
    white = _WHITE.get(pixels.dtype.name, 1.0)
    return np.moveaxis(np.atleast_3d(pixels.astype(np.float32) / np.float32(white)), 2, 0)


def read_drawn(place: Place) -> np.ndarray:
    """A mask, (H, W), with the values that it has."""
    if place.name.lower().endswith(DICOM):
        return _dicom(place)[0]
    picture = _open(place)
    if isinstance(picture, np.ndarray):
        bands = list(np.moveaxis(np.atleast_3d(picture), 2, 0))
    else:
        picture = picture.convert("L") if picture.mode == "1" else picture  # 0 and 255, like other masks of yes and no
        if len(picture.getbands()) == 1:
            return np.asarray(picture)  # a palette colours the classes, which are its numbers
        bands = [np.asarray(picture.getchannel(name)) for name in picture.getbands() if name != "A"]
    if any(not np.array_equal(band, bands[0]) for band in bands):
        raise UserError(f"{place} is in colour; a mask has one channel, which holds the class of each pixel")
    return bands[0]


def series_of(place: Place) -> str:
    """The series that a DICOM file belongs to; the file itself where it says none."""
    try:
        header = need("pydicom", place).dcmread(io.BytesIO(place.read_bytes()), stop_before_pixels=True)
    except UserError:
        raise
    except Exception:  # no DICOM file at all
        return str(place)
    return str(header.get("SeriesInstanceUID", place))


def write_drawn(path: Path, mask: np.ndarray) -> None:
    """A mask as PNG or TIFF of 8 bit."""
    from PIL import Image

    Image.fromarray(mask.astype(np.uint8)).save(path)


def _open(place: Place) -> Any:
    """Pillow's picture; or an array (H, W[, 3]) of a TIFF that Pillow does not know, or of which, as of 16 bit RGB, it
    would keep 8."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(place.read_bytes())) as picture:
            pages = getattr(picture, "n_frames", 1)
            deep = max(getattr(picture, "tag_v2", {}).get(_BITS, (8,))) > 8 and len(picture.getbands()) > 1
            picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, Image.UnidentifiedImageError) and place.name.lower().endswith(TIFF):
            return _tiff(place)
        raise UserError(f"{place} cannot be read as a picture: {error}") from error
    if pages > 1:
        raise UserError(f"{place} holds {pages} pictures; one to a file is read")
    return _tiff(place) if deep else picture


def _tiff(place: Place) -> np.ndarray:
    try:
        pixels = need("tifffile", place).imread(io.BytesIO(place.read_bytes()))
    except UserError:
        raise
    except Exception as error:  # whatever its decoders raise
        raise UserError(f"{place} cannot be read as a picture: {error}") from error
    if pixels.dtype.name not in (*_WHITE, "float32", "float64") or pixels.shape[2:] not in ((), (1,), (3,)):
        raise UserError(f"{place} holds {pixels.dtype} of shape {pixels.shape}; save it as grey or RGB, (H, W[, 3])")
    return pixels


def _dicom(place: Place) -> np.ndarray:
    pydicom = need("pydicom", place)
    try:
        image = pydicom.dcmread(io.BytesIO(place.read_bytes()))
        values = image.pixel_array.astype(np.float32)
        values = values * float(image.get("RescaleSlope", 1)) + float(image.get("RescaleIntercept", 0))
    except Exception as error:  # pydicom and its decoders raise many kinds
        raise UserError(f"{place} cannot be read as a DICOM image: {error}") from error
    if values.ndim != 2:
        raise UserError(f"{place} has the shape {values.shape}; one grey image to a file is read")
    return -values[None] if image.get("PhotometricInterpretation") == "MONOCHROME1" else values[None]
