"""How far each element lies from the boundary of an object, and of what is predicted."""

from dataclasses import dataclass

from torch import Tensor

from ..distance import signed_distances, steps
from ..lift import Lift
from ..question import Batch, space_of


@dataclass(frozen=True)
class Distances(Lift):
    """Signed distances to the objects of each image and class, (N, C, *S), without a gradient.

    Outside of the object above 0, the distance to its nearest element; inside below 0, minus that to the nearest
    element outside. 0 where an element has no weight, as it is then neither object nor background; and 0 all over where
    there is no object or nothing else. An object is where the proportion of a class is above one half.
    spacing: the step along each axis of S in some unit, such as mm; in voxels, where nothing is said.
    """

    spacing: tuple[float, ...] | None = None

    def __call__(self, batch: Batch) -> Tensor:
        question = batch.question(self.classes)
        return self._to(question.proportions, batch)

    def _to(self, yes: Tensor, batch: Batch, keep: bool = True) -> Tensor:
        question = batch.question(self.classes)
        logits = question.logits
        step = steps(self.spacing, space_of(question))
        present = question.weight.expand_as(logits) > 0
        return signed_distances(yes.detach() > 0.5, present, step, logits.dtype, keep=keep)


@dataclass(frozen=True)
class TargetDistances(Distances):
    """Distances to the objects of the target: the same in every step."""

    of_target = True


@dataclass(frozen=True)
class PredictedDistances(Distances):
    """Distances to what is predicted, where the probability is above one half: new in every step."""

    def __call__(self, batch: Batch) -> Tensor:
        return self._to(batch.question(self.classes).probabilities, batch, keep=False)
