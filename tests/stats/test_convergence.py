"""Times to a target with censored runs: statsmodels, a plain loop, and what leaving runs out would have said."""

from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from whichloss.stats import Arrival, TableError, arrival, convergences

RUNS = [Arrival(*one) for one in [(3, True), (5, True), (5, True), (5, False), (8, True), (10, False), (10, False)]]


def test_by_hand():
    """S is 6/7 from 3 on, 4/7 from 5 on, and two thirds of that from 8 on: 0.381."""
    (one,) = convergences({"A": RUNS})
    assert (one.runs, one.reached, one.median, one.horizon) == (7, 4, 8, 10)
    assert one.mean == pytest.approx(3 + 2 * 6 / 7 + 3 * 4 / 7 + 2 * 4 / 7 * 2 / 3)
    assert one.median_high is None


def random_runs(n, seed, limit=20):
    random = np.random.default_rng(seed)
    times, ends = random.geometric(0.1, n), random.integers(5, limit + 1, n)
    return [Arrival(float(min(t, e)), bool(t <= e)) for t, e in zip(times, ends, strict=True)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of statsmodels, where all have arrived
@pytest.mark.parametrize("n", [8, 30, 200])
@pytest.mark.parametrize("seed", range(5))
def test_median_against_statsmodels(n, seed):
    survival = pytest.importorskip("statsmodels.duration.survfunc").SurvfuncRight
    runs = random_runs(n, seed)
    (one,) = convergences({"A": runs})
    oracle = survival([run.at for run in runs], [float(run.reached) for run in runs])
    median = oracle.quantile(0.5 - 1e-9)  # statsmodels wants fewer than half, we half
    assert one.median == (None if np.isnan(median) else median)
    if one.median is not None:
        low, high = oracle.quantile_ci(0.5, method="cloglog")
        assert one.median_low == low
        assert one.median_high == (None if not np.isfinite(high) else high)


@pytest.mark.parametrize("n", [8, 50])
def test_restricted_mean_by_a_plain_loop(n):
    runs = random_runs(n, seed=1)
    (one,) = convergences({"A": runs})
    grid, mean = np.linspace(0, one.horizon, 200_001), 0.0
    share, curve = 1.0, np.ones(len(grid))
    for at in sorted({run.at for run in runs if run.reached}):
        waiting = sum(run.at >= at for run in runs)
        share *= 1 - sum(run.at == at and run.reached for run in runs) / waiting
        curve[grid >= at] = share
    mean = np.trapezoid(curve, grid)
    assert one.mean == pytest.approx(mean, abs=1e-3)


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=30))
def test_without_censoring_it_is_the_plain_mean_and_the_plain_median(times):
    (one,) = convergences({"A": [Arrival(float(t), True) for t in times]})
    assert one.mean == pytest.approx(np.mean(times)) and one.reached == one.runs
    assert one.mean_error == pytest.approx(np.std(times) / sqrt(len(times)), abs=1e-9)
    assert one.median == sorted(times)[(len(times) - 1) // 2]


def test_leaving_out_runs_that_never_arrive_would_favour_them():
    fast = [Arrival(2.0, True)] * 3 + [Arrival(20.0, False)] * 7
    slow = [Arrival(4.0 + i / 10, True) for i in range(9)] + [Arrival(20.0, True)]
    a, b = convergences({"rarely": fast, "always": slow})
    assert a.median is None and a.median_low == 2 and b.median is not None
    assert a.mean == pytest.approx(0.3 * 2 + 0.7 * 20) and b.mean < a.mean


def test_nothing_arrives():
    (one,) = convergences({"A": [Arrival(9.0, False)] * 4})
    assert (one.median, one.median_low, one.median_high, one.mean, one.mean_error) == (None, 0.0, None, 9.0, 0.0)


def test_one_horizon_for_all():
    a, b = convergences({"A": RUNS, "B": random_runs(20, 0, limit=15)})
    assert a.horizon == b.horizon == 10
    early = convergences({"A": RUNS}, horizon=4)[0]
    assert early.mean == pytest.approx(3 + 6 / 7)


def test_intervals_cover():
    """600 studies of 40 runs with exponential arrivals of mean 10, censored at 15."""
    random, inside = np.random.default_rng(0), np.zeros(2)
    truth = 10 * (1 - np.exp(-1.5)), 10 * np.log(2)
    for _ in range(600):
        times = random.exponential(10, 40)
        (one,) = convergences({"A": [Arrival(min(t, 15.0), t <= 15) for t in times]}, horizon=min(15.0, times.max()))
        inside[0] += one.mean_low <= truth[0] <= one.mean_high
        inside[1] += one.median_low <= truth[1] <= (inf if one.median_high is None else one.median_high)
    low, high = stats.binom.ppf([0.001, 0.999], 600, 0.95) / 600
    assert low <= inside[0] / 600 <= high and low <= inside[1] / 600 <= high + 0.02


def test_arrival():
    points = [(3, 0.9), (1, 0.2), (2, float("nan"))]
    assert arrival(points, 0.5) == (3, True) and arrival(points, 0.95) == (3, False)
    assert arrival(points, 0.1, higher_is_better=False) == (3, False)
    with pytest.raises(TableError, match="never started"):
        arrival([], 0.5)


def test_refusals():
    with pytest.raises(TableError, match="no runs of A"):
        convergences({"A": []})
    with pytest.raises(TableError, match="arrives at -1"):
        convergences({"A": [Arrival(-1.0, True)]})
    with pytest.raises(TableError, match="horizon is 11"):
        convergences({"A": RUNS}, horizon=11)
