"""Task: what is asked of a network, as the data declare it."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

Kind = Literal["classification", "segmentation", "regression", "detection"]
QUANTITY: frozenset[Kind] = frozenset({"regression"})
CLASSES: frozenset[Kind] = frozenset(get_args(Kind)) - QUANTITY
IGNORED = -1  # label of an element that has no say, in training and in scores


@dataclass(frozen=True, kw_only=True)
class Task:
    """Which question the data ask.

    A binary question has one output, C = 1, unless a loss says that its classes are exclusive; K classes have K
    outputs; a quantity has one. Detection asks a yes/no question of each view of a candidate, and is judged by
    candidates, lesions and volumes.
    """

    kind: Kind
    classes: tuple[str, ...] = ()  # names, in the order of the indices; two for a binary question; none in regression
    quantity: str = ""  # in regression: what is asked for, "radius"
    unit: str = ""  # of the quantity, "mm"
    channels: int = 1  # of an image
    size: tuple[int, ...] = ()  # of an image, in pixels or voxels: (H, W) or (D, H, W)

    def __post_init__(self) -> None:
        if self.kind == "regression":
            if self.classes or not self.quantity:
                raise ValueError(f"a regression task has a quantity and no classes: {self.quantity!r}, {self.classes}")
        elif len(self.classes) < 2:
            raise ValueError(f"a task needs at least two classes, not {self.classes}")
        elif self.kind == "detection" and not self.binary:
            raise ValueError(f"detection asks whether a candidate is a lesion: two classes, not {self.classes}")

    @property
    def binary(self) -> bool:
        return len(self.classes) == 2

    @property
    def by_image(self) -> bool:
        """Whether a case has one class."""
        return self.kind in ("classification", "detection")

    @property
    def outputs(self) -> int:
        return 1 if self.binary or self.kind == "regression" else len(self.classes)

    @property
    def dims(self) -> int:
        """Axes of an image: 2 or 3."""
        return len(self.size)

    def target(self, labels: Tensor, like: Tensor) -> Tensor:
        """Labels (N, *S) in the form in which a loss asks for them beside logits `like`."""
        if self.kind == "regression":
            return labels.unsqueeze(1).to(torch.promote_types(like.dtype, torch.float32))
        known = labels.clamp_min(0)  # ignored elements need some index, and have no weight
        return known.unsqueeze(1).to(like.dtype) if like.shape[1] == 1 else known.long()
