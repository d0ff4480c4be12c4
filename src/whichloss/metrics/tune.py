"""The threshold of a binary task, chosen on inner data."""

from math import log
from typing import NamedTuple

import torch
from torch import Tensor

from whichloss.core import Counts, Task, UserError
from whichloss.core.rows import PART
from whichloss.metrics.metric import Metric
from whichloss.metrics.thresholded import ThresholdedMetric, wide

HUGE = 1e30  # a logit beyond this is infinite: on the same side of every threshold
LEVEL = 1e-12  # values closer than this are equal
PROBABILITIES = [step / 50 for step in range(1, 50)]  # 0.02 to 0.98; 0.5 is the natural threshold
VOLUMES = 52  # thresholds at which 1/16 to 16 times the true volume is predicted
SAMPLE = 1 << 22  # elements from which these are read


class Steps(NamedTuple):
    """A metric as a function of its threshold: `value[k]` holds from `low[k]` up to `high[k]`."""

    low: Tensor
    high: Tensor
    value: Tensor


def tune_threshold(metric: Metric, logits: Tensor, labels: Tensor, task: Task) -> float:
    """The threshold on the logit at which the metric's `goal` is highest on these (inner) data.

    logits: (N, 1, *S), float. labels: (N, *S), 0 and 1.
    One answer per image: every threshold is tried, exactly. One per voxel: at most 101, half of them spread over
    probabilities, half over predicted volumes, so that the small logits of a margin loss are resolved as well.
    Equal values form plateaus; the middle of the widest is taken, of equally wide ones the nearest to 0, which is
    also the answer where no threshold defines the goal.
    """
    if not isinstance(metric, ThresholdedMetric):
        raise UserError(f"{metric.card.title} has no threshold to tune")
    if not task.binary:
        raise UserError(f"of {len(task.classes)} classes the highest logit wins; there is no threshold to tune")
    metric.check_fold(logits, labels, task)
    if task.kind == "segmentation":
        return _middle(_grid(metric, logits, labels), snap=True)
    return _middle(_exact(metric, _bounded(wide(logits)[:, 0]).double(), labels == 1), snap=False)


def _bounded(logits: Tensor) -> Tensor:
    return logits.nan_to_num(nan=-HUGE, posinf=HUGE, neginf=-HUGE).clamp(-HUGE, HUGE)


def _exact(metric: ThresholdedMetric, logits: Tensor, truth: Tensor) -> Steps:
    """All thresholds for one answer per image, (N,): nothing changes between neighbouring logits."""
    levels, place = logits.unique(return_inverse=True)
    here = torch.stack([torch.bincount(place[truth == side], minlength=len(levels)) for side in (True, False)])
    above = torch.cat([here.flip(1).cumsum(1).flip(1), here.new_zeros(2, 1)], 1)  # at a threshold below level k
    inside = levels.abs() < HUGE
    bounds = levels[inside]
    if not len(bounds):
        return Steps(bounds, bounds, bounds)
    gap = (bounds[-1:] - bounds[:1]) / (len(bounds) - 1) if len(bounds) > 1 else torch.ones_like(bounds)
    bounds = torch.cat([bounds[:1] - gap, bounds, bounds[-1:] + gap])  # as if one more logit stood at either end
    first = int((levels <= -HUGE).sum())
    tp, fp = above[:, first : first + len(bounds) - 1].double()
    total = here.sum(1).double()
    counts = Counts(tp, fp, total[0] - tp, total.sum().expand_as(tp))
    return Steps(bounds[:-1], bounds[1:], metric.goal(counts))


def _grid(metric: ThresholdedMetric, logits: Tensor, labels: Tensor) -> Steps:
    """A few thresholds for one answer per voxel: one histogram per image gives the counts at all of them.

    logits: (N, 1, *S), labels: (N, *S); of neither a copy is made.
    """
    candidates = _candidates(logits, labels)
    bins = len(candidates) + 1
    above, elements, positive = [], [], []
    for image, drawn in zip(logits, labels, strict=True):
        here, known, true = candidates.new_zeros(2 * bins, dtype=torch.long), 0, 0
        for part, truth in zip(image.flatten().split(PART), drawn.flatten().split(PART), strict=True):
            bin_of = torch.bucketize(_seen(part, truth).double(), candidates)  # k: above the first k candidates
            here += torch.bincount(bin_of + bins * (truth == 1), minlength=2 * bins)
            known, true = known + int((truth >= 0).sum()), true + int((truth == 1).sum())
        above.append(here.reshape(2, bins).flip(1).cumsum(1).flip(1)[:, 1:])
        elements.append([known])
        positive.append([true])
    fp, tp = torch.stack(above, 1).double() if above else candidates.new_zeros(2, 0, bins - 1)
    total = fp.new_tensor(positive).reshape(-1, 1)
    counts = Counts(tp, fp, total - tp, fp.new_tensor(elements).reshape(-1, 1).expand_as(tp))
    return Steps(candidates, candidates, metric.goal(counts).nanmean(0))


def _seen(logits: Tensor, labels: Tensor) -> Tensor:
    """What has no say is never a yes."""
    return torch.where(labels >= 0, _bounded(wide(logits)), -HUGE)


def _candidates(logits: Tensor, labels: Tensor) -> Tensor:
    """Sorted thresholds: a grid of probabilities, and the logits above which a multiple of the true volume lies."""
    grid = torch.tensor([log(p / (1 - p)) for p in PROBABILITIES], dtype=torch.float64, device=logits.device)
    every = -(-logits.numel() // SAMPLE) or 1
    size, sampled, volume = logits[:1].numel(), [wide(logits.new_empty(0))], 0
    for place, (image, drawn) in enumerate(zip(logits, labels, strict=True)):
        mine = slice(-place * size % every, None, every)  # every so many of all images, one after the other
        truth = drawn.flatten()[mine]
        sampled.append(_seen(image.flatten()[mine], truth))
        volume += int((truth == 1).sum())
    highest, volume = torch.cat(sampled).sort(descending=True).values, torch.tensor(volume, device=logits.device)
    wanted = (volume * torch.logspace(-4, 4, VOLUMES, base=2, dtype=torch.float64, device=logits.device)).round().long()
    quantiles = highest[wanted.clamp(max=len(highest) - 1)].double() if len(highest) else grid[:0]
    return torch.cat([grid, quantiles[quantiles.abs() < HUGE]]).unique()


def _middle(steps: Steps, snap: bool) -> float:
    """The middle of the widest stretch of highest values; with `snap` the nearest threshold that was tried."""
    value = steps.value.nan_to_num(nan=-torch.inf)
    if not len(value) or value.max() == -torch.inf:
        return 0.0
    best = value >= value.max() - LEVEL
    outside = best.new_zeros(1)
    begins = best & ~torch.cat([outside, best[:-1]])
    ends = best & ~torch.cat([best[1:], outside])
    low, high = steps.low[begins], steps.high[ends]
    width = high - low
    middles = ((low + high) / 2)[width >= width.max() * (1 - 1e-9)]
    middle = middles[middles.abs().argmin()]
    if snap:
        tried = steps.low[best]
        middle = tried[(tried - middle).abs().argmin()]
    return middle.item()
