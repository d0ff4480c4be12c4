"""The families of losses, named after what their formula sees. A loss is one formula in one of them."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from math import inf
from typing import ClassVar

import torch
from torch import Tensor

from .errors import FieldError, UserError
from .fields import choice, flag, inner, nonnegative, numbers
from .lift import Lift
from .lifts.log_probability import Answers, LogProbability
from .lifts.margins import Margins, classes_of_pairs
from .lifts.region import Counts, RegionSums
from .lifts.residual import Residual
from .loss import Loss
from .prepare import Prepared
from .ranks import over_ranks
from .task import Task
from .terms import Terms, average
from .value import Value

Prices = tuple[float | Tensor, float | Tensor]  # of a yes, of a no; tensors of shape (N or 1, C, *S or ones)


class MarginLoss(Loss):
    """Sees signed margins: how far each score lies on the right side. `formula` is a function of one number."""

    lift: str = choice("one_versus_rest", "one_versus_one", "each_rival", "top_rival", "sum_to_zero")
    per_class: str = choice("mean", "sum")  # of the questions that one element answers; the 1/N of paper 002
    scores: str = choice("logits", "softmax")  # what the margin is made of
    targets: str = choice("signed", "zero_one")  # y in {-1, 1}, or in {0, 1} as Keras 1 has it
    classes: str = choice("auto", "exclusive", "independent")

    @abstractmethod
    def formula(self, margin: Tensor) -> Tensor: ...

    def check(self) -> None:
        if self.targets == "zero_one" and self.lift != "one_versus_rest":
            raise FieldError(
                f'{type(self).__name__}: targets="zero_one" has a meaning only with lift="one_versus_rest"'
            )

    @property
    def range(self) -> tuple[float, float]:
        low, high = self.formula_range
        return (low, high) if self.per_class == "mean" else (min(low, 0.0), inf if high > 0 else 0.0)

    @property
    def formula_range(self) -> tuple[float, float]:
        """Interval that holds the values of the formula itself."""
        return self.card.range

    def link(self, margin: Tensor) -> Tensor | None:
        """The probability of yes at a margin, where the loss implies one: its minimiser, inverted."""
        return None

    def needs(self) -> Sequence[Lift]:
        return (Margins(self.classes, self.lift, self.scores, self.targets),)

    def measure(self, prepared: Prepared) -> Terms:
        margin, share, asked = prepared[self.lifts[0]]
        margin = torch.where(share > 0, margin, 0.0)  # what has no say must not send NaN backwards
        value, weight = average(self.formula(margin), share)
        return Terms(value * asked if self.per_class == "sum" else value, weight)

    def outputs(self, task: Task) -> int:
        classes = len(task.classes)
        return classes * (classes - 1) // 2 if self.lift == "one_versus_one" else task.outputs

    def class_scores(self, logits: Tensor) -> Tensor:
        if self.lift != "one_versus_one" or not self.exclusive(logits):
            return logits
        classes = classes_of_pairs(logits.shape[1])
        first, second = torch.combinations(torch.arange(classes, device=logits.device)).T
        won = (logits > 0).to(logits.dtype)
        none = logits.new_zeros((logits.shape[0], classes, *logits.shape[2:]))
        votes = none.index_add(1, first, won).index_add(1, second, 1 - won)
        lead = none.index_add(1, first, logits).index_add(1, second, -logits)
        return votes + lead / (3 * (lead.abs() + 1))  # margins break ties of votes, and never outvote them

    def probability(self, logits: Tensor) -> Tensor | None:
        plain = self.scores == "logits" and self.targets == "signed"
        return self.link(logits) if plain and not self.exclusive(logits) else None


class LikelihoodLoss(Loss):
    """Sees the log-probability of the truth. `formula` is a function of one number."""

    classes: str = choice("auto", "exclusive", "independent")

    @abstractmethod
    def formula(self, log_p: Tensor) -> Tensor: ...

    def prices(self, answers: Answers) -> Prices | None:
        """What a yes and a no are multiplied by where classes are independent; never divided out. None: by nothing."""
        return None

    def needs(self) -> Sequence[Lift]:
        return (LogProbability(self.classes),)

    def measure(self, prepared: Prepared) -> Terms:
        answers: Answers = prepared[self.lifts[0]]
        # what has no say must not send NaN backwards
        value = self.formula(torch.where(answers.share > 0, answers.log_p, -1.0))
        prices = self.prices(answers)
        if prices is not None:
            if not answers.yes:
                raise UserError(
                    f"{self.label} weighs yes against no, and exclusive classes have neither:"
                    ' weigh classes with a weight map (N, C, *S), or say classes="independent"'
                )
            value = torch.cat([prices[0] * value[:, : answers.yes], prices[1] * value[:, answers.yes :]], 1)
        return average(value, answers.share)


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

    @abstractmethod
    def formula(self, n: Counts) -> Tensor: ...

    def needs(self) -> Sequence[Lift]:
        return (RegionSums(self.classes),)

    def measure(self, prepared: Prepared) -> Terms:
        n: Counts = prepared[self.lifts[0]]
        weight = self._class_weight(n)
        if self.over != "image":
            n = Counts(*(sums.sum(0, keepdim=True) for sums in n))
        if self.over == "ranks":
            n = Counts(*over_ranks(torch.stack(n)))
        if not self.background:
            n, weight = Counts(*(sums[:, 1:] for sums in n)), weight[:, 1:]
        return self.merge(n, weight)

    def merge(self, n: Counts, weight: Tensor) -> Terms:
        """From counts (N, C) and the say of each class to terms; a loss that couples classes begins here."""
        absent = n.tp + n.fn == 0
        nothing = n.elements == 0
        seen = n._replace(tp=n.tp + self.smooth, elements=n.elements + self.smooth)
        undefined = seen.tp + n.fp + n.fn == 0  # only without smooth: nothing there and nothing found
        value = self.formula(seen._replace(tp=torch.where(undefined, 1.0, seen.tp)))
        weight = torch.where(nothing, 0.0, weight.expand_as(value))
        if self.empty == "skip":
            weight = torch.where(absent, 0.0, weight)
        elif self.empty == "zero":
            value = torch.where(absent, 0.0, value)
        elif self.empty == "volume":
            value = torch.where(absent, n.fp / torch.where(nothing, 1.0, n.elements), value)
        return Terms(torch.where(weight > 0, value, 0.0), weight)

    def _class_weight(self, n: Counts) -> Tensor:
        classes = n.tp.shape[1]
        if not self.background and classes == 1:
            raise UserError(f"{self.label}: one output is the foreground, so background=False leaves nothing")
        if self.class_weight is None:
            return n.tp.new_ones(1, classes)
        if len(self.class_weight) != classes:
            raise UserError(f"{self.label}: class_weight has {len(self.class_weight)} entries for {classes} classes")
        return n.tp.new_tensor([self.class_weight])


class RegressionLoss(Loss):
    """Sees the residual, output minus target. `formula` is a function of one number."""

    @abstractmethod
    def formula(self, residual: Tensor) -> Tensor: ...

    def needs(self) -> Sequence[Lift]:
        return (Residual(),)

    def measure(self, prepared: Prepared) -> Terms:
        residual, share = prepared[self.lifts[0]]
        return average(self.formula(residual), share)


class WrapperLoss(Loss):
    """Changes the value of another loss, term by term. `formula` is a function of one non-negative number."""

    loss: Loss = inner(lambda: Loss, kw_only=False)

    @abstractmethod
    def formula(self, value: Tensor) -> Tensor: ...

    @classmethod
    def examples(cls) -> Sequence["WrapperLoss"]:
        from .expression import parse

        return [cls(parse("Dice()")), cls(parse("CrossEntropy()"))]

    def check(self) -> None:
        if self.loss.range[0] < 0:
            raise FieldError(f"{type(self).__name__} needs a loss that is never negative; {self.loss.label} can be")

    def needs(self) -> Sequence[Lift]:
        return self.loss.needs()

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = self.loss.measure(prepared)
        return Terms(self.formula(torch.where(weight > 0, value, 0.0)), weight)

    @property
    def range(self) -> tuple[float, float]:
        ends = torch.tensor(self.loss.range, dtype=torch.float64)
        low, high = self.formula(ends).tolist()  # every wrapper rises with the value
        return low, high


class PresetLoss(Loss):
    """Another library's loss under its origin's name: what it means in ours, and its numbers where these are finite."""

    classes: str = choice("auto", "exclusive", "independent")

    means: ClassVar[Loss]  # meaning(), worked out when the preset is made; not a field
    offset: ClassVar[float] = 0.0  # added to the value; it moves no gradient

    @abstractmethod
    def meaning(self) -> Loss:
        """The expression in our terms."""

    def check(self) -> None:
        self._set("means", self.meaning().asking(self.classes))

    def needs(self) -> Sequence[Lift]:
        return self.means.needs()

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = self.means.measure(prepared)
        return Terms(value + self.offset, weight)

    @property
    def range(self) -> tuple[float, float]:
        low, high = self.means.range
        return low + self.offset, high + self.offset

    def parts(self) -> Iterator[Value]:
        return iter((self.means,))  # whose results_version decides results, too
