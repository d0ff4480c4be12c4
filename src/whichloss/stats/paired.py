"""The mean of paired differences and its standard error, by design."""

from collections.abc import Mapping
from functools import cache
from math import inf, nan, sqrt
from statistics import fmean, variance
from typing import NamedTuple

from whichloss.stats.plan import Design

Pair = tuple[int, int]  # (seed, fold): where two losses meet


class Paired(NamedTuple):
    """One loss minus another on the same fold of the same seed."""

    difference: float
    n_train: int
    n_test: int


class Estimate(NamedTuple):
    """A mean difference, as well as it is known."""

    difference: float  # nan without pairs
    standard_error: float  # infinite where nothing varies that could tell it
    df: int

    def interval(self, tail: float) -> tuple[float, float]:
        """The bounds that leave the probability tail on either side."""
        if self.df < 1:
            return -inf, inf
        half = t_quantile(1 - tail, self.df) * self.standard_error
        return self.difference - half, self.difference + half


UNIT = {"refold": "pair", "fixed": "fold", "draws": "draw", "given": "seed"}  # what varies, and is counted


def estimate(pairs: Mapping[Pair, Paired], design: Design) -> Estimate:
    r"""$\bar u \pm \sqrt{\operatorname{var}(u)\,(1/m + n_\text{test}/n_\text{train})}$ with $m - 1$ df.

    u are the m differences that count as one each: all pairs (refold), seed means per fold (fixed), fold
    means per seed (draws, given). The second term stands where training sets overlap (refold, fixed): folds
    share patients, so their differences are alike and the plain standard error is far too small. It does not
    shrink with more seeds. Folds of unequal size enter by their mean sizes.

    Source: Nadeau and Bengio, Inference for the generalization error, Machine Learning 52 (2003), the
    corrected resampled t-test; over repeated folds, Bouckaert and Frank (2004).
    """
    units = units_of({pair: paired.difference for pair, paired in pairs.items()}, design)
    if len(units) < 2:
        return Estimate(units[0] if units else nan, inf, 0)
    overlap = 0.0
    if design in ("refold", "fixed"):
        overlap = fmean(paired.n_test for paired in pairs.values()) / fmean(paired.n_train for paired in pairs.values())
    error = sqrt(variance(units) * (1 / len(units) + overlap))
    return Estimate(fmean(units), error, len(units) - 1)


def units_of(differences: Mapping[Pair, float], design: Design) -> list[float]:
    """The differences that count as one each: see `estimate`."""
    if design == "refold":
        return list(differences.values())
    key = 1 if design == "fixed" else 0
    groups: dict[int, list[float]] = {}
    for pair, difference in differences.items():
        groups.setdefault(pair[key], []).append(difference)
    return [fmean(group) for group in groups.values()]


@cache
def t_quantile(probability: float, df: int) -> float:
    """Student's t, from scipy.special: scipy.stats has the same numbers and takes a second to import."""
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))
