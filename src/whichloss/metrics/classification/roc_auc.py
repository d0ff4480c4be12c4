"""Area under the receiver operating characteristic."""

import torch
from torch import Tensor

from whichloss.core import Task
from whichloss.core.candidates import NONE
from whichloss.metrics.detection.views import pool_views
from whichloss.metrics.metric import Metric, MetricCard
from whichloss.metrics.redrawn import roc_area


class RocAuc(Metric):
    r"""How often a case of a class scores above a case of another; a tie counts one half.

    $$P(s_+ > s_-) + \tfrac12 P(s_+ = s_-)$$

    A rank statistic (Mann and Whitney): no threshold, and no scale. With several classes, each is set against the
    rest and the areas of the classes present are averaged (macro), each class counting the same.

    The score of a case is its placement (DeLong): the share of the cases on the other side that it is ranked
    correctly against. The mean over all cases is exactly the area.

    In detection the cases are candidates: the score is the mean of a candidate's views, its placement is written to the
    first of them, and the other views have none. Lesions that no candidate hits have no say.
    """

    card = MetricCard(
        title="ROC AUC",
        meaning="How often an ill case is rated more suspicious than a healthy one; 0.5 is guessing.",
        source="fawcett2006introduction",
        tasks=("classification", "detection"),
        elsewhere="over voxels it saturates under imbalance, since most are easy background; use Dice() or Recall()",
    )

    def scores(self, logits: Tensor, labels: Tensor, task: Task, at: float = 0.0) -> Tensor:
        self.check_fold(logits, labels, task)
        if task.kind == "detection":
            return _of_candidates(logits, labels)
        evidence = _finite(logits)
        if task.binary:
            return _placements(evidence[:, 0], labels == 1)
        each = [_placements(_odds(evidence, k), labels == k) for k in range(len(task.classes))]
        return torch.stack(each, 1).nanmean(1)

    def pooled(self, task: Task) -> bool:
        """True: a placement depends on the other cases of the fold."""
        return True

    def redrawn(
        self, logits: Tensor, labels: Tensor, task: Task, groups: Tensor, times: Tensor, at: float = 0.0
    ) -> Tensor:
        self.check_fold(logits, labels, task)
        if task.kind == "detection":
            score, lesion, first = pool_views(logits, labels)
            return roc_area(_finite(score), lesion != NONE, groups[first], times)
        evidence = _finite(logits)
        if task.binary:
            return roc_area(evidence[:, 0], labels == 1, groups, times)
        each = [roc_area(_odds(evidence, k), labels == k, groups, times) for k in range(len(task.classes))]
        return torch.stack(each, 1).nanmean(1)

    def chance(self, labels: Tensor, task: Task) -> float:
        """0.5: equal scores for all."""
        self.accept(task)
        return 0.5


def _of_candidates(logits: Tensor, labels: Tensor) -> Tensor:
    score, lesion, first = pool_views(logits, labels)
    scores = score.new_full((len(logits),), torch.nan)
    scores[first] = _placements(_finite(score), lesion != NONE)
    return scores


def _finite(logits: Tensor) -> Tensor:
    return logits.double().nan_to_num(nan=-1e300, posinf=1e300, neginf=-1e300)


def _odds(logits: Tensor, k: int) -> Tensor:
    """Log-odds of class k against the rest, (N,): orders cases as the softmax does, without its ties close to 1."""
    return logits[:, k] - torch.cat([logits[:, :k], logits[:, k + 1 :]], 1).logsumexp(1)


def _placements(score: Tensor, positive: Tensor) -> Tensor:
    """The share of the other side that each case is on the right side of, (N,); NaN where there is no other side."""
    placed = torch.full_like(score, torch.nan)
    for mine in (positive, ~positive):
        others = score[~mine].sort().values
        below, up_to = (torch.searchsorted(others, score[mine], right=right) for right in (False, True))
        share = (below + up_to).double() / (2 * len(others)) if len(others) else placed[mine]
        placed[mine] = share if mine is positive else 1 - share
    return placed
