"""Images and masks in two folders, paired by name."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import field
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from whichloss.core import FieldError, Task, UserError, count, location, text
from whichloss.core.fields import SPEC, Spec

from .cases import Cases
from .dataset import DataSet
from .find import Root, find_file
from .masks import read_masks

if TYPE_CHECKING:
    from PIL import Image

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
# what pillow calls the mode of a picture, and how it is read: transparency goes, a palette is looked up
_MODES = {"1": "L", "L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "P": "RGB", "PA": "RGB", "F": "F"}


def _height_width(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if any(isinstance(one, bool) for one in pair):
        raise TypeError
    height, width = map(index, pair)
    if min(height, width) < 1:
        raise ValueError
    return height, width


class Folder(DataSet):
    """A folder that holds `images/NAME.*` and `masks/NAME.*`, PNG, JPEG or TIFF, for segmentation.

    Images are grey or RGB, 8 bit (divided by 255), 16 bit grey (by 65535) or float (as they are); transparency is
    dropped. Masks hold the values that `masks.py` says.

    `group` is a regular expression: what its first bracket finds in NAME is the patient, as in group='^(P[0-9]+)_'.
    `size` brings all images to one size, H = W or (H, W): bilinear for images, nearest neighbour for masks.
    """

    path: str = location()
    images: str = text("images")
    masks: str = text("masks")
    group: str | None = text(None, optional=True)
    size: tuple[int, int] | None = field(
        default=None, metadata={SPEC: Spec(_height_width, "a whole number of pixels, or (H, W), or None")}
    )
    ignore: int | None = count(None, low=0, optional=True)  # mask value of pixels that have no say

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(path="cells", group=r"^(p\d+)_"), cls(path="cells", size=(12, 16))]

    def check(self) -> None:
        if self.group is None:
            return
        try:
            brackets = re.compile(self.group).groups
        except re.error as error:
            raise FieldError(f"Folder: group is {self.group!r}, which is no regular expression: {error}") from None
        if not brackets:
            raise FieldError(
                f"Folder: group is {self.group!r}; put the part that names the patient in brackets: '(...)'"
            )

    def load(self, root: Root = None) -> Cases:
        path = find_file(self.path, root)
        images, masks = _pictures(path, self.images), _pictures(path, self.masks)
        _refuse_unpaired(images, masks, self)
        names = tuple(sorted(images))
        groups = tuple(self._patient(name) for name in names)
        pairs = [self._pair(images[name], masks[name]) for name in names]
        self._refuse_unequal([images[name] for name in names], [image for image, _ in pairs])
        pixels = np.stack([image for image, _ in pairs])
        labels, classes = read_masks(
            np.stack([mask for _, mask in pairs]), [f"{self.masks}/{masks[one].name}" for one in names], self.ignore
        )
        return Cases(
            images=torch.from_numpy(pixels),
            labels=torch.from_numpy(labels),
            ids=names,
            task=Task(kind="segmentation", classes=classes, channels=pixels.shape[1], size=pixels.shape[2:]),
            groups=groups,
        )

    def _pair(self, image_file: Path, mask_file: Path) -> tuple[np.ndarray, np.ndarray]:
        """Image (channels, H, W), float32, and mask (H, W)."""
        from PIL.Image import Resampling

        image, mask = _open(image_file), _open(mask_file)
        if image.size != mask.size:
            raise UserError(
                f"{image_file.name} is {_size(image.size[::-1])} (height x width), "
                f"its mask {mask_file.name} is {_size(mask.size[::-1])}; they must have one size"
            )
        image, white = _plain(image, image_file)
        if self.size is not None:
            height, width = self.size
            image = image.resize((width, height), Resampling.BILINEAR)
            mask = mask.resize((width, height), Resampling.NEAREST)
        pixels = np.asarray(image, dtype=np.float32) / np.float32(white)
        return np.ascontiguousarray(np.moveaxis(np.atleast_3d(pixels), 2, 0)), _one_channel(mask, mask_file)

    def _patient(self, name: str) -> str:
        if self.group is None:
            return name
        found = re.search(self.group, name)
        if found is None or found[1] is None:
            raise UserError(f"group={self.group!r} finds no patient in the name {name!r}")
        return found[1]

    def _refuse_unequal(self, files: Sequence[Path], images: Sequence[np.ndarray]) -> None:
        first = images[0].shape
        for file, image in zip(files, images, strict=True):
            if image.shape[0] != first[0]:
                raise UserError(
                    f"{files[0].name} has {first[0]} channels and {file.name} has {image.shape[0]}; "
                    "save all images as grey, or all as RGB"
                )
            if image.shape != first:
                raise UserError(
                    f"{files[0].name} is {_size(first[1:])} (height x width), {file.name} is {_size(image.shape[1:])}; "
                    "bring all to one size with  size=(H, W)"
                )


def _pictures(folder: Path, name: str) -> dict[str, Path]:
    """The pictures in a folder by their names without the ending."""
    if not (folder / name).is_dir():
        inside = sorted(one.name for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []
        raise UserError(
            f"{folder} has no folder {name!r}; " + (f"it has {_some(inside)}" if inside else "it has no folders")
        )
    pictures: dict[str, Path] = {}
    for file in sorted(
        one for one in (folder / name).iterdir() if one.suffix.lower() in ENDINGS and one.name[0] != "."
    ):
        if file.stem in pictures:
            raise UserError(f"{folder / name} has both {pictures[file.stem].name} and {file.name}: which one is meant?")
        pictures[file.stem] = file
    if not pictures:
        raise UserError(f"{folder / name} has no pictures ({', '.join(ENDINGS)})")
    return pictures


def _refuse_unpaired(images: dict[str, Path], masks: dict[str, Path], folder: Folder) -> None:
    lines = [
        f"  no {what} for {_some(sorted(have[one].name for one in have.keys() - other.keys()))}"
        for have, other, what in ((images, masks, "mask"), (masks, images, "image"))
        if have.keys() - other.keys()
    ]
    if lines:
        hint = "  an image and its mask have the same name before the ending, as a.jpg and a.png"
        raise UserError("\n".join([f"{folder.path}: {folder.images} and {folder.masks} do not pair", *lines, hint]))


def _open(file: Path) -> "Image.Image":
    from PIL import Image

    try:
        with Image.open(file) as picture:
            pages = getattr(picture, "n_frames", 1)
            picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{file} cannot be read as a picture: {error}") from error
    if pages > 1:
        raise UserError(f"{file} holds {pages} pictures; one to a file is read")
    return picture


def _plain(picture: "Image.Image", file: Path) -> tuple["Image.Image", float]:
    """The picture in grey or RGB, and the number that is white in it."""
    from PIL import Image

    if picture.mode.startswith("I;16"):
        return Image.fromarray(np.asarray(picture).astype(np.float32)), 65535.0  # floats, which can be resized
    mode = _MODES.get(picture.mode)
    if mode is None:
        raise UserError(f"{file}: pictures of mode {picture.mode} are not read; save it as grey or RGB")
    return picture.convert(mode), 1.0 if mode == "F" else 255.0


def _one_channel(mask: "Image.Image", file: Path) -> np.ndarray:
    mask = mask.convert("L") if mask.mode == "1" else mask  # 0 and 255, like other masks of yes and no
    if len(mask.getbands()) == 1:
        return np.asarray(mask)
    bands = [np.asarray(mask.getchannel(name)) for name in mask.getbands() if name != "A"]
    if any(not np.array_equal(band, bands[0]) for band in bands):
        raise UserError(f"{file} is in colour; a mask has one channel, which holds the class of each pixel")
    return bands[0]


def _size(height_width: tuple[int, ...]) -> str:
    return " x ".join(map(str, height_width))


def _some(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
