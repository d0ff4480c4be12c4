"""Region losses: a function of soft counts of true positives, false positives and false negatives."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..fields import choice, flag, nonnegative, numbers
from ..lift import Lift
from ..lifts.region import Counts, RegionSums
from ..loss import Axis, Loss, Reach
from ..prepare import Prepared
from ..ranks import over_ranks
from ..terms import Terms


class RegionLoss(Loss):
    """Sees soft TP, FP and FN of each image and class. `formula` is a function of these counts.

    What a field does is said once, here, for all overlap losses:
    over          whose sums are one region: each image's, the batch's, or the batch of all processes
    smooth        imagined true positives, added to every TP wherever it stands
    empty         a class without target: "formula" as it comes out, "skip" no say, "zero" value 0,
                  "volume" the soft predicted volume over the number of elements
    background    whether class 0 has a say
    class_weight  the say of each class, on terms and never on voxels
    """

    over: str = choice("image", "batch", "ranks")
    smooth: float = nonnegative(1.0)
    empty: str = choice("formula", "skip", "zero", "volume")
    background: bool = flag(True)
    class_weight: tuple[float, ...] | None = numbers(None, low=0.0, optional=True)
    classes: str = choice("auto", "exclusive", "independent")

    axis = Axis("share of the lesion found, as much false as missed", 0.0, 1.0)

    @abstractmethod
    def formula(self, n: Any) -> Tensor: ...  # of Counts, or of more sums if the loss has a lift of its own

    @property
    def reach(self) -> Reach:
        return "image" if self.over == "image" else "batch"

    def along(self, x: Tensor) -> Tensor:
        found, wrong = 100 * x, 100 * (1 - x)  # of a lesion of 100 voxels among 10,000
        return self.formula(self.hard(found, wrong, wrong, 1e4 - found - 2 * wrong))

    def hard(self, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor | float = 0.0) -> Any:
        """What the formula sees of so many elements whose answers are wholly right or wholly wrong."""
        return Counts(tp, fp, fn, tp + fp + fn + tn)

    def needs(self) -> Sequence[Lift]:
        return (RegionSums(self.classes),)

    def measure(self, prepared: Prepared) -> Terms:
        n: Any = prepared[self.lifts[0]]
        weight = self._class_weight(n)
        if self.over != "image":
            n = n._make(sums.sum(0, keepdim=True) for sums in n)
        if self.over == "ranks":
            n = n._make(over_ranks(torch.stack(n)))
        if not self.background:
            n, weight = n._make(sums[:, 1:] for sums in n), weight[:, 1:]
        if type(self).say is RegionLoss.say:
            return self._terms(n, weight)
        volume = (n.tp + n.fn).detach()
        say = self.say(torch.where(volume > 0, volume, 1.0))
        return self._terms(n, weight) if say is None else self._terms(*self._pool(n, weight, say, volume > 0))

    def say(self, volume: Tensor) -> Tensor | None:
        """The say of a class in the one region that all classes form, by its volume; None: each is a region."""
        return None

    def _pool(self, n: Counts, weight: Tensor, say: Tensor, present: Tensor) -> tuple[Counts, Tensor]:
        """One region of all classes. An absent class says as much as the loudest that is present, or is skipped."""
        loudest = torch.where(present, say, 0.0).amax(1, keepdim=True)
        loudest = torch.where(loudest > 0, loudest, 1.0)
        absent = 0.0 if self.empty == "skip" else 1.0
        share = weight * torch.where(present, say / loudest, absent)  # a ratio: volumes squared outgrow float32
        return n._make((share * part).sum(1, keepdim=True) for part in n), (weight > 0).any(1, keepdim=True).to(weight)

    def _terms(self, n: Any, weight: Tensor) -> Terms:
        nothing = n.elements == 0
        seen = n._replace(tp=n.tp + self.smooth, elements=n.elements + self.smooth)
        if not self.smooth:
            undefined = seen.tp + n.fp + n.fn == 0  # nothing there and nothing found
            seen = seen._replace(tp=torch.where(undefined, 1.0, seen.tp))
        value = self.formula(seen)
        weight = weight.expand_as(value).masked_fill(nothing, 0.0)
        if self.empty != "formula":
            absent = (n.tp + n.fn).detach() == 0
            if self.empty == "skip":
                weight = weight.masked_fill(absent, 0.0)
            elif self.empty == "zero":
                value = value.masked_fill(absent, 0.0)
            else:
                value = torch.where(absent, n.fp / torch.where(nothing, 1.0, n.elements), value)
        return Terms(value.masked_fill(weight <= 0, 0.0), weight)

    def _class_weight(self, n: Counts) -> Tensor:
        classes = n.tp.shape[1]
        if not self.background and classes == 1:
            raise UserError(f"{self.label}: one output is the foreground, so background=False leaves nothing")
        if self.class_weight is None:
            return n.tp.new_ones(1, classes)
        if len(self.class_weight) != classes:
            raise UserError(f"{self.label}: class_weight has {len(self.class_weight)} entries for {classes} classes")
        return n.tp.new_tensor([self.class_weight])
