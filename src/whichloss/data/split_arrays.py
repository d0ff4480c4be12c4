"""Arrays in one .npz file that bring a split: MedMNIST's, and those of the same form."""

from typing import Self

import numpy as np
import torch

from whichloss.core import FieldError, Task, UserError, count, location

from .arrays import as_images, names_in, read_arrays, read_labels, without_channel
from .cases import Cases
from .dataset import DataSet
from .find import Root, find_file
from .masks import read_masks

# what images and labels of a part are called, and the side it is on
FORMS = (
    {part: (f"{part}_images", f"{part}_labels") for part in ("train", "val", "test")},
    {part: (f"x_{part}", f"y_{part}") for part in ("train", "val", "test")},
)


class SplitArrays(DataSet):
    """`train_images`, `train_labels`, and the same for val and test, as MedMNIST has them; or `x_train`, `y_train`, ...

    Images and labels are as in `Arrays`, 8 and 16 bit divided by their largest value; masks make it segmentation.
    Cases are called `train/0`, `val/0`, ... The split is what `design: {split: given}` asks for; val is then a part of
    the training side, whose inner split is drawn anew. `design: {folds: 5}` deals all cases.
    """

    path: str = location()
    dims: int = count(2)  # axes of an image, channels not counted

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(path="medmnist.npz"), cls(path="keras.npz")]

    def check(self) -> None:
        if self.dims not in (2, 3):
            raise FieldError(f"SplitArrays: dims is {self.dims}; it must be 2 or 3")

    def load(self, root: Root = None) -> Cases:
        path = find_file(self.path, root)
        held = names_in(path)
        form = next((one for one in FORMS if one["train"][0] in held and one["test"][0] in held), None)
        if form is None:
            raise UserError(
                f"{path} has no train_images and test_images, nor x_train and x_test; it has {', '.join(held)}"
            )
        parts = {part: pair for part, pair in form.items() if pair[0] in held}
        arrays = read_arrays(path, [name for pair in parts.values() for name in pair])
        counts = {part: len(arrays[pair[0]]) for part, pair in parts.items()}
        ids = tuple(f"{part}/{at}" for part, n in counts.items() for at in range(n))
        images = as_images(_joined(path, [arrays[pair[0]] for pair in parts.values()]), self.dims, str(path), "images")
        target = _joined(path, [arrays[pair[1]] for pair in parts.values()])
        if len(target) != len(ids):
            raise UserError(f"{path}: {len(ids)} images and {len(target)} labels")
        labels, asked = self._asked(without_channel(target, images.shape[2:]), images.shape[2:], ids)
        return Cases(
            images=torch.from_numpy(images),
            labels=torch.from_numpy(labels),
            ids=ids,
            task=Task(**asked, channels=images.shape[1], size=images.shape[2:]),
            columns={"part": tuple(part for part, n in counts.items() for _ in range(n))},
            sides=tuple("test" if part == "test" else "train" for part, n in counts.items() for _ in range(n)),
        )

    def _asked(self, target: np.ndarray, size: tuple[int, ...], ids: tuple[str, ...]) -> tuple[np.ndarray, dict]:
        if target.ndim == 1:
            labels, classes = read_labels(target, "labels")
            return labels, {"kind": "classification", "classes": classes}
        if target.shape[1:] == size:
            labels, classes = read_masks(target, ids)
            return labels, {"kind": "segmentation", "classes": classes}
        raise UserError(
            f"{self.path}: labels of {target.shape[1:]} for each image of {size} are neither one class nor a mask\n"
            "  several yes/no answers to one image (ChestMNIST) are not read: make one column a data set of its own"
        )


def _joined(path: object, arrays: list[np.ndarray]) -> np.ndarray:
    if len({one.shape[1:] for one in arrays}) > 1:
        raise UserError(f"{path}: train, val and test differ in shape: {', '.join(str(one.shape) for one in arrays)}")
    return np.concatenate(arrays)
