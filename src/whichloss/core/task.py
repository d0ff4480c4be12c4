"""Task: what is asked of a network, as the data declare it."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Kind = Literal["classification", "segmentation"]
IGNORED = -1  # label of an element that has no say, in training and in scores


@dataclass(frozen=True, kw_only=True)
class Task:
    """Which question the data ask.

    A binary question has one output, C = 1, for every loss; K classes have K outputs.
    """

    kind: Kind
    classes: tuple[str, ...]  # names, in the order of the indices; two for a binary question
    channels: int = 1  # of an image
    size: tuple[int, ...] = ()  # of an image, in pixels or voxels: (H, W) or (D, H, W)

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise ValueError(f"a task needs at least two classes, not {self.classes}")

    @property
    def binary(self) -> bool:
        return len(self.classes) == 2

    @property
    def outputs(self) -> int:
        return 1 if self.binary else len(self.classes)

    @property
    def dims(self) -> int:
        """Axes of an image: 2 or 3."""
        return len(self.size)

    def target(self, labels: Tensor, like: Tensor) -> Tensor:
        """Labels (N, *S) of class indices in the form in which a loss asks for them beside logits `like`."""
        known = labels.clamp_min(0)  # ignored elements need some index, and have no weight
        return known.unsqueeze(1).to(like.dtype) if self.binary else known.long()
