"""Friedman, Nemenyi and the critical difference, against scipy, scikit-posthocs and published values."""

from math import inf
from typing import Any

import numpy as np
import pytest
from scipy import stats
from stats_tables import plan_of, rows_of

from whichloss.stats import Row, TableError, rank


def near(expected):
    return pytest.approx(expected, rel=1e-6, abs=1e-9)


def rows_over(means: np.ndarray, seeds=2) -> list[Row]:
    """means: (data sets, losses)"""
    rows = []
    for name, line in zip("abcdefghijklmnop", means, strict=False):
        scores = {loss: {(s, 0): float(x) for s in range(seeds)} for loss, x in zip("ABCDEFGH", line, strict=False)}
        rows += [row._replace(data=name) for row in rows_of(scores)]
    return rows


@pytest.fixture(params=["distinct", "tied", "all tied"])
def means(request):
    random = np.random.default_rng(3)
    table = random.normal(0, 1, (9, 5)) + np.arange(5) * 0.7
    if request.param == "all tied":
        return np.zeros((9, 5))
    return table if request.param == "distinct" else table.round(0)


def test_friedman_and_nemenyi(means):
    found = rank(rows_over(means), plan_of("ABCDE"))
    ranks = stats.rankdata(-means, axis=1).mean(0)
    assert dict(zip(found.losses, found.mean_ranks, strict=True)) == pytest.approx(
        dict(zip("ABCDE", ranks, strict=True))
    )
    assert list(found.mean_ranks) == sorted(found.mean_ranks)
    if not means.any():
        assert (found.chi2, found.p, found.p_f) == (0, 1, 1) and found.groups == (tuple("ABCDE"),)
        return
    oracle: Any = stats.friedmanchisquare(*means.T)
    assert (found.chi2, found.p) == near((oracle.statistic, oracle.pvalue))
    f = 8 * found.chi2 / (9 * 4 - found.chi2)
    assert (found.f, found.p_f) == near((f, stats.f.sf(f, 4, 32)))
    nemenyi = pytest.importorskip("scikit_posthocs").posthoc_nemenyi_friedman(means).to_numpy()
    at = ["ABCDE".index(loss) for loss in found.losses]
    assert np.array(found.p_nemenyi) == pytest.approx(nemenyi[np.ix_(at, at)], abs=1e-6)


@pytest.mark.parametrize(("n", "losses", "printed"), [(6, 4, 1.91), (6, 5, 2.49), (10, 4, 1.48), (10, 8, 3.32)])
def test_critical_differences_as_tabulated(n, losses, printed):
    """Demsar's table 5; 0.01 for rounding."""
    found = rank(rows_over(np.random.default_rng(0).normal(size=(n, losses))), plan_of("ABCDEFGH"[:losses]))
    assert found.critical_difference == pytest.approx(printed, abs=0.0101)


def test_groups_are_those_closer_than_the_critical_difference():
    means = np.arange(5)[None] * np.ones((12, 1)) + np.random.default_rng(1).normal(0, 0.5, (12, 5))
    found = rank(rows_over(means), plan_of("ABCDE"))
    assert found.losses == tuple("EDCBA") and len(found.groups) > 1
    rank_of = dict(zip(found.losses, found.mean_ranks, strict=True))
    together = {frozenset((a, b)) for group in found.groups for a in group for b in group if a != b}
    for a in found.losses:
        for b in found.losses:
            close = abs(rank_of[a] - rank_of[b]) < found.critical_difference
            assert a == b or close == (frozenset((a, b)) in together)


def test_perfect_agreement_and_direction():
    means = np.tile(np.arange(4.0), (6, 1))
    found = rank(rows_over(means), plan_of("ABCD", higher_is_better=False))
    assert found.losses == tuple("ABCD") and found.mean_ranks == (1, 2, 3, 4)
    assert (found.f, found.p_f) == (inf, 0) and found.chi2 == pytest.approx(18)


def test_seeds_do_not_count():
    means = np.random.default_rng(5).normal(size=(6, 4))
    assert rank(rows_over(means, seeds=1), plan_of("ABCD")) == rank(rows_over(means, seeds=9), plan_of("ABCD"))


def test_refusals():
    means = np.random.default_rng(5).normal(size=(7, 4))
    with pytest.raises(TableError, match=r"data sets: 5 \(a, b, c, d, e\); ranks need 6 or more"):
        rank(rows_over(means[:5]), plan_of("ABCD"))
    with pytest.raises(TableError, match="data sets: 2"):
        rank(rows_over(means), plan_of("ABCD"), data=["a", "b"])
    with pytest.raises(TableError, match="losses: 2; ranks need 3"):
        rank(rows_over(means), plan_of("AB"))
    with pytest.raises(TableError, match="a: D did not run there"):
        rank([row for row in rows_over(means) if (row.data, row.loss) != ("a", "D")], plan_of("ABCD"))
    apart = [row for row in rows_over(means) if row.data != "b" or (row.loss == "D") == (row.seed == 0)]
    with pytest.raises(TableError, match="b: no pair of fold and seed was run by all"):
        rank(apart, plan_of("ABCD"))
