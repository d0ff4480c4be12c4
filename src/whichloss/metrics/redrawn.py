"""What a metric says of folds whose patients were drawn with replacement, the answers staying as they are.

groups: (rows,), the patient of each row of the labels, 0 ... G - 1. times: (B, G), float64, how often each patient is
in each of B folds.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from whichloss.core.candidates import CANDIDATE, LESION, NONE, VOLUME

LARGEST = 1 << 22  # numbers at a time, to bound the memory


def mean_of(scores: Tensor, groups: Tensor, times: Tensor) -> Tensor:
    """The mean score of each fold, (B,); a score that is NaN has no say."""
    known = ~scores.isnan()
    parts = torch.stack([scores.double(), torch.ones_like(scores, dtype=torch.float64)], 1)[known]
    total, cases = (times @ times.new_zeros(times.shape[1], 2).index_add(0, groups[known], parts)).unbind(1)
    return total / cases


def roc_area(score: Tensor, positive: Tensor, groups: Tensor, times: Tensor) -> Tensor:
    """The area under the ROC curve of each fold, (B,); NaN where a side is empty."""
    false, order = score[~positive].sort()
    below, up_to = (torch.searchsorted(false, score[positive], right=right) for right in (False, True))
    of_true, of_false = groups[positive], groups[~positive][order]
    areas = []
    for part in blocks(times, len(score)):
        true, others = part[:, of_true], part[:, of_false]
        passed = torch.nn.functional.pad(others.cumsum(1), (1, 0))
        won = (true * (passed[:, below] + passed[:, up_to])).sum(1) / 2
        areas.append(won / (true.sum(1) * others.sum(1)))
    return torch.cat(areas)


def blocks(times: Tensor, width: int) -> Iterator[Tensor]:
    """Some folds at a time, so many that `width` numbers of each fit in the memory."""
    yield from times.split(max(1, LARGEST // max(1, width)))


def one_by_one(
    value: Callable[[Tensor, Tensor], float], logits: Tensor, labels: Tensor, groups: Tensor, times: Tensor
) -> Tensor:
    """A value (logits, labels) of each fold, (B,), whose rows are repeated; in detection copies are other scans."""
    found = []
    for drawn in times.round().long():
        rows = torch.arange(len(labels)).repeat_interleave(drawn[groups])
        answers = rows[rows < len(logits)]
        found.append(value(logits[answers], _apart(labels[rows], rows)) if len(answers) else torch.nan)
    return torch.tensor(found, dtype=torch.float64)


def _apart(labels: Tensor, rows: Tensor) -> Tensor:
    """The table of candidates with names of its own for every copy of a scan; other labels as they are."""
    if labels.ndim != 2 or labels.shape[1] != 4:
        return labels
    copy = torch.arange(len(rows)) - torch.searchsorted(rows, rows)
    labels = labels.clone()
    for column in (CANDIDATE, VOLUME, LESION):
        names = labels[:, column]
        labels[:, column] = torch.where(names == NONE, NONE, names + copy * (int(names.max()) + 1))
    return labels
