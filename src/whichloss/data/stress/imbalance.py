"""Imbalance: few training cases show what is looked for."""

from collections.abc import Sequence

import numpy as np

from whichloss.core import FieldError, Task, UserError, fraction, text
from whichloss.data.cases import Cases

from .stress import Stress, StressCard

LEAST = 2  # rare cases: one to fit, one to choose settings by


class Imbalance(Stress):
    """Training cases of one class are dropped until they make up this share of those that remain.

    Which class: the positive one of a yes/no question, else the one with the fewest cases in the whole data set (the
    first of equals), unless `rare` names it. In segmentation: the cases whose mask holds any foreground, or any of the
    class `rare`. Single cases are dropped, whatever their patient. A share of None leaves the data as they are.
    """

    share: float | None = fraction(0.05, optional=True)  # of the training cases that remain
    rare: str | None = text(None, optional=True)  # class

    card = StressCard(
        title="imbalance",
        meaning="only this share of the training cases shows what is looked for",
        axis="imbalance",
        tasks=("classification", "segmentation"),
        changes="cases",
        unit="share of the training cases",
    )

    def check(self) -> None:
        if self.share in (0, 1):
            raise FieldError(
                f"Imbalance: share is {self.share:g}; it must lie between 0 and 1, since training needs both kinds of"
                " cases. None (null in a study file) leaves the data as they are"
            )

    @property
    def none(self) -> bool:
        return self.share is None

    def accept(self, task: Task) -> None:
        super().accept(task)
        if self.rare is not None and self.rare not in task.classes:
            raise UserError(f"{self.label}: there is no class {self.rare!r}; there are {', '.join(task.classes)}")

    def keep(self, cases: Cases, train: Sequence[int], random: np.random.Generator) -> tuple[int, ...]:
        if self.share is None:
            return super().keep(cases, train, random)
        all_cases = np.sort(np.asarray(train, dtype=int))
        is_rare = self._is_rare(cases)[all_cases]
        rare, others = all_cases[is_rare], all_cases[~is_rare]
        wanted = round(self.share / (1 - self.share) * len(others))
        self._check_counts(cases.task, len(rare), len(others), wanted)
        kept = random.permutation(rare)[:wanted]
        return tuple(np.sort(np.concatenate([kept, others])).tolist())

    def _is_rare(self, cases: Cases) -> np.ndarray:
        """(N,) of all cases."""
        labels = cases.labels.numpy()
        if cases.task.kind == "segmentation":
            labels = labels.reshape(len(labels), -1)
            return np.any(labels > 0 if self.rare is None else labels == self._class(cases), axis=1)
        return labels == self._class(cases)

    def _class(self, cases: Cases) -> int:
        classes = cases.task.classes
        if self.rare is not None:
            return classes.index(self.rare)
        return 1 if cases.task.binary else int(np.bincount(cases.labels.numpy(), minlength=len(classes)).argmin())

    def _check_counts(self, task: Task, rare: int, others: int, wanted: int) -> None:
        looked_for = self.rare or ("foreground" if task.kind == "segmentation" else "what is looked for")
        what = f"{self.label}: {rare} of {rare + others} training cases show {looked_for}"
        if not others:
            raise UserError(
                f"{what}, so that dropping some of them changes no share.\n  hint: add cases without, such as patches"
                " of healthy tissue; or study fewer cases with TrainingSize, missed ones with MissedLesions"
            )
        if wanted > rare:
            raise UserError(
                f"{what}, a share of {rare / (rare + others):.3g}: already rarer.\n  hint: ask for a smaller share,"
                " or name another class in `rare`"
            )
        if wanted < LEAST:
            least = LEAST / (LEAST + others)
            raise UserError(
                f"{what}, and {wanted} would remain; {LEAST} are needed, one to fit and one to choose settings by.\n"
                f"  hint: with {others} others that is a share of {least:.3g}"
            )
