"""Images in folders that are called as their classes are."""

from collections.abc import Iterator
from typing import Self

from whichloss.core import FieldError, UserError, location, text

from .files import Entry, FileSet
from .files.image import is_image, stem
from .files.place import Place, find_place, folders, inside, some
from .find import Root

LEVELS = ("class", "domain", "group", "split")
SIDES = {"train": "train", "training": "train", "val": "train", "valid": "train", "validation": "train",
         "test": "test", "testing": "test"}  # fmt: skip


class ClassFolders(FileSet):
    """`path/CLASS/NAME.*` for classification; the folder may be a .zip archive.

    `levels` says what the folders on the way to an image are: "domain/class" for `path/DOMAIN/CLASS/NAME.*`,
    "split/class" for `path/train/CLASS/NAME.*` beside `path/test/...`, "class/group" where each patient has a folder.
    Domains are a column and, as strata, in every fold; groups are patients; of a split `val` is a part of the training
    side, whose inner split is drawn anew. A case is called `CLASS/NAME`, with all levels.

    An image may be a folder with the slices of a DICOM series, where it lies as deep as images do.
    """

    path: str = location()
    levels: str = text("class")

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(path="kinds"), cls(path="sites", levels="domain/class", group=r"(p\d+)", channels=1)]

    def check(self) -> None:
        super().check()
        levels = self.levels.split("/")
        if set(levels) - set(LEVELS) or levels.count("class") != 1 or len(set(levels)) < len(levels):
            raise FieldError(
                f"ClassFolders: levels is {self.levels!r}; it must name 'class' and, each once, any of"
                f" {', '.join(one for one in LEVELS if one != 'class')}, as in 'domain/class'"
            )

    def entries(self, root: Root = None) -> list[Entry]:
        found = list(self._below(find_place(self.path, root), ()))
        if not found:
            raise UserError(f"{self.path} holds no images in folders {self.levels}")
        return found

    def _below(self, place: Place, names: tuple[str, ...]) -> Iterator[Entry]:
        levels = self.levels.split("/")
        if len(names) < len(levels):
            if not place.is_dir():
                raise UserError(f"{place} is not a folder; levels={self.levels!r} asks for folders here")
            for folder in folders(place):
                yield from self._below(folder, (*names, folder.name))
            return
        for image in inside(place):
            if is_image(image) or _is_series(image):
                yield self._entry(image, dict(zip(levels, names, strict=True)))

    def _entry(self, image: Place, names: dict[str, str]) -> Entry:
        side = names.get("split", "")
        if side and side.lower() not in SIDES:
            raise UserError(f"{self.path}: {side!r} is no part of a split; known are {some(SIDES, len(SIDES))}")
        return Entry(
            id="/".join((*names.values(), stem(image))),
            images=(image,),
            label=names["class"],
            group=names.get("group", ""),
            side=SIDES[side.lower()] if side else "",
            stratum=names.get("domain", ""),
            columns={"domain": names["domain"]} if "domain" in names else {},
        )


def _is_series(place: Place) -> bool:
    """Whether a folder may hold the slices of a DICOM series, whose files often have no ending."""
    return place.is_dir() and any(one.is_file() and one.suffix.lower() in ("", ".dcm") for one in inside(place))
