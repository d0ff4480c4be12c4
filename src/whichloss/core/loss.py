"""Loss: a frozen value that maps (output, target) to one number; and the algebra of losses."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import reduce
from operator import add
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from .card import Card
from .errors import FieldError, UserError, in_words
from .fields import real
from .lift import Lift
from .prepare import Prepared, ready
from .question import Batch
from .task import CLASSES, Kind, Task
from .terms import Terms, mean
from .value import Value

Reach = Literal["image", "batch", "pairs"]
Known = Mapping[Lift, Any]
_REACHES: tuple[Reach, ...] = ("image", "batch", "pairs")


class Axis(NamedTuple):
    """What a formula is drawn over, and between which ends."""

    name: str
    low: float
    high: float


class Loss(Value):
    """A callable `(logits, target)` for any training loop, and a value that knows its name, its card and its terms.

    Logits are `(N, C, *S)`, never probabilities. What the target may be stands in `question.py`.
    """

    card: ClassVar[Card]
    foreign: ClassVar[Any] = None  # the class of somebody else's losses; set by foreign.py
    trains: ClassVar[bool] = True  # False: it has a value, but nothing can be learned from it
    background_first: ClassVar[bool] = False  # whether class 0, the background, counts otherwise than the others
    axis: ClassVar["Axis | None"] = None  # along which the formula is drawn; None: it has too many
    lifts: ClassVar[tuple[Lift, ...]]  # needs(), worked out when the loss is made; not a field
    lifts_of_mean: ClassVar[tuple[Lift, ...]]  # needs_of_mean(), likewise
    _all_train: ClassVar[bool]  # whether all of its leaves do

    def __post_init__(self) -> None:
        super().__post_init__()
        ready()
        self._set("lifts", tuple(self.needs()))
        self._set("lifts_of_mean", tuple(self.needs_of_mean()))
        self._set("_all_train", all(leaf.trains for leaf in self.leaves()))

    def __call__(
        self,
        output: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        *,
        ignore_index: int | None = None,
        known: Known | None = None,
    ) -> Tensor:
        """The weighted mean of the terms, one number.

        output: (N, C, *S) logits. target: (N, *S) indices, or (N, C, *S). weight: (N, *S) or (N, C, *S), multiplied
        after the activation; 0 leaves an element out. Elements whose target is `ignore_index` are left out too.
        known: what lifts of `ahead` have made of the target before, such as its distance maps.
        """
        if not isinstance(output, Tensor):
            raise UserError(
                f"{self.label} takes one output, a tensor, not {type(output).__name__}: for the outputs of several"
                f" resolutions say DeepSupervision({self.label}), which goes around everything else"
            )
        if output.requires_grad and not self._all_train:
            raise UserError(
                f"{self.label} is for evaluation only: its slope is zero or undefined, and teaches nothing;"
                " train with a surrogate such as Logistic() or Hinge(), and evaluate with logits.detach()"
            )
        if type(self).terms is not Loss.terms:
            more: dict[str, Any] = {"known": known} if known else {}  # which it may not take
            return mean(self.terms(output, target, weight, ignore_index=ignore_index, **more))
        return self.mean(Prepared(Batch(output, target, weight, ignore_index, known), self.lifts_of_mean))

    def terms(
        self,
        output: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        *,
        ignore_index: int | None = None,
        known: Known | None = None,
    ) -> Terms:
        """One value per case or voxel, or per (image, class) for region losses, each with its weight."""
        return self.measure(Prepared(Batch(output, target, weight, ignore_index, known), self.lifts))

    @abstractmethod
    def measure(self, prepared: Prepared) -> Terms:
        """The terms, from a batch whose needs have been prepared."""

    def needs(self) -> Sequence[Lift]:
        """The lifts that must be prepared before `measure`."""
        return ()

    def mean(self, prepared: Prepared) -> Tensor:
        """The weighted mean of the terms, where they are not asked for one by one."""
        return mean(self.measure(prepared))

    def needs_of_mean(self) -> Sequence[Lift]:
        """The lifts that must be prepared before `mean`."""
        return self.lifts

    @property
    def range(self) -> tuple[float, float]:
        """Interval that holds the value of every term."""
        return self.card.range

    @property
    def reach(self) -> Reach:
        """How far one term sees: an image at most; the batch; or every pair of its elements, at a squared cost."""
        reaches: list[Reach] = [part.reach for part in self.parts() if isinstance(part, Loss)]
        return _farthest("image", *reaches)

    @property
    def lumped(self) -> bool:
        """Whether it has one term whatever the batch, such as a total, so that there is nothing to choose from."""
        parts = [part for part in self.parts() if isinstance(part, Loss)]
        return bool(parts) and all(part.lumped for part in parts)

    @property
    def spatial(self) -> bool:
        """Whether a term sees where elements lie, so that they cannot be shuffled: distances, neighbours."""
        return any(part.spatial for part in self.parts() if isinstance(part, Loss))

    @property
    def ahead(self) -> tuple[Lift, ...]:
        """The lifts of this loss and of those within it that look at the target alone: to be made once, not in a step.

        What they give is called with as `known`.
        """
        within = [lift for part in self.parts() if isinstance(part, Loss) for lift in part.ahead]
        return tuple(dict.fromkeys([*(lift for lift in self.lifts if lift.of_target), *within]))

    def leaves(self) -> Iterator["Loss"]:
        """The losses of which this one is made; itself, if it is not made of others."""
        parts = [part for part in self.parts() if isinstance(part, Loss)]
        return (leaf for part in parts for leaf in part.leaves()) if parts else iter((self,))

    def asking(self, classes: str) -> "Loss":
        """The same loss, saying in all of its parts whether classes exclude each other."""
        changes: dict[str, Any] = {
            one.name: part.asking(classes) for one in fields(self) if isinstance(part := getattr(self, one.name), Loss)
        }
        if "classes" in {one.name for one in fields(self)}:
            changes["classes"] = classes
        return replace(self, **changes)

    def along(self, x: Tensor) -> Tensor:
        """The formula at points of its axis, for drawings. Raises UserError where there is none."""
        if self.axis is None:
            raise UserError(f"{self.label} is a function of several numbers; there is no curve to draw")
        return self.formula(x)  # type: ignore[attr-defined]

    # what the output means

    @property
    def tasks(self) -> frozenset[Kind]:
        """The kinds of task that a network can be trained for with this loss."""
        return frozenset.intersection(*(leaf.tasks if leaf is not self else CLASSES for leaf in self.leaves()))

    def accept(self, task: Task) -> None:
        """Raises UserError where the loss does not suit the task."""
        if task.kind not in self.tasks:
            suits = in_words(sorted(self.tasks)) or "nothing: its parts ask for different targets"
            asks = task.kind in CLASSES and any(one.name == "of" for one in fields(self))
            hint = '; of="probability" suits classes' if asks else ""
            raise UserError(f"{self.label} is for {suits}, and the data ask for {task.kind}{hint}")

    @property
    def answers(self) -> bool:
        """Whether the outputs are answers. If not, they are embeddings, and a classifier must be fitted on them."""
        first = next(self.leaves())
        return first is self or first.answers

    @property
    def cosines(self) -> bool:
        """Whether the outputs must be cosines of features and classes. If not, they may be any numbers."""
        first, *others = [leaf.cosines if leaf is not self else False for leaf in self.leaves()]
        if any(other != first for other in others):
            raise UserError(f"one part of {self.label} needs cosines, which lie between -1 and 1, and another does not")
        return first

    def outputs(self, task: Task) -> int:
        """How many outputs the network has under this loss: two for a yes/no question asked as one of two classes."""
        first, *others = [leaf.outputs(task) if leaf is not self else self._asked_for(task) for leaf in self.leaves()]
        if any(other != first for other in others):
            raise UserError(f"the parts of {self.label} need networks with different outputs")
        return first

    def _asked_for(self, task: Task) -> int:
        two = task.binary and getattr(self, "classes", "auto") == "exclusive"
        return 2 if two else task.outputs

    def exclusive(self, logits: Tensor) -> bool:
        """Whether these logits answer which class of several, rather than yes or no for each channel."""
        first = next(self.leaves())
        return logits.shape[1] > 1 and getattr(first, "classes", "auto") != "independent"

    def decide(self, logits: Tensor) -> Tensor:
        """At the natural threshold: a class index (N, *S), or yes (1) and no (0) per channel (N, C, *S)."""
        return self.class_scores(logits).argmax(1) if self.exclusive(logits) else (logits > 0).long()

    def class_scores(self, logits: Tensor) -> Tensor:
        """A score for each class (N, K, *S), from outputs that may be something else, such as pairs of classes."""
        first = next(self.leaves())
        return logits if first is self else first.class_scores(logits)

    def probability(self, logits: Tensor) -> Tensor | None:
        """The probabilities that the loss implies, of the logits' shape; None where it implies none."""
        first = next(self.leaves())
        if first is not self:
            return first.probability(logits)
        return logits.softmax(1) if self.exclusive(logits) else logits.sigmoid()

    def module(self) -> nn.Module:
        """The loss as an `nn.Module`, for frameworks that want one."""
        return LossModule(self)

    # algebra

    def __add__(self, other: "Loss") -> "Loss":
        if not isinstance(other, Loss):
            return NotImplemented
        return Sum(addends=_addends(self) + _addends(other))

    def __rmul__(self, factor: float) -> "Loss":
        try:
            weight = real(factor, 0.0, open_low=True)
        except TypeError:
            return NotImplemented
        except ValueError:
            raise FieldError(f"a loss can be weighted by a finite number above 0, not by {factor!r}") from None
        scaled = tuple((_scale(weight, old), loss) for old, loss in _addends(self))
        return scaled[0][1] if len(scaled) == 1 and scaled[0][0] == 1.0 else Sum(addends=scaled)


Addends = tuple[tuple[float, Loss], ...]


class Sum(Loss):
    """A weighted sum of losses. It has one term, its total, so that a wrapper can change the total."""

    listed = False
    addends: Addends

    card = Card(source="", equation="", smooth=False, convex=False)

    @classmethod
    def examples(cls) -> Sequence[Loss]:
        return []

    def check(self) -> None:
        try:
            parts = [(weight, loss if isinstance(loss, Loss) else None) for weight, loss in self.addends]
            if not parts or any(loss is None for _, loss in parts):
                raise TypeError
            flat = [
                (_scale(real(weight, 0.0, open_low=True), inner), leaf)
                for weight, loss in parts
                if loss is not None
                for inner, leaf in _addends(loss)
            ]
        except (TypeError, ValueError) as error:
            raise FieldError("a sum is made of (weight, loss) pairs with weights above 0") from error
        if len(flat) == 1 and flat[0][0] == 1.0:
            raise FieldError(f"a sum of {flat[0][1].label} alone is {flat[0][1].label} itself")
        self._set("addends", tuple(flat))
        axes = {loss.axis for _, loss in flat}
        self._set("axis", axes.pop() if len(axes) == 1 else None)

    def asking(self, classes: str) -> Loss:
        return Sum(addends=tuple((weight, loss.asking(classes)) for weight, loss in self.addends))

    def needs(self) -> Sequence[Lift]:
        return list(dict.fromkeys(lift for _, loss in self.addends for lift in loss.lifts_of_mean))

    def measure(self, prepared: Prepared) -> Terms:
        total = self.mean(prepared).reshape(1)
        return Terms(total, torch.ones_like(total))

    def mean(self, prepared: Prepared) -> Tensor:
        means = [loss.mean(prepared) if weight == 1 else weight * loss.mean(prepared) for weight, loss in self.addends]
        return reduce(add, means)

    def parts(self) -> Iterator[Value]:
        return (loss for _, loss in self.addends)

    @property
    def lumped(self) -> bool:
        return True

    @property
    def reach(self) -> Reach:
        return _farthest("batch", super().reach)

    @property
    def range(self) -> tuple[float, float]:
        ends = [(weight * loss.range[0], weight * loss.range[1]) for weight, loss in self.addends]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    def along(self, x: Tensor) -> Tensor:
        if self.axis is None:
            return super().along(x)
        return torch.stack([weight * loss.along(x) for weight, loss in self.addends]).sum(0)

    def spell(self, hide_defaults: bool) -> str:
        def one(weight: float, loss: Loss) -> str:
            spelled = loss.spell(hide_defaults)
            return spelled if weight == 1.0 else f"{weight!r} * {spelled}"

        return " + ".join(one(*addend) for addend in self.addends)


class LossModule(nn.Module):
    """A loss as an `nn.Module`. It holds no weights."""

    def __init__(self, loss: Loss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        return self.loss(output, target, weight)

    def extra_repr(self) -> str:
        return self.loss.label


def _farthest(*reaches: Reach) -> Reach:
    return max(reaches, key=_REACHES.index)


def _addends(loss: Loss) -> Addends:
    return loss.addends if isinstance(loss, Sum) else ((1.0, loss),)


def _scale(factor: float, weight: float) -> float:
    product = factor * weight
    try:
        return real(product, 0.0, open_low=True)
    except ValueError:
        raise FieldError(f"the weight {factor!r} * {weight!r} is beyond what a number can hold") from None
