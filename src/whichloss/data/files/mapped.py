"""Volumes larger than memory, read layer by layer into files from which patches are cut."""

import gzip
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from whichloss.core import UserError
from whichloss.core.rows import slabs

from ..maps import made_once, mapped, most_in_memory, new_map
from ..masks import read_masks
from ..views.cache import Cache, cache_folder, digest
from ..views.read import METAIMAGE, NIFTI, ending, need, read_channels, read_region, sources
from ..views.volume import Volume
from .entry import Entry
from .frame import Frame
from .image import by, normalise, refuse_apart
from .picture import is_picture

if TYPE_CHECKING:
    from .file_set import FileSet

VERSION = 1  # raised when the same files begin to mean other voxels


@dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """A volume whose values are still in its file."""

    path: Path
    volume: Volume  # without values
    channel: int | None = None  # of a file that cannot be read in parts

    @classmethod
    def of(cls, path: Path) -> "list[Outline]":
        """One for each channel."""
        shape = _shape(path)
        if shape is not None:
            volume = read_region(path, (slice(0, 1), slice(0, shape[1]), slice(0, shape[2])))
            return [cls(path=path, volume=_blank(volume, shape))]
        found = [_blank(one, one.values.shape) for one in read_channels(path)]
        return [cls(path=path, volume=one, channel=channel) for channel, one in enumerate(found)]

    def layers(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Some layers of the file at a time, from the first to the last."""
        shape = self.volume.values.shape
        if self.channel is not None:
            values = read_channels(self.path)[self.channel].values
            yield from ((part, values[part]) for part in slabs(shape))
        else:
            for part in slabs(shape):
                yield part, read_region(self.path, (part, slice(0, shape[1]), slice(0, shape[2]))).values


def larger_than_memory(data: "FileSet", entries: Sequence[Entry]) -> bool:
    """Whether these cases are volumes with masks that would take more memory than `most_in_memory`."""
    first = entries[0]
    if not isinstance(first.label, tuple) or is_picture(first.images[0]):
        return False
    size, channels = _voxels(data, first), data.channels or len(first.images)
    return len(entries) * size * (4 * channels + 8) > most_in_memory()


def in_files(data: "FileSet", entries: Sequence[Entry], shown: Sequence[str]) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Images (N, C, *S), float32, and masks (N, *S), int8, as mapped files; and the names of the classes.

    The same values that reading into memory gives. They are written once for the same files, told apart by content.
    """
    folder = cache_folder()
    options = {name: getattr(data, name) for name in ("size", "spacing", "window", "channels", "above", "ignore")}
    files = [[_digest(folder, place) for place in (*one.images, *_masks(one))] for one in entries]
    facts = {"version": VERSION, "files": files, "objects": data.objects, **options}
    made = made_once(digest(facts), lambda aside: _write(data, entries, shown, aside))
    classes = tuple((made / "classes.txt").read_text(encoding="utf-8").splitlines())
    return mapped(made / "images.npy"), mapped(made / "labels.npy"), classes


def _write(data: "FileSet", entries: Sequence[Entry], shown: Sequence[str], folder: Path) -> None:
    images = labels = None
    values = _Values()
    for at, (entry, says) in enumerate(zip(entries, shown, strict=True)):
        print(f"{entry.id}: unpacking, {at + 1} of {len(entries)}", file=sys.stderr, flush=True)
        with TemporaryDirectory(dir=folder) as work:
            source = _Case(data, entry, Path(work))
            if images is None:
                images = new_map(folder / "images.npy", (len(entries), source.channels, *source.shape), np.float32)
                labels = new_map(folder / "labels.npy", (len(entries), *source.shape), np.int8)
            elif (source.channels, *source.shape) != images.shape[1:]:
                raise UserError(
                    f"{entry.images[0].name} is {by(source.shape)} with {source.channels} channels, and"
                    f" {entries[0].images[0].name} is {by(images.shape[2:])} with {images.shape[1]}; volumes that do"
                    " not fit into memory must have one size and channels alike: say  size=(D, H, W)"
                )
            assert labels is not None
            source.write_image(images[at])
            source.write_mask(labels[at].view(np.uint8), values, says)
    assert labels is not None
    index, classes = values.meaning(data.ignore)
    for case in labels:
        for part in slabs(case.shape):
            case[part] = index[case[part].view(np.uint8)]
    (folder / "classes.txt").write_text("\n".join(classes), encoding="utf-8")


class _Values:
    """The values of masks that have been met so far, each with a number, 0 to 255: what they mean is known at the end.

    Beyond these many they are no classes, and the message is that of `read_masks`.
    """

    def __init__(self) -> None:
        self.met: dict[float, str] = {}  # and where it was met first

    def numbers(self, values: np.ndarray, says: str) -> np.ndarray:
        found = np.unique(values)
        for one in found.tolist():
            self.met.setdefault(one, says)
        if len(self.met) > 256:
            self.meaning(None)
        order = list(self.met)
        at = np.array([order.index(one) for one in found.tolist()], np.uint8)
        return at[np.searchsorted(found, values)]

    def meaning(self, ignore: int | None) -> tuple[np.ndarray, tuple[str, ...]]:
        """The class of each number, int8; and the names of the classes."""
        found = np.array(sorted(self.met))
        if np.array_equal(found, np.rint(found)):
            found = found.astype(np.int64)
        labels, classes = read_masks(found[:, None], [self.met[one] for one in found.tolist()], ignore)
        order = list(self.met)
        index = np.zeros(256, np.int8)
        for value, label in zip(found.tolist(), labels[:, 0].tolist(), strict=True):
            index[order.index(value)] = label
        return index, classes


class _Case:
    """One case: read in parts where its files allow it and its grid stays; else by itself, as into memory."""

    def __init__(self, data: "FileSet", entry: Entry, work: Path) -> None:
        self.data, self.kept = data, None
        if data.size is None and data.spacing is None and data.channels is None:
            self.images = [one for place in entry.images for one in Outline.of(_unpacked(place, work))]
            self.masks = [one for place in _masks(entry) for one in Outline.of(_unpacked(place, work))]
            first = self.images[0].volume
            for one in self.images[1:]:
                refuse_apart(first, one.volume, str(one.path), "the first channel")
            for one in self.masks:
                refuse_apart(first, one.volume, str(one.path), f"its image {entry.images[0].name}")
            self.frame = Frame.of(first)
            self.channels, self.shape = len(self.images), self.frame.shape
        else:
            self.kept = data.brought(entry)
            self.channels, self.shape = len(self.kept[0]), self.kept[0].shape[1:]

    def write_image(self, image: np.ndarray) -> None:
        """image: (C, *S), to be filled."""
        if self.kept is not None:
            image[...] = self.kept[0]
            return
        for channel, source in zip(image, self.images, strict=True):
            turned = self.frame.seen(channel)
            for part, values in source.layers():
                turned[part] = values
        normalise(image, self.data.window)

    def write_mask(self, drawn: np.ndarray, known: _Values, says: str) -> None:
        """drawn: (*S), zeros, to be filled with the numbers of values."""
        if self.kept is not None:
            drawn[...] = known.numbers(self.kept[1], says)
            return
        turned, above = self.frame.seen(drawn), self.data.above
        if above is None and not self.data.objects:
            for part, values in self.masks[0].layers():  # of several masks the first counts, as in `FileSet.mask`
                turned[part] = known.numbers(values, says)
            return
        known.numbers(np.arange(2), says)  # of which each is its own number
        for source in self.masks:
            for part, values in source.layers():
                turned[part] = np.maximum(turned[part], values > (above or 0))


def _masks(entry: Entry) -> tuple[Any, ...]:
    return entry.label if isinstance(entry.label, tuple) else ()


def _blank(volume: Volume, shape: tuple[int, ...]) -> Volume:
    """Its place, and its size; zeros, which take no memory, for values."""
    return replace(volume, values=np.broadcast_to(np.int16(0), shape))


def _unpacked(place: Any, work: Path) -> Path:
    """The file; of .nii.gz, which cannot be read in parts, what it holds."""
    if not isinstance(place, Path):
        raise UserError(f"{place}: volumes are not read out of a .zip archive; unpack it")
    if ending(place) != ".nii.gz":
        return place
    to = work / f"{len(list(work.iterdir()))}-{place.name[:-3]}"
    try:
        with gzip.open(place, "rb") as packed, to.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 22)
    except (gzip.BadGzipFile, EOFError) as error:
        raise UserError(f"{place} cannot be read as a volume: {error}") from error
    return to


def _shape(path: Path) -> tuple[int, ...] | None:
    """(z, y, x) of a file that can be read in parts; None of others."""
    kind = "" if path.is_dir() else ending(path)
    if kind == ".npy":
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    elif kind == ".nii" or (kind in METAIMAGE and not _compressed(path)):
        shape = _said(path)
    else:
        return None
    return shape if len(shape) == 3 else None


def _said(path: Path) -> tuple[int, ...]:
    """The size that the header of a volume tells, (z, y, x); more axes, where it has more than one channel or time."""
    try:
        if ending(path) in NIFTI:
            shape = tuple(need("nibabel", path).load(path).shape)
            while len(shape) > 3 and shape[-1] == 1:
                shape = shape[:-1]
            return shape[::-1]
        reader = need("SimpleITK", path).ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        return (*((reader.GetNumberOfComponents(),) if reader.GetNumberOfComponents() > 1 else ()),
                *reader.GetSize()[::-1])  # fmt: skip
    except UserError:
        raise
    except Exception as error:  # whatever the readers raise
        raise UserError(f"{path} cannot be read as a volume: {error}") from error


def _compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return b"compresseddata = true" in file.read(4096).lower()


def _voxels(data: "FileSet", entry: Entry) -> float:
    """About how many voxels a case will have, without reading it."""
    if data.size is not None:
        return float(np.prod(data.size))
    place = entry.images[0]
    if not isinstance(place, Path):
        return 0.0
    kind = "" if place.is_dir() else ending(place)
    if kind == ".npy":
        return float(np.load(place, mmap_mode="r", allow_pickle=False).size)
    if kind and kind != ".npz":
        return float(np.prod(_said(place)))
    return sum(one.stat().st_size for one in sources(place)) / 2  # of 16 bit, or packed


def _digest(folder: Path | None, place: Any) -> str:
    if folder is None or not isinstance(place, Path):
        return str(place)
    return Cache(folder).files_digest(sources(place))
