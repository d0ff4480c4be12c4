"""Data sets of the Medical Segmentation Decathlon."""

from typing import Any, Self

from whichloss.core import UserError, location

from .cases import Cases
from .files import Entry, FileSet
from .files.file_set import masks_of
from .files.image import stem
from .files.place import Place, above, beside, find_place
from .find import Root
from .nn_unet import class_numbers, named_classes, read_json


class Decathlon(FileSet):
    """`Task01_NAME/` with `dataset.json`, whose list `training` names image and label of each case.

    A fourth axis of an image, as in Task01_BrainTumour, is its channels. Classes are called as `labels` says. Cases of
    the list `test` have no labels and are not used.

    Source: Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 2022.
    """

    path: str = location()

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(path="Task99_Heads", size=(8, 16, 16))]

    def entries(self, root: Root = None) -> list[Entry]:
        place = find_place(self.path, root)
        training = read_json(place).get("training")
        if not isinstance(training, list) or not training:
            raise UserError(f"{place / 'dataset.json'} has no list 'training' of images and labels")
        found = [self._entry(place, one) for one in training]
        return sorted(found, key=lambda one: one.id)

    def cases(self, entries: Any) -> Cases:
        return named_classes(self, entries, class_numbers(self, self._home(masks_of(entries[0])[0])))

    def _entry(self, place: Place, one: Any) -> Entry:
        if not isinstance(one, dict) or not {"image", "label"} <= one.keys():
            raise UserError(f"{place / 'dataset.json'}: {one!r} in 'training' does not name an image and a label")
        image, mask = (beside(place, one[name]) for name in ("image", "label"))
        for file in (image, mask):
            if not file.exists():
                raise UserError(f"{place / 'dataset.json'} names {file}, which is not there")
        return Entry(id=stem(image), images=(image,), label=(mask,))

    def _home(self, place: Place) -> Place:
        """The folder of dataset.json, above a label."""
        while not (place / "dataset.json").exists():
            place = above(place)
        return place
