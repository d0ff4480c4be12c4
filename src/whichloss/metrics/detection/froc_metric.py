"""Metrics that are read off the FROC curve of a fold."""

from abc import abstractmethod

import torch
from torch import Tensor

from whichloss.core import Task, choice
from whichloss.core.candidates import NONE, VOLUME
from whichloss.core.task import Kind
from whichloss.metrics.detection.froc import COUNTS, READINGS, Froc, Redrawn
from whichloss.metrics.detection.views import VIEWS, Pooled, first, pool_views
from whichloss.metrics.metric import Metric
from whichloss.metrics.redrawn import blocks

TASKS: tuple[Kind, ...] = ("detection",)
ELSEWHERE = "it counts lesions and false positives per volume, which candidates have; use RocAuc() or, of masks, Dice()"


class FrocMetric(Metric):
    """The score of a candidate is the mean of its views (`views`: or their median, a percentile, the extremes).

    A lesion is found where one of its candidates is. `count` says what sensitivity is a share of: every "lesion", as
    annotated; those that a candidate has "reached", which leaves out what no network could find; or every "candidate"
    that hits a lesion. `by`: between two points of the curve, "steps" or "lines", see `Froc`.

    Each lesion has a share in the value, written to its first view (of a candidate: to its own); no other case has a
    score. The mean of the scores is the value, unless lesions are annotated that no candidate hits: they have no case,
    and the value counts 0 for each.

    There is no threshold, so that `at` is without effect. Without a lesion there is no value.
    """

    count: str = choice(*COUNTS)
    by: str = choice(*READINGS)
    views: str = choice(*VIEWS)

    @property
    def title(self) -> str:
        """With what is not as usual: a page may show several."""
        of = {"lesion": "", "reached": ", of lesions that a candidate hits", "candidate": ", per candidate"}[self.count]
        views = "" if self.views == "mean" else f", {self.views} of the views"
        return self.reads + of + views + ("" if self.by == "steps" else ", by lines")

    @property
    def reads(self) -> str:
        """What is read off the curve."""
        return self.card.title

    @abstractmethod
    def shares(self, froc: Froc) -> Tensor:
        """What each lesion that is hit contributes, (R,), from 0 to 1."""

    def froc(self, logits: Tensor, labels: Tensor, task: Task) -> Froc:
        """The curve of a fold. logits: (N, 1), one for each view. labels: (N + m, 4), see `Candidates.truth`."""
        return self._curve(self._pooled(logits, labels, task), labels, missed=len(labels) - len(logits))

    def value(self, logits: Tensor, labels: Tensor, task: Task, at: float = 0.0) -> float:
        froc = self.froc(logits, labels, task)
        return froc.mean(self.shares(froc))

    def scores(self, logits: Tensor, labels: Tensor, task: Task, at: float = 0.0) -> Tensor:
        """Its share for the first view of each lesion, (N,); NaN for the other cases."""
        candidates = self._pooled(logits, labels, task)
        shares = self.shares(self._curve(candidates, labels))
        scores = shares.new_full((len(logits),), torch.nan)
        scores[self._first_views(candidates)] = shares
        return scores

    def redrawn(
        self, logits: Tensor, labels: Tensor, task: Task, groups: Tensor, times: Tensor, at: float = 0.0
    ) -> Tensor:
        """Curve by curve, but all at once: another draw changes what a lesion costs, and how often it counts."""
        candidates = self._pooled(logits, labels, task)
        froc = self._curve(candidates, labels)
        volumes = groups[first(torch.arange(len(labels)), labels[:, VOLUME])]
        hit, false = groups[self._first_views(candidates)], groups[candidates.row[candidates.lesion == NONE]]
        missed = groups[len(logits) :] if self.count == "lesion" else groups[:0]
        values = []
        for part in blocks(times, len(labels)):
            curves = Redrawn.redraw(froc, marks=part[:, false], scans=part[:, volumes].sum(1))
            weight = part[:, hit]
            values.append((weight * self.shares(curves)).sum(1) / (weight.sum(1) + part[:, missed].sum(1)))
        return torch.cat(values)

    def _pooled(self, logits: Tensor, labels: Tensor, task: Task) -> Pooled:
        self.check_fold(logits, labels, task)
        return pool_views(logits, labels, self.views)

    def _curve(self, candidates: Pooled, labels: Tensor, missed: int = 0) -> Froc:
        volumes = len(labels[:, VOLUME].unique())
        return Froc.of(candidates.score, candidates.lesion, volumes=volumes, missed=missed, count=self.count)

    def _first_views(self, candidates: Pooled) -> Tensor:
        """The row of the first view of each lesion, or of each candidate that hits one, (R,)."""
        _, lesion, row = candidates
        row, lesion = row[lesion != NONE], lesion[lesion != NONE]
        return row if self.count == "candidate" else first(row, lesion)

    def pooled(self, task: Task) -> bool:
        """True: which lesions are found depends on the false positives of the whole fold."""
        return True

    def chance(self, labels: Tensor, task: Task) -> float:
        """0: a run that failed has found nothing."""
        self.accept(task)
        return 0.0
