"""Curves over stress: areas by numpy, intervals by scipy, and where losses break."""

from math import sqrt
from typing import Any

import numpy as np
import pytest
from scipy import stats
from stats_tables import grid, plan_of, rows_of

from whichloss.stats import Breakdown, TableError, degradations

LEVELS = {0.0: "", 0.1: "LabelNoise(0.1)", 0.3: "LabelNoise(0.3)", 0.4: "LabelNoise(0.4)"}
AT = sorted(LEVELS)


def curves(slopes, seeds=2, folds=5, sd=0.01, seed=0):
    """loss -> (seeds, folds, levels)"""
    random = np.random.default_rng(seed)
    hard = random.normal(0, 0.1, (seeds, folds, 1))
    return {
        loss: 0.8 + hard - slope * np.array(AT) + random.normal(0, sd, (seeds, folds, len(AT)))
        for loss, slope in slopes.items()
    }


def rows_over(table, **changes):
    rows = []
    for i, level in enumerate(AT):
        scores = {loss: {(s, f): float(x[s, f, i]) for s, f in grid(*x.shape[:2])} for loss, x in table.items()}
        rows += [row._replace(stress=LEVELS[level]) for row in rows_of(scores, **changes)]
    return rows


@pytest.mark.parametrize("higher", [True, False])
def test_areas_and_intervals_by_hand(higher):
    table = curves({"A": 0.1, "B": 0.3})
    found = degradations(rows_over(table), plan_of(higher_is_better=higher), LEVELS, fall=0.05)
    areas = {loss: np.trapezoid(x, AT, axis=2) / 0.4 for loss, x in table.items()}
    t = stats.t.ppf(0.975, 9)
    for one in found:
        mine = areas[one.loss].ravel()
        half = t * sqrt(mine.var(ddof=1) * (1 / 10 + 0.2))
        assert (one.area, one.low, one.high) == pytest.approx((mine.mean(), mine.mean() - half, mine.mean() + half))
        assert one.levels == tuple(AT) and one.means == pytest.approx(table[one.loss].mean((0, 1)))
        gain = (mine - areas["A"].ravel()) * (1 if higher else -1)
        half = t * sqrt(gain.var(ddof=1) * (1 / 10 + 0.2))
        assert (one.gain, one.gain_low, one.gain_high) == pytest.approx(
            (gain.mean(), gain.mean() - half, gain.mean() + half), abs=1e-12
        )
    assert found[0].gain == 0 and (found[1].gain < 0) == higher


def test_draws_against_scipy():
    table = curves({"A": 0.1, "B": 0.3}, seeds=8, folds=1)
    one = degradations(rows_over(table), plan_of(design="draws"), LEVELS, fall=0.05)[1]
    areas = {loss: np.trapezoid(x[:, 0], AT, axis=1) / 0.4 for loss, x in table.items()}
    oracle: Any = stats.ttest_rel(areas["B"], areas["A"])
    assert (one.gain_low, one.gain_high) == pytest.approx(tuple(oracle.confidence_interval(0.95)))


def test_breakdown():
    table = curves({"A": 0.0, "B": 0.3, "C": 1.0}, sd=1e-4)
    a, b, c = (one.breakdown for one in degradations(rows_over(table), plan_of("ABC"), LEVELS, fall=0.05))
    assert a == Breakdown(0.05, None, None, None)
    assert b == Breakdown(0.05, 0.3, 0.3, 0.3)
    assert c == Breakdown(0.05, 0.1, 0.1, 0.1)


def test_where_it_breaks_is_uncertain_when_scores_are():
    table = curves({"A": 0.0, "B": 0.3}, sd=0.05)
    broken = degradations(rows_over(table), plan_of(), LEVELS, fall=0.05)[1].breakdown
    assert broken.level is not None and broken.earliest is not None
    assert broken.earliest < broken.level and (broken.latest is None or broken.latest > broken.level)


def test_breakdown_covers_the_truth():
    """The true curve falls by 0.05 between the levels 0.1 and 0.3: 300 studies of eight draws."""
    inside = 0
    for study in range(300):
        table = curves({"A": 0.3, "B": 0.3}, seeds=8, folds=1, sd=0.03, seed=study)
        broken = degradations(rows_over(table), plan_of(design="draws"), LEVELS, fall=0.05)[1].breakdown
        assert broken.earliest is not None
        inside += broken.earliest <= 0.3 and (broken.latest is None or broken.latest >= 0.3)
    assert inside / 300 >= 0.93


def test_only_pairs_that_ran_at_every_level():
    table = curves({"A": 0.1, "B": 0.3})
    rows = [row for row in rows_over(table) if (row.loss, row.seed, row.stress) != ("B", 1, "LabelNoise(0.3)")]
    a, b = degradations(rows, plan_of(), LEVELS, fall=0.05)
    assert (a.pairs, b.pairs) == (10, 5)
    assert b.area == pytest.approx(np.trapezoid(table["B"][0], AT, axis=1).mean() / 0.4)
    gone = [row for row in rows_over(table) if (row.loss, row.stress) != ("B", "LabelNoise(0.3)")]
    assert [one.loss for one in degradations(gone, plan_of(), LEVELS, fall=0.05)] == ["A"]


def test_refusals():
    rows = rows_over(curves({"A": 0.1, "B": 0.3}))
    with pytest.raises(TableError, match="two levels of stress or more"):
        degradations(rows, plan_of(), {0.0: ""}, fall=0.05)
    with pytest.raises(TableError, match="fall is 0"):
        degradations(rows, plan_of(), LEVELS, fall=0)
    with pytest.raises(TableError, match="stress 'Blur'"):
        degradations(rows, plan_of(), {0.0: "", 1.0: "Blur"}, fall=0.05)
