"""FileSet: a data set of files. A layout says where the files of each case lie; all else is here."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import field, replace
from operator import index
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from whichloss.core import FieldError, Task, UserError, count, number, numbers, text
from whichloss.core.fields import SPEC, Spec

from ..cases import Cases
from ..dataset import DataSet
from ..find import Root
from ..masks import read_masks, shown
from .entry import Entry
from .image import Image, by, read_image, read_mask
from .label_map import write_back
from .mapped import in_files, larger_than_memory
from .place import Place, above
from .resize import centred, linear, nearest

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow has it


def _sides(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    sides = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if any(isinstance(one, bool) for one in sides):
        raise TypeError
    sides = tuple(map(index, sides))
    if min(sides) < 1 or len(sides) not in (2, 3):
        raise ValueError
    return sides


class FileSet(DataSet):
    """Cases in files, images as `files/image.py` reads them.

    `size` brings all images to one size, H = W, (H, W) or (D, H, W): linear for images, nearest neighbour for masks.
    `spacing`, (z, y, x) in mm, brings volumes to one spacing, in the orientation that `files/frame.py` says; they are
    then set in the middle of `size`, cut or filled, or of the largest where no size is given.
    `group` is a regular expression: what its first bracket finds in the name of a case is the patient, as in
    group='^(P[0-9]+)_'.
    """

    objects: ClassVar[bool] = False  # whether a case has a mask for each of its objects

    group: str | None = text(None, optional=True)
    size: tuple[int, ...] | None = field(
        default=None, metadata={SPEC: Spec(_sides, "a whole number of pixels, or (H, W), or (D, H, W), or None")}
    )
    spacing: tuple[float, ...] | None = numbers(None, optional=True)  # (z, y, x), mm
    window: tuple[float, ...] | None = numbers(None, optional=True)  # grey values that become 0 and 1
    channels: int | None = count(None, optional=True)  # 1: colours become grey; 3: grey becomes colours
    above: float | None = number(None, optional=True)  # a mask is foreground where it is above this
    ignore: int | None = count(None, low=0, optional=True)  # mask value of pixels that have no say

    @abstractmethod
    def entries(self, root: Root = None) -> list[Entry]:
        """All cases as their files lie, in the order of their names; no image is read."""

    def load(self, root: Root = None) -> Cases:
        return self.cases(self.entries(root))

    def check(self) -> None:
        name = type(self).__name__
        if self.group is not None:
            try:
                brackets = re.compile(self.group).groups
            except re.error as error:
                raise FieldError(f"{name}: group is {self.group!r}, which is no regular expression: {error}") from None
            if not brackets:
                raise FieldError(
                    f"{name}: group is {self.group!r}; put the part that names the patient in brackets: '(...)'"
                )
        if self.channels not in (None, 1, 3):
            raise FieldError(f"{name}: channels is {self.channels}; it must be 1 (grey), 3 (colours), or None")
        if self.above is not None and self.ignore is not None:
            raise FieldError(f"{name}: above makes a mask yes and no, and ignore={self.ignore} a third; one must go")
        if self.spacing is not None and (len(self.spacing) != 3 or min(self.spacing) <= 0):
            raise FieldError(f"{name}: spacing is {self.spacing}; it must be (z, y, x) in mm, each above 0")
        if self.spacing is not None and self.size is not None and len(self.size) != 3:
            raise FieldError(f"{name}: size is {self.size}; at a spacing volumes are set in (D, H, W)")
        if self.window is not None and (len(self.window) != 2 or not self.window[0] < self.window[1]):
            raise FieldError(f"{name}: window is {self.window}; it must be (black, white), the lower first")

    def cases(self, entries: Sequence[Entry]) -> Cases:
        """These entries, read; volumes with masks that would not fit into memory lie in files, see `maps.py`."""
        if larger_than_memory(self, entries):
            made, drawn, classes = in_files(self, entries, [_shown(one) for one in entries])
            return self._put_together(entries, made, drawn, {"kind": "segmentation", "classes": classes})
        read, drawn = [], []
        for entry in entries:
            image = self._read(entry)
            self._refuse_unlike(entries[0], entry, read, image)
            target = image.frame.scaled(self.size, self.spacing)
            if len(target) != len(image.frame.shape):
                raise UserError(f"{name_of(entry)} is {by(image.frame.shape)}; size={self.size} has other axes")
            read.append(linear(image.values, target))
            if isinstance(entry.label, tuple):
                drawn.append(nearest(self.mask(entry, image), target))
        images, masks = self._at_one_size(read, drawn)
        labels, asked = self._asked(entries, masks)
        return self._put_together(entries, torch.from_numpy(images), torch.from_numpy(labels), asked)

    def brought(self, entry: Entry) -> tuple[np.ndarray, np.ndarray]:
        """Image (C, *size) and mask (*size) of one case, as `cases` brings them to a size that is given."""
        if self.spacing is not None and self.size is None:
            raise UserError("volumes that do not fit into memory and spacing= need a size: say  size=(D, H, W), too")
        image = self._read(entry)
        target = image.frame.scaled(self.size, self.spacing)
        values, drawn = linear(image.values, target), nearest(self.mask(entry, image), target)
        if self.spacing is None or self.size is None:
            return values, drawn
        return centred(values, self.size, float(values.min())), centred(drawn, self.size, 0)

    def _put_together(self, entries: Sequence[Entry], images: Tensor, labels: Tensor, asked: dict) -> Cases:
        return Cases(
            images=images,
            labels=labels,
            ids=tuple(one.id for one in entries),
            task=Task(**asked, channels=images.shape[1], size=images.shape[2:]),
            groups=tuple(one.group or self.patient(one.id) for one in entries),
            strata=tuple(one.stratum for one in entries) if any(one.stratum for one in entries) else None,
            columns={name: tuple(one.columns[name] for one in entries) for name in entries[0].columns},
            sides=tuple(one.side for one in entries) if any(one.side for one in entries) else (),
        )

    def mask(self, entry: Entry, image: Image) -> np.ndarray:
        """(*S), with the values of the file; or 1 where any mask is above `above`, or 0 where each is of an object."""
        drawn = [read_mask(one, image, name_of(entry)) for one in masks_of(entry)]
        if self.above is None and not self.objects:
            return drawn[0]
        return np.any([one > (self.above or 0) for one in drawn], axis=0).astype(np.uint8)

    def patient(self, name: str) -> str:
        """What `group` finds in the name of a case; the name itself where nothing is said."""
        if self.group is None:
            return name
        found = re.search(self.group, name)
        if found is None or found[1] is None:
            raise UserError(f"group={self.group!r} finds no patient in the name {name!r}")
        return found[1]

    def write_back(self, prediction: np.ndarray, of: str, to: str | Path, root: Root = None) -> Path:
        """A mask that a network trained on this data set drew, written in the space of the input of case `of`.

        prediction: class indices, (H, W) or (D, H, W), as in `labels` of the cases. See `files/label_map.py`.
        """
        found = next((one for one in self.entries(root) if one.id == of), None)
        if found is None:
            raise UserError(f"{self.label} has no case {of!r}")
        return write_back(prediction, read_image(found.images, self.window), to, self.spacing)

    # the parts of reading

    def _read(self, entry: Entry) -> Image:
        image = read_image(entry.images, self.window)
        values, wanted = image.values, self.channels
        if wanted == 1 and len(values) == 3:
            values = np.tensordot(_GREY, values, 1)[None]
        elif wanted == 3 and len(values) == 1:
            values = np.repeat(values, 3, 0)
        elif wanted is not None and len(values) != wanted:
            raise UserError(f"{name_of(entry)} has {len(values)} channels; channels={wanted} is for 1 and 3")
        return replace(image, values=values)

    def _refuse_unlike(self, first: Entry, entry: Entry, images: list[np.ndarray], image: Image) -> None:
        if self.spacing is not None and image.volume is None:
            raise UserError(f"{name_of(entry)} is a picture, which has no spacing; leave out spacing=")
        if not images:
            return
        if len(image.values) != len(images[0]):
            raise UserError(
                f"{name_of(first)} has {len(images[0])} channels and {name_of(entry)} has {len(image.values)}; "
                "save all images as grey, or all as RGB, or say channels=1 or channels=3"
            )
        shape, wanted = image.values.shape[1:], images[0].shape[1:]
        if self.size is None and self.spacing is None and shape != wanted:
            axes, say = ("(height x width)", "size=(H, W)") if len(wanted) == 2 else ("(z x y x x)", "size=(D, H, W)")
            also = ", or to one spacing with  spacing=(z, y, x)" * (len(wanted) == 3)
            raise UserError(
                f"{name_of(first)} is {by(wanted)} {axes}, {name_of(entry)} is {by(shape)}; "
                f"bring all to one size with  {say}{also}"
            )

    def _at_one_size(self, images: list[np.ndarray], masks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        if self.spacing is not None:
            size = self.size or tuple(np.max([one.shape[1:] for one in images], 0).tolist())
            images = [centred(one, size, float(one.min())) for one in images]
            masks = [centred(one, size, 0) for one in masks]
        return np.stack(images), np.stack(masks) if masks else np.empty(0)

    def _asked(self, entries: Sequence[Entry], masks: np.ndarray) -> tuple[np.ndarray, dict]:
        """The labels, and what makes them a task."""
        if isinstance(entries[0].label, tuple):
            labels, classes = read_masks(masks, [_shown(one) for one in entries], self.ignore)
            return labels, {"kind": "segmentation", "classes": classes}
        found, at = np.unique([str(one.label) for one in entries], return_inverse=True)
        if len(found) < 2:
            raise UserError(f"all cases are of class {shown(found)}; at least two classes are needed")
        return at.astype(np.int64), {"kind": "classification", "classes": tuple(found.tolist())}


def name_of(entry: Entry) -> str:
    return entry.images[0].name


def masks_of(entry: Entry) -> tuple[Place, ...]:
    return cast(tuple[Place, ...], entry.label)


def _shown(entry: Entry) -> str:
    """A mask in a message: its file and the folder it lies in; of several, the case."""
    masks = masks_of(entry)
    return f"{above(masks[0]).name}/{masks[0].name}" if len(masks) == 1 else entry.id
