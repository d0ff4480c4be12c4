"""Metric: a frozen value that says how good the answers on a test fold are."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from whichloss.core import Task, UserError, Value
from whichloss.core.candidates import ANSWER, CANDIDATE, LESION, NONE
from whichloss.core.task import IGNORED, Kind
from whichloss.metrics.redrawn import mean_of, one_by_one

ELSEWHERE: dict[Kind, str] = {
    "regression": "a quantity has no classes; use MeanAbsoluteError() or RootMeanSquareError()",
    "detection": "candidates are judged by lesion and volume; use FrocArea(), SensitivityAt(), Cpm() or RocAuc()",
}


@dataclass(frozen=True, kw_only=True)
class MetricCard:
    """The facts of one metric."""

    title: str  # for people: "ROC AUC"
    meaning: str  # one line, for a clinician
    source: str  # key in references.bib
    tasks: tuple[Kind, ...]
    elsewhere: str = ""  # why other tasks are refused, and what to use there
    higher_is_better: bool = True
    unit: str = ""  # where the task does not decide it; empty: a share


class Metric(Value):
    """A value with a score for each case and a number for a test fold.

    logits: (N, C, *S), float, as the network gave them: C = 1 for a binary task, a channel per class otherwise.
    labels: (N, *S), class indices; an element of a mask labelled -1 has no say. In detection the table of
    `Candidates.truth`, (N + m, 4): a row for each logit, a view of a candidate, and one for each lesion without any.
    `at` is the threshold on the logit of a binary task; 0 is the natural one.
    A logit that is not a number is the lowest of all: it never is a yes.
    """

    card: ClassVar[MetricCard]

    @abstractmethod
    def scores(self, logits: Tensor, labels: Tensor, task: Task, at: float = 0.0) -> Tensor:
        """One score per case, (N,), float64; NaN where the case does not define it."""

    def value(self, logits: Tensor, labels: Tensor, task: Task, at: float = 0.0) -> float:
        """The metric on a fold: the mean over the cases that define it; NaN where none does."""
        return self.scores(logits, labels, task, at).nanmean().item()

    @property
    def title(self) -> str:
        """For people."""
        return self.card.title

    def unit(self, task: Task) -> str:
        """Of the value; empty: a share."""
        return self.card.unit

    def pooled(self, task: Task) -> bool:
        """Whether the value must be counted afresh for a resampled fold; otherwise it is the mean of the scores."""
        return False

    def redrawn(
        self, logits: Tensor, labels: Tensor, task: Task, groups: Tensor, times: Tensor, at: float = 0.0
    ) -> Tensor:
        """The value on folds whose patients were drawn with replacement, (B,), float64; NaN where there is none.

        groups: (len(labels),), the patient of each row, 0 ... G - 1. times: (B, G), float64, how often each is drawn.
        """
        if not self.pooled(task):
            return mean_of(self.scores(logits, labels, task, at), groups, times)
        return one_by_one(lambda some, truth: self.value(some, truth, task, at), logits, labels, groups, times)

    @abstractmethod
    def chance(self, labels: Tensor, task: Task) -> float:
        """What a failed run scores on these labels: an answer that ignores the image."""

    def accept(self, task: Task) -> None:
        """Raises UserError where the metric does not suit the task."""
        if task.kind not in self.card.tasks:
            why = ELSEWHERE.get(task.kind, self.card.elsewhere)
            raise UserError(f"{self.card.title} is not offered for {task.kind}: {why}")

    def check_fold(self, logits: Tensor, labels: Tensor, task: Task) -> None:
        """Raises UserError where logits, labels and task do not fit together."""
        self.accept(task)
        if task.kind == "detection":
            return _check_candidates(logits, labels)
        outputs, classes = task.outputs, len(task.classes)
        if logits.ndim < 2 or logits.shape[1] != outputs or labels.shape != logits.shape[:1] + logits.shape[2:]:
            raise UserError(
                f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} do not fit a task of {classes} classes:"
                f" it asks for logits (N, {outputs}, *S) and labels (N, *S).\n  hint: outputs of another form, such as"
                ' those of lift="one_versus_one", must become one score per class first'
            )
        if labels.is_floating_point():
            raise UserError(f"labels are class indices, integers, not {labels.dtype}; use labels.long()")
        lowest = IGNORED if task.kind == "segmentation" else 0
        if labels.numel() and not (int(labels.min()) >= lowest and int(labels.max()) < classes):
            raise UserError(
                f"labels go from {labels.min()} to {labels.max()}; {classes} classes are 0 to {classes - 1}"
            )


def _check_candidates(logits: Tensor, labels: Tensor) -> None:
    table = labels.ndim == 2 and labels.shape[1] == 4 and not labels.is_floating_point()
    if logits.shape != (len(logits), 1) or not table or not _tells(labels, views=len(logits)):
        raise UserError(
            f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} of {labels.dtype} do not fit: detection"
            " asks for logits (N, 1), one for each view, and the table of Candidates.truth, (N + m, 4), integers:"
            " answer, candidate, volume, lesion.\n  hint: the last m rows are lesions that no candidate hits, with"
            " candidate -1; answer 1 goes with a lesion, answer 0 with lesion -1"
        )


def _tells(labels: Tensor, views: int) -> bool:
    """Whether a table has so many views, then lesions without any; and a lesion where, and only where, it says yes."""
    yes, some = labels[:, ANSWER] == 1, labels[:, LESION] != NONE
    viewed = labels[:, CANDIDATE] != NONE
    apart = viewed[:views].all() and not viewed[views:].any()
    return len(labels) >= views and bool(apart and (yes == some).all() and yes[views:].all())
