"""The bootstrap over patients, against a plain loop, scipy.stats.bootstrap, and a normal mean."""

from math import sqrt
from random import Random
from typing import Any

import numpy as np
import pytest
from scipy import stats

from whichloss.stats import Case, TableError, resample_means, resample_pooled


def cases_of(patients=30, per_patient=3, runs=("a0", "a1", "b0", "b1"), seed=0):
    random = np.random.default_rng(seed)
    hard = random.normal(size=patients)
    return [
        Case(run, f"{p}-{i}", f"p{p}", float(hard[p] + 0.2 * (run[0] == "b") + 0.3 * random.normal()))
        for run in runs
        for p in range(patients)
        for i in range(per_patient if p % 2 else 1)
    ]


def mean_of(cases, runs, drawn):
    """A plain loop: the mean score of the cases of the drawn patients."""
    total = count = 0.0
    for group in drawn:
        for case in cases:
            if case.group == group and case.run in runs:
                total += case.score
                count += 1
    return total / count


def test_weights_are_what_a_plain_loop_draws():
    cases = cases_of(patients=8)
    groups = sorted({case.group for case in cases})
    found = resample_means(cases, ["b0", "b1"], ["a0", "a1"], times=50, seed=4)
    weights = np.random.default_rng(4).multinomial(8, np.full(8, 1 / 8), size=50)
    values = []
    for weight in weights:
        drawn = [group for group, times in zip(groups, weight, strict=True) for _ in range(times)]
        values.append(mean_of(cases, {"b0", "b1"}, drawn) - mean_of(cases, {"a0", "a1"}, drawn))
    whole = mean_of(cases, {"b0", "b1"}, groups) - mean_of(cases, {"a0", "a1"}, groups)
    low, high = np.quantile(values, [0.025, 0.975])
    expected = (whole, np.std(values, ddof=1), low, high)
    assert (found.value, found.standard_error, found.low, found.high) == pytest.approx(expected, rel=1e-9)
    assert (found.groups, found.times) == (8, 50)


def test_against_scipy():
    cases = cases_of(patients=40, per_patient=1, runs=("a0",))
    found = resample_means(cases, ["a0"], times=20000)
    scores = [case.score for case in cases]
    oracle = stats.bootstrap((scores,), np.mean, n_resamples=20000, method="percentile", rng=1)
    assert found.standard_error == pytest.approx(oracle.standard_error, rel=0.03)
    assert (found.low, found.high) == pytest.approx(tuple(oracle.confidence_interval), abs=0.02)
    assert found.standard_error == pytest.approx(np.std(scores) / sqrt(40), rel=0.03)


def test_what_both_losses_share_cancels():
    cases = cases_of()
    difference = resample_means(cases, {"b0", "b1"}, {"a0", "a1"})
    alone = resample_means(cases, {"b0", "b1"})
    assert difference.standard_error < alone.standard_error / 3
    assert difference.low < 0.2 < difference.high


def test_the_order_of_cases_does_not_matter():
    cases = cases_of()
    before = resample_means(cases, ["a0"], ["b0"])
    Random(0).shuffle(cases)
    assert resample_means(cases, ["a0"], ["b0"]) == before


def test_pooled_mean_is_the_mean():
    cases = [case for case in cases_of() if case.run == "a0"]
    score = np.array([case.score for case in cases])
    pooled = resample_pooled(lambda at: score[at].mean(), [case.group for case in cases], times=4000)
    means = resample_means(cases, ["a0"], times=4000)
    assert pooled.value == pytest.approx(means.value) and pooled.groups == means.groups == 30
    assert pooled.standard_error == pytest.approx(means.standard_error, rel=0.05)
    assert (pooled.low, pooled.high) == pytest.approx((means.low, means.high), abs=0.03)


def test_pooled_area_under_the_curve():
    random = np.random.default_rng(0)
    label = np.arange(60) % 2
    score = random.normal(size=60) + label

    def area(at):
        up, down = score[at][label[at] == 1], score[at][label[at] == 0]
        return (up[:, None] > down).mean() if up.size and down.size else np.nan

    found = resample_pooled(area, range(60), times=2000)
    auc = area(np.arange(60))
    # Hanley and McNeil (1982), their equation 1
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    error = sqrt((auc * (1 - auc) + 29 * (q1 - auc**2) + 29 * (q2 - auc**2)) / 900)
    assert found.value == auc and found.standard_error == pytest.approx(error, rel=0.15)


def test_draws_without_a_value_are_left_out_and_counted():
    found = resample_pooled(lambda at: 1.0 * len(at) if 0 in at else np.nan, range(4), times=500)
    assert 0.6 < found.times / 500 < 0.76  # 1 - (3/4)^4 = 0.68


def test_refusals():
    cases = cases_of(patients=3)
    with pytest.raises(TableError, match="no cases of run c0"):
        resample_means(cases, ["a0"], ["c0"])
    with pytest.raises(TableError, match="none was named"):
        resample_means(cases, [])
    with pytest.raises(TableError, match="case x of run a0 scores nan"):
        resample_means([*cases, Case("a0", "x", "p", float("nan"))], ["a0"])
    with pytest.raises(TableError, match="patients: 1"):
        resample_means([Case("a", "x", "p", 1.0)], ["a"])


def test_coverage_for_new_patients():
    """A mean over 40 patients, two cases each: in 600 studies no worse than Student's t by more than 3 points."""
    random, inside, oracle = np.random.default_rng(0), 0, 0
    for study in range(600):
        scores = random.normal(size=40).repeat(2) + 0.5 * random.normal(size=80)
        cases = [Case("a", str(i), str(i // 2), float(score)) for i, score in enumerate(scores)]
        found = resample_means(cases, ["a"], times=400, seed=study)
        inside += found.low <= 0 <= found.high
        test: Any = stats.ttest_1samp(scores.reshape(40, 2).mean(1), 0)
        oracle += test.pvalue >= 0.05
    assert oracle - 18 <= inside <= oracle
