"""Metrics that count decisions: true and false, yes and no."""

from abc import abstractmethod
from math import inf

import torch
from torch import Tensor

from whichloss.core import Counts, Task, choice
from whichloss.core.rows import PART, Rows
from whichloss.metrics.metric import Metric


class ThresholdedMetric(Metric):
    """Counts decisions; `formula` is a function of the counts of one class.

    A binary task says yes where the logit exceeds the threshold. `threshold` says which one: tuned on inner data, or
    the natural 0; whoever asks for a value hands it over as `at`. Of several exclusive classes the highest logit
    wins, and the threshold is without effect.

    Several classes are averaged: over the foreground classes 1..K-1 in segmentation, over all of them in
    classification, each class counting the same (macro). A class that a case does not define is left out.
    """

    threshold: str = choice("tuned", "natural")

    @abstractmethod
    def formula(self, n: Counts) -> Tensor:
        """Scores of the shape of the counts; NaN where these do not define one."""

    def goal(self, n: Counts) -> Tensor:
        """What a tuned threshold makes as large as possible, of the shape of the counts."""
        return self.formula(n)

    def scores(self, logits: Tensor, labels: Tensor, task: Task, at: float = 0.0) -> Tensor:
        return self.formula(self._counts(logits, labels, task, at)).nanmean(1)

    def value(self, logits: Tensor, labels: Tensor, task: Task, at: float = 0.0) -> float:
        if not self.pooled(task):
            return super().value(logits, labels, task, at)
        n = self._counts(logits, labels, task, at)
        return self.formula(Counts(*(part.sum(0) for part in n))).nanmean().item()

    def pooled(self, task: Task) -> bool:
        """True of several classes in classification: a class has a rate over the fold, a case has none."""
        return task.kind == "classification" and not task.binary

    def redrawn(
        self, logits: Tensor, labels: Tensor, task: Task, groups: Tensor, times: Tensor, at: float = 0.0
    ) -> Tensor:
        if not self.pooled(task):
            return super().redrawn(logits, labels, task, groups, times, at)
        counts = self._counts(logits, labels, task, at)
        zeros = times.new_zeros(times.shape[1], counts.tp.shape[1])
        return self.formula(Counts(*(times @ zeros.index_add(0, groups, part) for part in counts))).nanmean(1)

    def _counts(self, logits: Tensor, labels: Tensor, task: Task, at: float) -> Counts:
        self.check_fold(logits, labels, task)
        foreground = task.binary or task.kind == "segmentation"
        classes = range(1 if foreground else 0, len(task.classes))
        if not isinstance(labels, Rows) and logits[:1].numel() <= PART:
            return count(decide(logits, task, at), labels, classes)
        each = [_count_in_parts(one, truth, task, at, classes) for one, truth in zip(logits, labels, strict=True)]
        return Counts(*(torch.cat(part) for part in zip(*each, strict=True)))


def decide(logits: Tensor, task: Task, at: float = 0.0) -> Tensor:
    """The class of each element, (N, *S): yes where the one logit exceeds `at`, or the class of the highest logit."""
    if not task.binary:
        return torch.where(logits.isnan(), -inf, logits).argmax(1)
    scores = wide(logits)[:, 0]
    bar = scores.new_tensor(at)
    if bar.item() > at:  # rounded up: a logit between `at` and the bar would be missed
        bar = bar.nextafter(bar.new_tensor(-inf))
    return scores > bar


def _count_in_parts(logits: Tensor, labels: Tensor, task: Task, at: float, classes: range) -> Counts:
    """`count` of one image, logits (C, *S) and labels (*S), of which no copy is made."""
    pieces = zip(logits.flatten(1).split(PART, 1), labels.flatten().split(PART), strict=True)
    each = [count(decide(one.unsqueeze(0), task, at), truth.unsqueeze(0), classes) for one, truth in pieces]
    return Counts(*(torch.stack(part).sum(0) for part in zip(*each, strict=True)))


def wide(logits: Tensor) -> Tensor:
    """Half precision brought to float32, so that a threshold can stand between neighbouring logits."""
    return logits.float() if logits.dtype.itemsize < 4 else logits


def count(decision: Tensor, labels: Tensor, classes: range) -> Counts:
    """Elements of each case by decision and truth, (N, classes), float64."""
    decided, truth = decision.unsqueeze(-1).flatten(1), labels.unsqueeze(-1).flatten(1)
    known = truth >= 0
    rows = []
    for label in classes:
        yes, true = known & (decided == label), truth == label
        tp = (yes & true).sum(1)
        rows.append(torch.stack([tp, yes.sum(1) - tp, true.sum(1) - tp]))
    tp, fp, fn = torch.stack(rows, 2).double()
    return Counts(tp, fp, fn, known.sum(1, keepdim=True).double().expand_as(tp))
