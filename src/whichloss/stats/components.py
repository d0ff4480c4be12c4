"""What makes the differences between two losses vary: the fold, the seed, or neither alone."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from whichloss.stats.paired import Pair, Paired
from whichloss.stats.plan import Design
from whichloss.stats.table import TableError


@dataclass(frozen=True)
class Components:
    """Variances, in the metric's unit squared; an estimate below zero is zero. None: the design cannot tell it."""

    fold: float | None  # the same for all seeds: some folds favour one loss
    seed: float | None  # the same for all folds of a seed
    rest: float | None  # what a repetition of the same fold and seed number would draw anew


def variance_components(pairs: Mapping[Pair, Paired], design: Design) -> Components:
    r"""Analysis of variance of the table of S seeds by k folds, effects taken as random.

    Fixed folds (two-way): $\hat\sigma^2_\text{fold} = (MS_\text{fold} - MS_\text{rest}) / S$, likewise the
    seed's with k, and $\hat\sigma^2_\text{rest} = MS_\text{rest}$. Folds drawn anew for each seed, and folds of
    draws (one-way): fold 2 of one seed is not fold 2 of another, so fold and rest are one number.

    Source: Searle, Casella and McCulloch, Variance Components (1992), sections 4.2 and 4.3.
    """
    table = _table(pairs)
    seeds, folds = table.shape
    grand = table.mean()
    by_seed, by_fold = table.mean(1), table.mean(0)
    ms_seed = folds * float(((by_seed - grand) ** 2).sum()) / max(seeds - 1, 1)
    if design == "fixed":
        if min(seeds, folds) < 2:
            return Components(None, None, None)
        ms_fold = seeds * float(((by_fold - grand) ** 2).sum()) / (folds - 1)
        residual = table - by_seed[:, None] - by_fold + grand
        rest = float((residual**2).sum()) / ((seeds - 1) * (folds - 1))
        return Components(max(0.0, (ms_fold - rest) / seeds), max(0.0, (ms_seed - rest) / folds), rest)
    if folds < 2:
        return Components(None, ms_seed if seeds > 1 else None, None)
    rest = float(((table - by_seed[:, None]) ** 2).sum()) / (seeds * (folds - 1))
    return Components(None, max(0.0, (ms_seed - rest) / folds) if seeds > 1 else None, rest)


def _table(pairs: Mapping[Pair, Paired]) -> np.ndarray:
    """(seeds, folds)"""
    seeds, folds = (sorted({pair[i] for pair in pairs}) for i in (0, 1))
    missing = [(seed, fold) for seed in seeds for fold in folds if (seed, fold) not in pairs]
    if missing or not pairs:
        raise TableError(
            f"variance components need every fold of every seed; missing (seed, fold): {missing[:5] or 'all'}"
        )
    return np.array([[pairs[seed, fold].difference for fold in folds] for seed in seeds])
