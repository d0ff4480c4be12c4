"""Images and masks in two folders, paired by name."""

from typing import Self

from whichloss.core import UserError, location, text

from .files import Entry, FileSet
from .files.image import is_image, stem
from .files.picture import ENDINGS as PICTURES
from .files.place import Place, find_place, folders, inside, some
from .find import Root
from .views.read import ENDINGS as VOLUMES

SUFFIXES = ("_mask", "_masks", "_segmentation", "_seg", "_label", "_labels", "_gt", "-mask", "-seg", "-label")


class Folder(FileSet):
    """A folder, or a .zip archive, that holds `images/NAME.*` and `masks/NAME.*`, for segmentation.

    Pictures are PNG, JPEG, TIFF or DICOM, volumes NIfTI, MetaImage or NRRD. A mask is called as its image is, or all
    masks have one more word, as in NAME_mask.png or NAME_segmentation.png. Masks hold the values that `masks.py` says;
    with `above` all above it is foreground, as in above=0 for objects that are numbered one by one.
    """

    path: str = location()
    images: str = text("images")
    masks: str = text("masks")

    @classmethod
    def examples(cls) -> list[Self]:
        return [
            cls(path="cells", group=r"^(p\d+)_"),
            cls(path="cells", size=(12, 16), channels=1),
            cls(path="cells.zip/inside", masks="numbered", above=0),
            cls(path="heads", spacing=(3.0, 1.5, 1.5)),
        ]

    def entries(self, root: Root = None) -> list[Entry]:
        path = find_place(self.path, root)
        images, masks = _named(path, self.images), _named(path, self.masks)
        masks = _without_suffix(images, masks)
        _refuse_unpaired(images, masks, self)
        return [Entry(id=name, images=(images[name],), label=(masks[name],)) for name in sorted(images)]


def _named(folder: Place, name: str) -> dict[str, Place]:
    """The images in a folder by their names without the ending."""
    place = folder / name
    if not place.is_dir():
        others = [one.name for one in folders(folder)] if folder.is_dir() else []
        raise UserError(
            f"{folder} has no folder {name!r}; " + (f"it has {some(others)}" if others else "it has no folders")
        )
    found: dict[str, Place] = {}
    for file in inside(place):
        if is_image(file) and not file.is_dir():
            if stem(file) in found:
                raise UserError(f"{place} has both {found[stem(file)].name} and {file.name}: which one is meant?")
            found[stem(file)] = file
    if not found:
        raise UserError(f"{place} has no pictures ({', '.join(PICTURES)}) and no volumes ({', '.join(VOLUMES)})")
    return found


def _without_suffix(images: dict[str, Place], masks: dict[str, Place]) -> dict[str, Place]:
    """Masks by the names of their images, where all are called so, with one more word."""
    for suffix in SUFFIXES:
        if all(name.endswith(suffix) for name in masks) and not masks.keys() & images.keys():
            return {name.removesuffix(suffix): file for name, file in masks.items()}
    return masks


def _refuse_unpaired(images: dict[str, Place], masks: dict[str, Place], folder: Folder) -> None:
    lines = [
        f"  no {what} for {some(sorted(have[one].name for one in have.keys() - other.keys()))}"
        for have, other, what in ((images, masks, "mask"), (masks, images, "image"))
        if have.keys() - other.keys()
    ]
    if lines:
        hint = "  an image and its mask have the same name before the ending, as a.jpg and a.png"
        raise UserError("\n".join([f"{folder.path}: {folder.images} and {folder.masks} do not pair", *lines, hint]))
