"""A folder for each case, with its image and its masks."""

from typing import Self

from whichloss.core import UserError, location, text

from .files import Entry, FileSet
from .files.image import is_image
from .files.place import Place, find_place, folders, inside
from .find import Root


class CaseFolders(FileSet):
    """`path/CASE/images/*` and `path/CASE/masks/*`, for segmentation, as in the Data Science Bowl 2018.

    Several images are channels of one. Several masks are objects of one kind: what any of them marks is foreground.
    A case without objects has one mask, which is blank.
    """

    objects = True

    path: str = location()
    images: str = text("images")
    masks: str = text("masks")

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(path="bowl", size=(16, 16), channels=3)]

    def entries(self, root: Root = None) -> list[Entry]:
        cases = folders(find_place(self.path, root))
        if not cases:
            raise UserError(f"{self.path} holds no folders of cases")
        return [Entry(id=case.name, images=_files(case, self.images), label=_files(case, self.masks)) for case in cases]


def _files(case: Place, name: str) -> tuple[Place, ...]:
    place = case / name
    found = tuple(one for one in inside(place) if is_image(one)) if place.is_dir() else ()
    if not found:
        raise UserError(f"the case {case.name} has no images in {name!r}: {place}")
    return found
