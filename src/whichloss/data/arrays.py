"""Arrays in one .npz file."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from whichloss.core import Candidates, FieldError, Task, UserError, count, flag, location, text

from .cases import Cases
from .dataset import DataSet
from .find import Root, find_file
from .masks import read_masks, shown

NO_NAME = {"", "-1", "-1.0", "nan"}  # of a lesion that is none, as text


class Arrays(DataSet):
    """The arrays of a .npz file, chosen by their names.

    Images are (N, H, W), (N, H, W, channels) or (N, channels, H, W): the channels come last if the last axis has length
    1, 3 or 4, else first. With dims=3 they are (N, D, H, W) or the same two with D before H.

    A target (N,) or (N, 1) makes it classification: texts, or the numbers 0, 1, ..., K - 1.
    A target (N, H, W) makes it segmentation: see `masks.py` for the values.
    With `quantity` it is regression: the target is (N,) or (N, 1), numbers in this `unit`.
    With `volume` it is detection: the images are patches around candidates, and the target, (N,) or (N, 1), says 1
    where a candidate is a lesion. Volumes are the groups, unless `group` says which patients they are of. Each case is
    a candidate of its own, unless `candidate` says which are views of one; its numbers may begin anew in every volume.
    Each positive candidate is a lesion of its own, unless `lesion` says which hit the same one; "", -1 and NaN are no
    name of a lesion.

        >>> patches = Arrays(path="luna16_patches.npz", target="labels", volume="pseudo_scan")
    """

    path: str = location()
    image: str = text("images")
    target: str = text("masks")
    group: str | None = text(None, optional=True)  # patients
    id: str | None = text(None, optional=True)
    stratify: str | None = text(None, optional=True)
    scale: bool = flag(True)  # 8 and 16 bit to [0, 1]
    dims: int = count(2)  # axes of an image, channels not counted
    ignore: int | None = count(None, low=0, optional=True)  # mask value of voxels that have no say
    quantity: str = text("")  # what the numbers of the target measure: "ejection fraction"
    unit: str = text("")  # of the quantity: "%"
    split: str | None = text(None, optional=True)  # which side each case is on: "train" or "test"
    volume: str | None = text(None, optional=True)  # which scan each patch is of; makes it detection
    candidate: str | None = text(None, optional=True)  # of which each patch is a view
    lesion: str | None = text(None, optional=True)  # that each candidate hits

    @classmethod
    def examples(cls) -> list[Self]:
        return [
            cls(path="cells.npz", group="patient", id="ids", stratify="stain"),
            cls(path="digits.npz", target="labels"),
            cls(path="hearts.npz", target="ef", quantity="ejection fraction", unit="%"),
            cls(path="patches.npz", target="hit", volume="scan", candidate="mark", lesion="nodule", group="patient"),
        ]

    def check(self) -> None:
        if self.dims not in (2, 3):
            raise FieldError(f"Arrays: dims is {self.dims}; it must be 2 or 3")
        if self.unit and not self.quantity:
            raise FieldError(f"Arrays: unit is {self.unit!r}, and nothing is measured; name it: quantity='radius'")
        if self.volume is None and (self.candidate is not None or self.lesion is not None):
            given = "candidate" if self.candidate is not None else "lesion"
            raise FieldError(
                f"Arrays: {given} is {getattr(self, given)!r}, and no volume is named; detection needs volume='scan'"
            )
        if self.volume is not None and self.quantity:
            raise FieldError("Arrays: volume asks for lesions, and quantity for a number; one of them must go")

    def load(self, root: Root = None) -> Cases:
        path = find_file(self.path, root)
        arrays = read_arrays(path, list(self._names().values()))
        images = as_images(arrays[self.image], self.dims, self.path, self.image, self.scale)
        self._check_lengths(arrays, len(images))
        size = images.shape[2:]
        ids = _texts(arrays, self.id) or tuple(map(str, range(len(images))))
        target = without_channel(arrays[self.target], size)
        labels, asked = self._asked(target, size, ids)
        columns = {
            name: tuple(arrays[name].ravel().tolist()) for name in (self.group, self.stratify) if name is not None
        }
        candidates = self._candidates(arrays, ids)
        return Cases(
            images=torch.from_numpy(images),
            labels=torch.from_numpy(labels),
            ids=ids,
            task=Task(**asked, channels=images.shape[1], size=size),
            groups=_texts(arrays, self.group) or (candidates.volume if candidates else ()),
            strata=_texts(arrays, self.stratify),
            columns=columns,
            candidates=candidates,
            sides=_texts(arrays, self.split) or (),
        )

    def _names(self) -> dict[str, str]:
        """The arrays to read, by the field that names them."""
        fields = ("image", "target", "group", "id", "stratify", "split", "volume", "candidate", "lesion")
        return {field: name for field in fields if (name := getattr(self, field)) is not None}

    def _check_lengths(self, arrays: dict[str, np.ndarray], n: int) -> None:
        for field, name in self._names().items():
            shape = arrays[name].shape
            if shape[:1] != (n,):
                raise UserError(f"{self.path}: {n} images, and the array {name!r} is {shape}")
            if field not in ("image", "target") and shape not in ((n,), (n, 1)):
                raise UserError(f"{self.path}: {field}={name!r} is {shape}; it must hold one entry for each image")

    def _asked(self, target: np.ndarray, size: tuple[int, ...], ids: tuple[str, ...]) -> tuple[np.ndarray, dict]:
        """The labels, and what makes them a task."""
        if self.quantity:
            return self._numbers(target), {"kind": "regression", "quantity": self.quantity, "unit": self.unit}
        if self.volume is not None:
            return self._hits(target), {"kind": "detection", "classes": ("no lesion", "lesion")}
        if target.ndim == 1:
            labels, classes = read_labels(target, self.target)
            return labels, {"kind": "classification", "classes": classes}
        labels, classes = self._masks(target, size, ids)
        return labels, {"kind": "segmentation", "classes": classes}

    def _numbers(self, target: np.ndarray) -> np.ndarray:
        if target.ndim != 1 or target.dtype.kind not in "iuf":
            raise UserError(
                f"{self.path}: the target {self.target!r} is {target.dtype} of shape {target.shape};"
                f" quantity={self.quantity!r} needs one number for each case.\n"
                "  hint: classes and masks are read without quantity"
            )
        return target.astype(np.float32)

    def _hits(self, target: np.ndarray) -> np.ndarray:
        if target.ndim != 1 or target.dtype.kind not in "biuf" or not np.isin(target, (0, 1)).all():
            held = shown(np.unique(target)) if target.ndim == 1 else f"an array of shape {target.shape}"
            raise UserError(
                f"{self.path}: the target {self.target!r} is {held}; volume={self.volume!r} makes it detection, which"
                " needs 1 for each candidate that is a lesion, and 0 for each other\n"
                "  hint: other classes are read without volume, and with group for patients"
            )
        return target.astype(np.int64)

    def _candidates(self, arrays: dict[str, np.ndarray], ids: tuple[str, ...]) -> Candidates | None:
        volumes = _texts(arrays, self.volume)
        if volumes is None:
            return None
        self._check_whole(volumes, _texts(arrays, self.group) or volumes)
        marks = _texts(arrays, self.candidate)
        lesions = _texts(arrays, self.lesion) or ("",) * len(ids)
        try:
            return Candidates(
                candidate=ids if marks is None else tuple(map("{}/{}".format, volumes, marks)),
                volume=volumes,
                lesion=tuple("" if lesion in NO_NAME else lesion for lesion in lesions),
            )
        except ValueError as error:
            raise UserError(f"{self.path}: {error}") from None

    def _check_whole(self, volumes: tuple[str, ...], groups: tuple[str, ...]) -> None:
        """One scan is of one patient, so that no fold tests a scan that it trains on."""
        seen: dict[str, str] = {}
        for volume, group in zip(volumes, groups, strict=True):
            if seen.setdefault(volume, group) != group:
                raise UserError(
                    f"{self.path}: the volume {volume!r} is of two groups, {seen[volume]!r} and {group!r}\n"
                    f"  hint: where {self.volume!r} begins anew for every patient, store scan names that differ"
                )

    def _masks(
        self, masks: np.ndarray, size: tuple[int, ...], ids: tuple[str, ...]
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        if masks.shape[1:] != size:
            volumes = len(size) == 2 and masks.ndim == 4
            hint = "; are these volumes? then say dims=3" if volumes else ""
            raise UserError(
                f"{self.path}: images of {size} and a target {self.target!r} of {masks.shape[1:]} do not fit{hint}"
            )
        return read_masks(masks, ids, self.ignore)


def as_images(images: np.ndarray, dims: int, where: str, name: str, scale: bool = True) -> np.ndarray:
    """(N, channels, *S), float32, of what `Arrays` takes for images; 8 and 16 bit are brought to [0, 1] by `scale`."""
    if not (np.issubdtype(images.dtype, np.number) or images.dtype == bool) or np.iscomplexobj(images):
        raise UserError(f"{where}: the images in {name!r} are {images.dtype}; they must be numbers")
    if images.ndim == dims + 1:
        images = images[:, None]
    elif images.ndim == dims + 2:
        images = np.moveaxis(images, -1, 1) if images.shape[-1] in (1, 3, 4) else images
    else:
        raise UserError(
            f"{where}: the images in {name!r} are {images.shape}; with dims={dims} they must have "
            f"{dims + 1} axes, or {dims + 2} with channels" + (" (volumes: dims=3)" * (images.ndim == 5))
        )
    largest = {"uint8": 255, "uint16": 65535}.get(images.dtype.name) if scale else None
    floats = np.array(images, dtype=np.float32, order="C")
    if largest:
        floats /= largest
    return floats


def names_in(path: Path) -> list[str]:
    """What the arrays of a .npz file are called."""
    with _opened(path) as file:
        return list(file.files)


def read_arrays(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    with _opened(path) as file:
        missing = next((name for name in names if name not in file.files), None)
        if missing is not None:
            raise UserError(f"{path} has no array {missing!r}; it has {', '.join(file.files)}")
        return {name: file[name] for name in dict.fromkeys(names)}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            yield file
    except UserError:
        raise
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, AttributeError, TypeError) as error:
        raise UserError(f"{path} cannot be read as a .npz file of plain arrays: {error}") from error


def _texts(arrays: dict[str, Any], name: str | None) -> tuple[str, ...] | None:
    return None if name is None else tuple(arrays[name].ravel().astype(str).tolist())


def without_channel(target: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """(N, 1) is (N,), and (N, 1, *S) or (N, *S, 1) is (N, *S)."""
    if target.shape[1:] in ((1,), (1, *size)):
        return target[:, 0]
    return target[..., 0] if target.shape[1:] == (*size, 1) else target


def read_labels(labels: np.ndarray, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    found, index = np.unique(labels, return_inverse=True)
    if labels.dtype.kind not in "US" and not np.array_equal(found, np.arange(len(found))):
        raise UserError(
            f"wrong labels in {name!r}: found {shown(found)}; they must be 0, 1, ..., K - 1, or texts\n"
            "  hint: numbers that measure something are named: quantity='radius', unit='mm'"
        )
    if len(found) < 2:
        raise UserError(f"all labels in {name!r} are {shown(found)}; at least two classes are needed")
    return index.astype(np.int64), tuple(f"{one:g}" if labels.dtype.kind == "f" else str(one) for one in found)
