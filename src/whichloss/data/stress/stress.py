"""Stress: a frozen value that says how a data set is made harder."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from whichloss.core import Task, UserError, Value, in_words, parse, registry
from whichloss.core.task import Kind
from whichloss.data.cases import Cases


@dataclass(frozen=True, kw_only=True)
class StressCard:
    """The facts of one way to make data harder."""

    title: str  # for people: "label noise"
    meaning: str  # one line, for a clinician
    axis: str  # its key in a study file
    tasks: tuple[Kind, ...]
    changes: Literal["cases", "labels", "images"]  # which cases are trained on, their labels, or the images tested
    unit: str  # of the level


class Stress(Value):
    """A value that changes which cases are trained on, their labels, or the images that are tested.

    The first field is its level: `label_noise: [0.0, 0.2]` in a study means `LabelNoise(share=0.2)`.

    All chance comes from the generator that is passed. Each draws the same numbers at every level, so that under one
    seed the levels are nested: what a low level changes, a higher one changes too, and in the same way.
    Shares are counted, not drawn: exactly `round(share * n)` of n, and halves go to the even number.
    """

    card: ClassVar[StressCard]

    @staticmethod
    def axes() -> dict[str, "type[Stress]"]:
        """The class that a bare number on each axis means."""
        return {cls.card.axis: cls for cls in registry(Stress).values()}

    @staticmethod
    def of(axis: str, level: object, *, imports: bool = False) -> "Stress":
        """The value on an axis: from a bare level, from an expression (imports: as in `parse`), or itself.

        >>> Stress.of("label_noise", 0.2)
        LabelNoise(share=0.2)
        """
        axes = Stress.axes()
        if axis not in axes:
            near = get_close_matches(axis, axes, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"no stress is called {axis!r}; there are {', '.join(sorted(axes))}{hint}")
        value = parse(level, Stress, imports=imports) if isinstance(level, str) else level
        if not isinstance(value, Stress):
            return axes[axis](**{axes[axis].level_field(): value})
        if value.card.axis != axis:
            raise UserError(f"{value.label} is no level of {axis!r}: it belongs to {value.card.axis!r}")
        return value

    @classmethod
    def level_field(cls) -> str:
        return fields(cls)[0].name

    @property
    def level(self) -> Any:
        return getattr(self, self.level_field())

    @property
    @abstractmethod
    def none(self) -> bool:
        """Whether the data stay as they are."""

    @property
    def label(self) -> str:
        """The short name for people. It tells the level also where that is the default."""
        name, _, others = self.spell(hide_defaults=True).partition("(")
        told = f"{self.level_field()}={self.level!r}"
        if others.startswith(told):
            return f"{name}({others}"
        return f"{name}({told}, {others}" if others else f"{name}({told})"

    def accept(self, task: Task) -> None:
        """Raises UserError where it does not suit the task."""
        if task.kind not in self.card.tasks:
            others = sorted(axis for axis, cls in Stress.axes().items() if task.kind in cls.card.tasks)
            raise UserError(
                f"{type(self).__name__} is for {in_words(self.card.tasks)}, and the data ask for {task.kind};"
                f" what suits it: {', '.join(others)}"
            )

    def keep(self, cases: Cases, train: Sequence[int], random: np.random.Generator) -> tuple[int, ...]:
        """Which of the training cases remain: indices of cases, ascending."""
        return tuple(sorted(train))

    def relabel(self, cases: Cases, train: Sequence[int], random: np.random.Generator) -> Tensor:
        """The labels of the training cases, in the order of `train`; the cases themselves never change."""
        return cases.labels[list(train)]

    def reimage(self, images: Tensor, random: np.random.Generator) -> Tensor:
        """The images that are tested, (N, channels, *S); what is passed never changes."""
        return images


def units(cases: Cases, train: Sequence[int]) -> tuple[int, np.ndarray]:
    """How many things to label there are, and which of them each training case shows: candidates, in detection."""
    if cases.candidates is None:
        return len(train), np.arange(len(train))
    names, member = np.unique(cases.candidates.numbers[list(train)].numpy(), return_inverse=True)
    return len(names), member
