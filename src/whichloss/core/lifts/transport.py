"""How far probability lies from the true class, where some classes are nearer to each other than others."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UserError
from ..lift import Lift
from ..question import Batch
from .region import Counts, by_image

Distances = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Transport(Lift):
    """Soft counts of each true class (N, C), an element wrong by the mean distance of its probabilities from its class.

    FN is what elements of the class are wrong by, and TP the rest. background_counts=False: being right about class 0
    is no hit, and what its elements are wrong by is FP, as where one class is asked about. An element weighs as its
    true class does.
    """

    distances: Distances | None = None  # None: every two classes are 1 apart
    background_counts: bool = True

    def __call__(self, batch: Batch) -> Counts:
        p, y, weight = by_image(batch.question(self.classes))
        far = self._matrix(p)
        with torch.autocast(p.device.type, enabled=False):  # it would round sums to three digits
            confusion = (weight * y) @ p.transpose(1, 2)  # (N, C, C): of each true class, where its probability is
        wrong, right = (confusion * far).sum(2), (confusion * (1 - far)).sum(2)
        elements = (weight * y).sum(2)
        if self.background_counts:
            return Counts(right, torch.zeros_like(wrong), wrong, elements)
        foreground = torch.ones_like(far[0])
        foreground[0] = 0
        return Counts(foreground * right, (1 - foreground) * wrong, foreground * wrong, elements)

    def _matrix(self, p: Tensor) -> Tensor:
        classes = p.shape[1]
        if self.distances is None:
            return 1 - torch.eye(classes, dtype=p.dtype, device=p.device)
        if len(self.distances) != classes:
            raise UserError(f"the distances are between {len(self.distances)} classes, and the logits have {classes}")
        return p.new_tensor(self.distances)
