"""Class noise: cases of one class get the label of one other."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from whichloss.core import FieldError, Task, UserError, fraction, text
from whichloss.data.cases import Cases

from .stress import Stress, StressCard


class ClassNoise(Stress):
    """Asymmetric noise: `round(share * n)` of the n training cases of `source` are labelled `target`.

    In a yes/no question one of the two names is enough, and without any it is the positive that is missed; where there
    are more classes, both must be named.
    """

    share: float = fraction(0.2)  # of the training cases of `source`
    source: str | None = text(None, optional=True)  # class
    target: str | None = text(None, optional=True)  # class

    card = StressCard(
        title="class noise",
        meaning="this share of the training cases of one class was taken for another, such as missed cancers",
        axis="class_noise",
        tasks=("classification",),
        changes="labels",
        unit="share of the training cases of the class",
    )

    def check(self) -> None:
        if self.source is not None and self.source == self.target:
            raise FieldError(f"ClassNoise: source and target are both {self.source!r}; they must differ")

    @property
    def none(self) -> bool:
        return not self.share

    def accept(self, task: Task) -> None:
        super().accept(task)
        self._classes(task)

    def relabel(self, cases: Cases, train: Sequence[int], random: np.random.Generator) -> Tensor:
        labels = cases.labels[list(train)]
        source, target = self._classes(cases.task)
        mistaken = random.permutation(np.flatnonzero(labels.numpy() == source))
        labels[mistaken[: round(self.share * len(mistaken))]] = target
        return labels

    def _classes(self, task: Task) -> tuple[int, int]:
        """Indices of source and target."""
        names = task.classes
        for name in (self.source, self.target):
            if name not in (None, *names):
                raise UserError(f"{self.label}: there is no class {name!r}; there are {', '.join(names)}")
        if task.binary:
            source = names.index(self.source) if self.source else 1 - names.index(self.target or names[0])
            return source, 1 - source
        if self.source is None or self.target is None:
            raise UserError(
                f"{self.label}: with {len(names)} classes, say which is taken for which:"
                f" ClassNoise(share={self.share}, source={names[-1]!r}, target={names[0]!r})"
            )
        return names.index(self.source), names.index(self.target)
