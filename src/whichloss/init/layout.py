"""Which reader a folder, an archive or a file is for."""

import json
import zipfile
from pathlib import Path

import numpy as np

from whichloss.core import UserError
from whichloss.data import DataSet
from whichloss.data.arrays import Arrays, names_in, read_arrays
from whichloss.data.case_folders import CaseFolders
from whichloss.data.class_folders import SIDES, ClassFolders
from whichloss.data.decathlon import Decathlon
from whichloss.data.files.image import is_image
from whichloss.data.files.picture import series_of
from whichloss.data.files.place import Place, find_place, folders, inside, some
from whichloss.data.find import Root
from whichloss.data.folder import Folder
from whichloss.data.nn_unet import NnUnet
from whichloss.data.split_arrays import FORMS, SplitArrays
from whichloss.data.table import Table, read_rows

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
CLASSES = 20  # more different whole numbers than these measure something
IMAGES = ("images", "image", "imgs", "img", "scans", "volumes", "x")
MASKS = ("masks", "mask", "labels", "label", "segmentations", "segmentation", "annotations", "groundtruth", "gt", "y")
GROUPS = ("patient", "subject", "group", "person", "pid", "scan", "series", "volume", "case")
IDS = ("id", "name", "file")
LAYOUTS = """  what is known: a table .csv (path, label), .npz arrays, images/ and masks/, a folder for each class,
  DOMAIN/CLASS/ or train/CLASS/, CASE/images/ and CASE/masks/, data sets of nnU-Net and of the Decathlon;
  folders may be packed as .zip"""


def recognise(path: str, root: Root = None) -> DataSet:
    """The data set at a path, with every choice that is not forced left at its default. Raises UserError."""
    place = find_place(path, root)
    if not place.is_dir():
        return _of_file(path, place)
    files = [one for one in inside(place) if one.is_file()]
    if (place / "dataset.json").is_file():
        return _of_json(path, place)
    below = folders(place)
    names = {one.name.lower(): one.name for one in below}
    if (pair := _pair(names)) is not None:
        return Folder(path=path, images=pair[0], masks=pair[1])
    packed = [one for one in files if one.name.lower().endswith((".npz", ".csv", ".zip"))]
    if packed and not below:
        return _of_packed(path, packed, root)
    if below and not any(map(_holds_images, below)) and len(below) == 1:
        return recognise(f"{path}/{below[0].name}", root)
    return _of_folders(path, place, below, files)


def _of_file(path: str, place: Place) -> DataSet:
    name = place.name.lower()
    if name.endswith(".csv"):
        labels = [row["label"] for _, row in read_rows(place)]
        return Table(path=path, quantity="label") if _are_measured(labels) else Table(path=path)
    if name.endswith(".npz") and isinstance(place, Path):
        return _of_arrays(path, place)
    raise UserError(f"{path} is no data set that is known\n{LAYOUTS}")


def _are_measured(labels: list[str]) -> bool:
    """Whether labels are numbers, and not those of a few classes."""
    try:
        found = {float(one) for one in labels}
    except ValueError:
        return False
    return len(found) > CLASSES or any(one != int(one) for one in found)


def _of_packed(path: str, packed: list[Place], root: Root) -> DataSet:
    if len(packed) > 1:
        names = some((f"{path}/{one.name}" for one in packed), 8)
        raise UserError(f"{path} holds several data sets; name one: {names}")
    return recognise(f"{path}/{packed[0].name}", root)


def _of_json(path: str, place: Place) -> DataSet:
    try:
        facts = json.loads((place / "dataset.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{place / 'dataset.json'} cannot be read as JSON: {error}") from error
    return Decathlon(path=path) if "training" in facts else NnUnet(path=path)


def _pair(names: dict[str, str]) -> tuple[str, str] | None:
    """The folder of images and the folder of masks, among the folders by their names in small letters."""
    image = next((names[one] for one in IMAGES if one in names), None)
    mask = next((names[one] for one in MASKS if one in names), None)
    return (image, mask) if image and mask else None


def _of_folders(path: str, place: Place, below: list[Place], files: list[Place]) -> DataSet:
    first = next((one for one in below if folders(one) or _holds_images(one)), None)
    if first is None:
        loose = [one for one in files if is_image(one)]
        what = f"{len(loose)} images without labels" if loose else "no images"
        raise UserError(f"{path} holds {what}\n{LAYOUTS}")
    inner = folders(first)
    if (pair := _pair({one.name.lower(): one.name for one in inner})) is not None:
        return CaseFolders(path=path, images=pair[0], masks=pair[1])
    if _holds_images(first) or (inner and _is_series(inner[0])):
        if len(below) < 2:
            raise UserError(f"{path} holds the images of one class, {first.name!r}; at least two are needed\n{LAYOUTS}")
        return ClassFolders(path=path)
    if {one.name.lower() for one in below} <= SIDES.keys():
        return ClassFolders(path=path, levels="split/class")
    # classes are called the same in every domain; patients are of one class each
    names = [{one.name for one in folders(each)} for each in below]
    return ClassFolders(path=path, levels="domain/class" if set.intersection(*names) else "class/group")


def _holds_images(folder: Place) -> bool:
    return any(is_image(one) and one.is_file() for one in inside(folder))


def _is_series(folder: Place) -> bool:
    """Whether the first two files of a folder are slices of one DICOM series."""
    files = [one for one in inside(folder) if one.is_file() and one.suffix.lower() in ("", ".dcm")][:2]
    return len(files) == 2 and len({series_of(one) for one in files}) == 1


# arrays


def _of_arrays(path: str, file: Path) -> DataSet:
    names = names_in(file)
    shapes = _headers(file, names)
    if any(form["train"][0] in names and form["test"][0] in names for form in FORMS):
        first = next(form["train"][0] for form in FORMS if form["train"][0] in names)
        shape = shapes[first][0]
        dims = 3 if len(shape) == 5 or (len(shape) == 4 and shape[-1] not in (1, 3, 4)) else 2
        return SplitArrays(path=path, dims=dims)
    image = _named(names, IMAGES) or max(names, key=lambda name: len(shapes[name][0]))
    shape = shapes[image][0]
    if len(shape) < 3:
        raise UserError(f"{path} has no array of images, (N, H, W) or more; it has {_listed(shapes)}")
    rest = [name for name in names if name != image and shapes[name][0][:1] == shape[:1]]
    target = _named(rest, (*MASKS, "targets", "target", "classes", "class", "truth"))
    if target is None:
        raise UserError(
            f"{path} has no array of labels or masks, one for each of {shape[0]} images; it has {_listed(shapes)}"
        )
    flat = [name for name in rest if name != target and len(shapes[name][0]) == 1]
    dims = 3 if len(shapes[target][0]) == 4 or len(shape) == 5 else 2
    return Arrays(
        path=path,
        image=image,
        target=target,
        dims=dims,
        group=_alike(flat, GROUPS),
        id=_distinct(file, flat),
        quantity=target if _is_quantity(file, target) else "",
    )


def _headers(file: Path, names: list[str]) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and type of each array; its values are not read."""
    found = {}
    with zipfile.ZipFile(file) as archive:
        for name in names:
            with archive.open(f"{name}.npy") as one:
                read = HEADERS[np.lib.format.read_magic(one)]
                shape, _, kind = read(one)
                found[name] = (shape, kind)
    return found


def _listed(shapes: dict[str, tuple[tuple[int, ...], np.dtype]]) -> str:
    return some((f"{name} {shape}" for name, (shape, _) in shapes.items()), 12)


def _named(names: list[str], known: tuple[str, ...]) -> str | None:
    return next((name for one in known for name in names if name.lower() == one), None)


def _alike(names: list[str], words: tuple[str, ...]) -> str | None:
    return next((name for word in words for name in names if word in name.lower()), None)


def _distinct(file: Path, names: list[str]) -> str | None:
    """An array that names the cases: all different."""
    for name in names:
        if any(word in name.lower() for word in IDS):
            values = read_arrays(file, [name])[name]
            if len(np.unique(values)) == len(values):
                return name
    return None


def _is_quantity(file: Path, target: str) -> bool:
    """Numbers that are not 0, 1, ..., K - 1 measure something."""
    values = read_arrays(file, [target])[target]
    if values.dtype.kind not in "iuf" or values.size != len(values):
        return False
    found = np.unique(values)
    return not np.array_equal(found, np.arange(len(found)))
