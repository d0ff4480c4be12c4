"""Variance components, against statsmodels' analysis of variance and against numbers that were put in."""

import numpy as np
import pytest
from stats_tables import grid

from whichloss.stats import Components, Paired, TableError, variance_components


def pairs_of(table):
    return {(s, f): Paired(float(table[s, f]), 100, 20) for s, f in grid(*table.shape)}


def mean_squares(table, formula):
    pandas = pytest.importorskip("pandas")
    api = pytest.importorskip("statsmodels.formula.api")
    anova = pytest.importorskip("statsmodels.stats.anova").anova_lm
    frame = pandas.DataFrame([(s, f, table[s, f]) for s, f in grid(*table.shape)], columns=["seed", "fold", "d"])
    found = anova(api.ols(formula, frame).fit())
    return dict(found["sum_sq"] / found["df"])


def test_fixed_folds_against_statsmodels():
    random = np.random.default_rng(0)
    table = random.normal(size=(6, 5)) + 2 * random.normal(size=5) + random.normal(size=(6, 1))
    ms = mean_squares(table, "d ~ C(seed) + C(fold)")
    found = variance_components(pairs_of(table), "fixed")
    expected = ((ms["C(fold)"] - ms["Residual"]) / 6, (ms["C(seed)"] - ms["Residual"]) / 5, ms["Residual"])
    assert (found.fold, found.seed, found.rest) == pytest.approx(expected, rel=1e-6)


def test_refolded_against_statsmodels():
    random = np.random.default_rng(1)
    table = random.normal(size=(6, 5)) + 2 * random.normal(size=(6, 1))
    ms = mean_squares(table, "d ~ C(seed)")
    found = variance_components(pairs_of(table), "refold")
    assert found.fold is None
    assert (found.seed, found.rest) == pytest.approx(((ms["C(seed)"] - ms["Residual"]) / 5, ms["Residual"]), rel=1e-6)


def test_what_was_put_in_comes_out():
    random = np.random.default_rng(2)
    found = []
    for _ in range(400):
        table = random.normal(0, 1, (5, 6)) + random.normal(0, 3, 6) + random.normal(0, 2, (5, 1))
        one = variance_components(pairs_of(table), "fixed")
        found.append((one.fold, one.seed, one.rest))
    assert np.mean(found, 0) == pytest.approx([9, 4, 1], rel=0.12)


def test_too_little_to_tell():
    one = np.array([[0.1, 0.2, 0.4]])
    assert variance_components(pairs_of(one), "fixed") == Components(None, None, None)
    folds, seeds = variance_components(pairs_of(one), "refold"), variance_components(pairs_of(one.T), "draws")
    assert folds == Components(None, None, folds.rest) and folds.rest == pytest.approx(one.var(ddof=1))
    assert seeds == Components(None, seeds.seed, None) and seeds.seed == pytest.approx(one.var(ddof=1))
    assert variance_components(pairs_of(one[:, :1]), "given") == Components(None, None, None)
    alike = variance_components(pairs_of(np.tile(one, (4, 1))), "fixed")
    assert (alike.seed, alike.rest) == pytest.approx((0, 0)) and alike.fold == pytest.approx(one.var(ddof=1))
    with pytest.raises(TableError, match=r"missing \(seed, fold\): \[\(1, 2\)\]"):
        variance_components({k: v for k, v in pairs_of(np.ones((2, 3))).items() if k != (1, 2)}, "fixed")
    with pytest.raises(TableError, match="all"):
        variance_components({}, "fixed")
