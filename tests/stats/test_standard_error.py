"""The standard error, against plain loops, scipy and the paper's worked example."""

from math import isinf, isnan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from stats_tables import grid

from whichloss.stats import Paired, estimate, t_quantile

RANDOM = np.random.default_rng(0)


def paired(differences, n_train=100, n_test=20):
    return {pair: Paired(float(d), n_train, n_test) for pair, d in differences.items()}


def noise(seeds, folds):
    return {pair: float(RANDOM.normal(0.02, 0.01)) for pair in grid(seeds, folds)}


def mean_and_variance(numbers):
    mean = 0.0
    for number in numbers:
        mean += number / len(numbers)
    total = 0.0
    for number in numbers:
        total += (number - mean) ** 2
    return mean, total / (len(numbers) - 1)


def test_paper_000():
    """Six folds, p = 0.028 as published; folds share training data, so it is really p = 0.094."""
    shape = np.array([-1.0, -0.6, -0.2, 0.2, 0.6, 1.0])
    differences = shape / shape.std(ddof=1) * 0.012 + 3.063 * 0.012 / sqrt(6)
    naive: Any = stats.ttest_1samp(differences, 0)
    assert naive.statistic == pytest.approx(3.063) and naive.pvalue == pytest.approx(0.028, abs=5e-4)
    result = estimate(paired({(0, k): d for k, d in enumerate(differences)}), "refold")
    t = result.difference / result.standard_error
    assert result.df == 5
    assert t == pytest.approx(2.065, abs=5e-4)
    assert 2 * stats.t.sf(t, 5) == pytest.approx(0.094, abs=5e-4)
    assert t / naive.statistic == pytest.approx(sqrt((1 / 6) / (1 / 6 + 1 / 5)))


def test_refold():
    differences = noise(3, 5)
    mean, variance = mean_and_variance(list(differences.values()))
    result = estimate(paired(differences), "refold")
    assert result == pytest.approx((mean, sqrt(variance * (1 / 15 + 20 / 100)), 14))


def test_fixed():
    differences = noise(3, 5)
    folds = [sum(differences[seed, fold] for seed in range(3)) / 3 for fold in range(5)]
    mean, variance = mean_and_variance(folds)
    result = estimate(paired(differences), "fixed")
    assert result == pytest.approx((mean, sqrt(variance * (1 / 5 + 20 / 100)), 4))


@pytest.mark.parametrize("design", ["draws", "given"])
@pytest.mark.parametrize("folds", [1, 3])
def test_draws_and_given_are_the_paired_t_test_over_seeds(design, folds):
    a, b = RANDOM.normal(size=(2, 7, folds))
    differences = {(s, f): a[s, f] - b[s, f] for s, f in grid(7, folds)}
    oracle: Any = stats.ttest_rel(a.mean(1), b.mean(1))
    result = estimate(paired(differences), design)
    assert result.difference / result.standard_error == pytest.approx(oracle.statistic)
    low, high = oracle.confidence_interval(0.95)
    assert result.interval(0.025) == pytest.approx((low, high))
    assert result.df == oracle.df == 6


def test_more_seeds_do_not_shrink_what_the_folds_share():
    """The floor sqrt(var * n_test / n_train): more seeds cannot settle everything."""
    few, many = (estimate(paired({(s, f): float((s + f) % 2) for s, f in grid(n, 2)}), "refold") for n in (5, 400))
    floor = sqrt(0.25 * 0.2)
    assert floor < many.standard_error < 1.01 * floor < few.standard_error


def test_folds_of_unequal_size_enter_by_their_means():
    sizes = [(60, 40), (80, 20), (90, 10), (70, 30)]
    differences = [0.1, 0.3, 0.2, 0.5]
    pairs = {(0, k): Paired(d, *size) for k, (d, size) in enumerate(zip(differences, sizes, strict=True))}
    _, variance = mean_and_variance(differences)
    for design in ("refold", "fixed"):
        assert estimate(pairs, design).standard_error == pytest.approx(sqrt(variance * (1 / 4 + 25 / 75)))


@pytest.mark.parametrize(
    ("design", "seeds", "folds"), [("refold", 1, 1), ("fixed", 5, 1), ("draws", 1, 5), ("given", 1, 1)]
)
def test_one_of_what_varies_gives_no_interval(design, seeds, folds):
    result = estimate(paired(dict.fromkeys(grid(seeds, folds), 0.5)), design)
    assert result.difference == 0.5 and isinf(result.standard_error) and result.df == 0
    assert result.interval(0.025) == (float("-inf"), float("inf"))


def test_nothing_at_all():
    result = estimate({}, "refold")
    assert isnan(result.difference) and isinf(result.standard_error)


def test_no_spread():
    result = estimate(paired(dict.fromkeys(grid(3, 3), 0.1)), "refold")
    assert result.standard_error == 0 and result.interval(0.025) == (result.difference, result.difference)


@given(st.integers(1, 200), st.floats(0.5, 0.99999))
def test_quantile(df, probability):
    assert t_quantile(probability, df) == pytest.approx(stats.t.ppf(probability, df), rel=1e-8, abs=1e-12)
