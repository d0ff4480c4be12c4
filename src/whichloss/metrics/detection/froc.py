"""Free-response ROC: which share of the lesions is found, at how many false positives per volume."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import inf, nan

import torch
from torch import Tensor

from whichloss.core import UserError

COUNTS = ("lesion", "reached", "candidate")
READINGS = ("steps", "lines")
CPM_RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)  # false positives per volume


@dataclass(frozen=True, kw_only=True, eq=False)
class Froc:
    r"""The free-response ROC curve of scored candidates (Bunch et al. 1978).

    $$\mathrm{sensitivity}(t) = \frac{\#\{\text{lesions with a candidate} \ge t\}}{\#\text{lesions}}, \qquad
      \mathrm{fp}(t) = \frac{\#\{\text{candidates of no lesion} \ge t\}}{\#\text{volumes}}$$

    Every score is a threshold, and equal scores are one: they are marked together or not at all. A score that is not
    a number is below all thresholds, so that it is never marked; -inf is the lowest score that is.

    It is kept as the scores themselves. Each lesion costs the false positives that are marked with it, and all that
    is read off the curve is a mean over lesions: the sensitivity is the share of lesions that cost no more than a
    rate, the area up to a rate u the mean of $\max(0, 1 - \mathrm{cost}/u)$. Beyond its last point the curve stays
    flat.

    by: how it is read between its points. "steps": the highest sensitivity at no more than so many false positives.
    "lines": interpolated, as LUNA16's script does. They differ only where a lesion and a false positive have one
    score: a line finds the lesion bit by bit.
    """

    found: Tensor  # (R,), float64: the highest score of each lesion that a candidate hits
    false: Tensor  # (F,), float64: the score of each candidate that hits none
    lesions: int  # what sensitivity is a share of: R, and those that no candidate hits where they count
    volumes: int
    candidates: int  # that were judged

    @classmethod
    def of(
        cls,
        score: Tensor | Sequence[float],
        lesion: Tensor | Sequence[int],
        *,
        volumes: int,
        missed: int = 0,
        count: str = "lesion",
    ) -> "Froc":
        """The curve of C candidates.

        score: (C,). lesion: (C,), the number of the lesion that a candidate hits; -1: none, it is a false positive.
        volumes: all that were searched, with those without candidates. missed: lesions that no candidate hits.
        count: what sensitivity is a share of. "lesion": all lesions. "reached": those that a candidate hits, which
        judges the scores alone. "candidate": the candidates that hit a lesion, each by itself.

        >>> curve = Froc.of([0.9, 0.8, 0.7, 0.4], [0, -1, 0, 1], volumes=2)
        >>> curve.fp_per_volume.tolist(), curve.sensitivity.tolist()
        ([0.0, 0.0, 0.5, 0.5], [0.0, 0.5, 0.5, 1.0])
        """
        score, lesion = torch.as_tensor(score, dtype=torch.float64), torch.as_tensor(lesion)
        hits = lesion >= 0
        finds = lesion[hits]
        if known(count, COUNTS) == "candidate":
            finds = torch.arange(len(finds), device=finds.device)
        missed = missed if count == "lesion" else 0
        return cls.judged(score[hits], finds, score[~hits], volumes=volumes, missed=missed, candidates=len(score))

    @classmethod
    def judged(
        cls, hits: Tensor, finds: Tensor, false: Tensor, *, volumes: int, missed: int, candidates: int
    ) -> "Froc":
        """From scores `hits` of what is found, with its number in `finds`, and scores of what is `false`."""
        found = highest(hits, finds)
        lesions = len(found) + missed
        if volumes < 1 and (lesions or len(false)):
            raise UserError(f"lesions or candidates in {volumes} volumes; volumes counts all that were searched")
        return cls(found=found, false=false, lesions=lesions, volumes=volumes, candidates=candidates)

    def __add__(self, other: "Froc") -> "Froc":
        """Pooled: volumes and lesions of both under one threshold, so that their scores must be of one scale."""
        return Froc(
            found=torch.cat([self.found, other.found]),
            false=torch.cat([self.false, other.false]),
            lesions=self.lesions + other.lesions,
            volumes=self.volumes + other.volumes,
            candidates=self.candidates + other.candidates,
        )

    # the curve

    @cached_property
    def thresholds(self) -> Tensor:
        """(K,), descending: where one more lesion or false positive is marked. The first, infinity, marks nothing."""
        scores = torch.cat([self.found, self.false])
        return torch.cat([scores.new_tensor([inf]), _numbers(scores).unique().flip(0)])

    @cached_property
    def fp_per_volume(self) -> Tensor:
        """False positives per volume at each threshold, (K,), ascending."""
        return self._marked(self.false) / self.volumes

    @cached_property
    def sensitivity(self) -> Tensor:
        """At each threshold, (K,), ascending; NaN where there is no lesion."""
        return self._marked(self.found) / self.lesions

    def _marked(self, scores: Tensor) -> Tensor:
        """How many are marked at each threshold, (K,)."""
        marked = _at_least(scores, self.thresholds)
        marked[0] = 0  # also of what scores infinity
        return marked

    # what is read off it, as a share of each lesion that is hit, (R,), and as their mean over all lesions

    @cached_property
    def cost(self) -> tuple[Tensor, Tensor]:
        """False positives per volume at the threshold before a lesion is found and at which it is, (R,) each.

        They differ by the false positives of its own score. Infinite for a lesion that is never marked.
        """
        never = self.found.isnan()
        before, then = (_at_least(self.false, self.found, above) / self.volumes for above in (True, False))
        return before.masked_fill(never, inf), then.masked_fill(never, inf)

    def found_at(self, fp_per_volume: float, by: str = "steps") -> Tensor:
        """Whether each lesion is found at this rate: 1 or 0; on a line between two points how far, (R,)."""
        before, then = self.cost
        whole = (then <= fp_per_volume).double()
        if known(by, READINGS) == "steps":
            return whole
        part = (fp_per_volume - before) / (then - before)
        return torch.where(before < then, part.clamp(0, 1), whole)

    def found_below(self, up_to: float, by: str = "steps") -> Tensor:
        """On which share of the rates from 0 to `up_to` each lesion is found, (R,)."""
        before, then = ((up_to - cost).clamp_min(0) for cost in self.cost)
        if known(by, READINGS) == "steps":
            return then / up_to
        low, high = self.cost
        part = (before.square() - then.square()) / (2 * up_to * (high - low))
        return torch.where(low < high, part, then / up_to)

    def mean(self, shares: Tensor) -> float:
        """Over all lesions, those never hit counting 0; NaN where there is none."""
        return shares.sum().item() / self.lesions if self.lesions else nan

    def sensitivity_at(self, fp_per_volume: float, by: str = "steps") -> float:
        return self.mean(self.found_at(fp_per_volume, by))

    def area(self, up_to: float = 10.0, by: str = "steps") -> float:
        r"""$\frac1u \int_0^u$ sensitivity d fp, from 0 to 1, u: up_to, in false positives per volume."""
        return self.mean(self.found_below(up_to, by))

    def cpm(self, by: str = "steps") -> float:
        """Competition performance metric: the mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 (Niemeijer 2011)."""
        return self.mean(self.found_at_cpm(by))

    def found_at_cpm(self, by: str = "steps") -> Tensor:
        """At which share of these seven rates each lesion is found, (R,)."""
        return torch.stack([self.found_at(rate, by) for rate in CPM_RATES]).mean(0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Redrawn(Froc):
    """B curves of the same candidates, whose scans were drawn with replacement: what each lesion costs then, (B, R)."""

    marks: Tensor  # (B, F), how often each false positive is there
    scans: Tensor  # (B,), how many volumes were drawn

    @classmethod
    def redraw(cls, froc: Froc, marks: Tensor, scans: Tensor) -> "Redrawn":
        return cls(**{one.name: getattr(froc, one.name) for one in fields(froc)}, marks=marks, scans=scans)

    @cached_property
    def cost(self) -> tuple[Tensor, Tensor]:
        heard = ~self.false.isnan()
        scores, order = self.false[heard].sort(descending=True)
        marked = torch.nn.functional.pad(self.marks[:, heard][:, order].cumsum(1), (1, 0))
        never = self.found.isnan()
        reached = (torch.searchsorted(-scores, -self.found, right=right) for right in (False, True))
        before, then = (marked[:, at] / self.scans[:, None] for at in reached)
        return before.masked_fill(never, inf), then.masked_fill(never, inf)


@dataclass(frozen=True, eq=False)
class MeanFroc:
    """Curves averaged vertically: the mean sensitivity at each rate of false positives, every curve counting the same.

    For the folds of a cross-validation, whose scores need not be of one scale. A curve without a lesion has no say.
    """

    curves: tuple[Froc, ...]

    @cached_property
    def fp_per_volume(self) -> Tensor:
        """Every rate at which one of the curves has a point, (K,), ascending."""
        rates = [curve.fp_per_volume for curve in self.curves if curve.lesions]
        return torch.cat(rates).unique() if rates else torch.empty(0, dtype=torch.float64)

    @cached_property
    def sensitivity(self) -> Tensor:
        """The mean at each of these rates, (K,)."""
        return torch.tensor([self.sensitivity_at(rate) for rate in self.fp_per_volume.tolist()], dtype=torch.float64)

    def sensitivity_at(self, fp_per_volume: float, by: str = "steps") -> float:
        return _mean(curve.sensitivity_at(fp_per_volume, by) for curve in self.curves)

    def area(self, up_to: float = 10.0, by: str = "steps") -> float:
        """Of the mean curve, which is the mean of the areas."""
        return _mean(curve.area(up_to, by) for curve in self.curves)

    def cpm(self, by: str = "steps") -> float:
        return _mean(curve.cpm(by) for curve in self.curves)


def highest(score: Tensor, number: Tensor) -> Tensor:
    """The highest score of each number, in ascending order of the numbers; NaN where no score is a number."""
    numbers, at = number.unique(return_inverse=True)
    heard = ~score.isnan()
    best = score.new_full((len(numbers),), -inf).scatter_reduce(0, at[heard], score[heard], "amax")
    silent = torch.ones_like(best, dtype=torch.bool).index_fill(0, at[heard], False)
    return best.masked_fill(silent, nan)


def _at_least(scores: Tensor, bars: Tensor, above: bool = False) -> Tensor:
    """How many scores reach each bar, or are above it, (K,), float64."""
    ordered = _numbers(scores).sort().values
    return len(ordered) - torch.searchsorted(ordered, bars, right=above).double()


def _numbers(scores: Tensor) -> Tensor:
    return scores[~scores.isnan()]


def _mean(values: Iterable[float]) -> float:
    return torch.tensor([*values], dtype=torch.float64).nanmean().item()


def known(word: str, words: Sequence[str]) -> str:
    if word not in words:
        raise UserError(f"{word!r} is none of {', '.join(map(repr, words))}")
    return word
