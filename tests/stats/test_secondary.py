"""Corrected t, Holm, Bayesian correlated t and Wilcoxon, against scipy, statsmodels and baycomp."""

from math import sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from stats_tables import grid, plan_of, rows_of

from whichloss.stats import Estimate, Secondary, judge, secondaries
from whichloss.stats.secondary import beliefs, holm, p_value


def near(expected):
    return pytest.approx(expected, rel=1e-6, abs=1e-9)


def table(losses="ABCD", seeds=3, folds=5, seed=0):
    random = np.random.default_rng(seed)
    return {
        loss: {pair: float(random.normal(0.7 + 0.01 * i, 0.02)) for pair in grid(seeds, folds)}
        for i, loss in enumerate(losses)
    }


def differences(scores, loss, seeds=3, folds=5):
    return np.array([scores[loss][pair] - scores["A"][pair] for pair in grid(seeds, folds)]).reshape(seeds, folds)


def test_corrected_t_against_the_formula_in_plain_numpy():
    scores = table()
    for one in secondaries(rows_of(scores), plan_of("ABCD")):
        d = differences(scores, one.loss).ravel()
        t = d.mean() / sqrt(d.var(ddof=1) * (1 / 15 + 20 / 100))
        assert (one.t, one.df) == near((t, 14))
        assert one.p == near(2 * stats.t.sf(abs(t), 14))


@pytest.mark.parametrize("design", ["draws", "given"])
def test_paired_t_against_scipy_and_statsmodels(design):
    ttest = pytest.importorskip("statsmodels.stats.weightstats").DescrStatsW
    scores = table(seeds=7)
    for one in secondaries(rows_of(scores), plan_of("ABCD", design=design)):
        a, b = (np.array([scores[x][p] for p in grid(7, 5)]).reshape(7, 5).mean(1) for x in ("A", one.loss))
        oracle: Any = stats.ttest_rel(b, a)
        assert (one.t, one.p, one.df) == near((oracle.statistic, oracle.pvalue, oracle.df))
        assert (one.t, one.p, one.df) == near(ttest(b - a).ttest_mean(0))


def test_paper_000():
    """Published: p = 0.028 over six folds, t = 3.063. The folds share training sets: t = 2.065, p = 0.094."""
    shape = np.array([-1.0, -0.6, -0.2, 0.2, 0.6, 1.0])
    d = shape / shape.std(ddof=1) * 0.012 + 3.063 * 0.012 / sqrt(6)
    scores = {"A": {(0, k): 0.698 for k in range(6)}, "B": {(0, k): 0.698 + float(d[k]) for k in range(6)}}
    (one,) = secondaries(rows_of(scores), plan_of())
    assert one.t == pytest.approx(3.063 * sqrt((1 / 6) / (1 / 6 + 1 / 5)), abs=1e-9)
    assert (one.t, one.p) == (pytest.approx(2.065, abs=5e-4), pytest.approx(0.094, abs=5e-4))
    assert judge(rows_of(scores), plan_of()).comparisons[0].decision == "undecided"


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_against_statsmodels(p):
    oracle = pytest.importorskip("statsmodels.stats.multitest").multipletests(p, method="holm")[1]
    assert holm(p) == near(list(oracle))


def test_holm_counts_comparisons_that_have_not_run():
    scores = table()
    scores["D"] = {}
    found = secondaries(rows_of(scores), plan_of("ABCD"))
    smallest = min(one.p for one in found if one.p is not None)
    assert min(one.p_holm for one in found if one.p_holm is not None) == pytest.approx(3 * smallest)
    assert found[2] == Secondary("D", "D", None, 0, None, None, None, None, None, None)


@pytest.mark.parametrize("rope", [0.0, 0.01, 0.05])
@pytest.mark.parametrize(("seeds", "folds"), [(1, 6), (3, 5), (10, 10)])
def test_bayesian_correlated_t_against_baycomp(rope, seeds, folds):
    """baycomp takes test over train for 1 / (folds - 1), as equal folds have it."""
    baycomp = pytest.importorskip("baycomp")
    scores = table(seeds=seeds, folds=folds)
    rows = rows_of(scores, n_train=60 * (folds - 1), n_test=60)
    for one in secondaries(rows, plan_of("ABCD", rope=rope)):
        a, b = (np.array([scores[x][p] for p in grid(seeds, folds)]) for x in (one.loss, "A"))
        oracle = baycomp.two_on_single(b, a, rope=rope, runs=seeds)
        left, *middle, right = oracle
        assert (one.worse, one.better) == near((left, right))
        assert one.equal == near(middle[0] if middle else 0)


@pytest.mark.parametrize("design", ["refold", "fixed", "draws", "given"])
def test_wilcoxon_against_scipy(design):
    scores = table(seeds=8, folds=6)
    for one in secondaries(rows_of(scores), plan_of("ABCD", design=design)):
        d = differences(scores, one.loss, 8, 6)
        units = {"refold": d.ravel(), "fixed": d.mean(0), "draws": d.mean(1), "given": d.mean(1)}[design]
        oracle: Any = stats.wilcoxon(units)
        assert one.p_wilcoxon == near(oracle.pvalue)


def test_direction_is_turned():
    scores = table()
    up, down = (secondaries(rows_of(scores), plan_of("ABCD", higher_is_better=x)) for x in (True, False))
    for a, b in zip(up, down, strict=True):
        assert a.t is not None and b.t == pytest.approx(-a.t) and a.p == pytest.approx(b.p)
        assert (a.better, a.equal, a.worse) == pytest.approx((b.worse, b.equal, b.better))


def test_no_spread_and_ties():
    scores = {loss: dict.fromkeys(grid(2, 3), 0.5) for loss in "AB"}
    (one,) = secondaries(rows_of(scores), plan_of())
    assert (one.t, one.p, one.better, one.equal, one.worse, one.p_wilcoxon) == (None, None, 0, 1, 0, 1)
    assert p_value(Estimate(0.1, 0.0, 5)) is None
    assert beliefs(Estimate(0.1, 0.0, 5), 0.01) == (1, 0, 0) and beliefs(Estimate(-0.1, 0.0, 5), 0.01) == (0, 0, 1)


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(1e-6, 1), st.integers(1, 100), st.floats(0, 1))
def test_beliefs_sum_to_one(difference, error, df, rope):
    parts = beliefs(Estimate(difference, error, df), rope)
    assert None not in parts and sum(parts) == pytest.approx(1) and min(parts) >= 0  # type: ignore[arg-type]
