"""What is said of undecided comparisons."""

from math import sqrt
from typing import Any

import numpy as np
import pytest
from stats_tables import grid, plan_of, rows_of

from whichloss.stats import outlooks


def scores_of(mean, seeds, folds, sd=0.02, seed=0, between=0.0) -> dict[str, dict[tuple[int, int], Any]]:
    random = np.random.default_rng(seed)
    d = mean + sd * random.normal(size=(seeds, folds)) + between * random.normal(size=(seeds, 1))
    d += mean - d.mean()
    return {"A": dict.fromkeys(grid(seeds, folds), 0.5), "B": {p: 0.5 + float(d[p]) for p in grid(seeds, folds)}}


def said(scores, **changes):
    rows = rows_of(scores)
    (one,) = outlooks(rows, plan_of(**changes))
    return one


def test_decided_comparisons_have_none():
    assert outlooks(rows_of(scores_of(0.5, 3, 5)), plan_of()) == ()


def test_failures_and_missing_runs_are_not_foreseen():
    scores = scores_of(0.1, 3, 5)
    scores["B"][0, 0] = None
    assert outlooks(rows_of(scores), plan_of()) == ()
    assert outlooks(rows_of(scores_of(0.1, 1, 1)), plan_of()) == ()


def test_more_seeds_cannot_settle_what_the_folds_share():
    """The half width at infinitely many seeds is 1.96 * 0.02 * sqrt(0.2) = 0.0175, against 0.005 and rope 0.01."""
    one = said(scores_of(0.005, 10, 5))
    assert one.kind == "patients"
    assert one.seeds is None and one.patients is not None and one.patients[0] > 120
    assert "B: more seeds cannot settle this" in one.sentence and "patients" in one.sentence


def test_draws_can_always_settle_it():
    one = said(scores_of(0.008, 8, 1), design="draws", rope=0.0)
    assert one.kind == "seeds" and one.seeds is not None and one.patients is None
    fair, good = one.seeds
    assert 1 <= fair <= good and "more draws would settle this (chance 70 to 90 %; if the" in one.sentence


def test_the_number_of_draws_against_a_plain_simulation():
    """The same prediction in a loop: the variance is drawn, then the draws to come."""
    scores = scores_of(0.008, 8, 1)
    one = said(scores, design="draws", rope=0.0)
    assert one.seeds is not None
    d = np.array([scores["B"][p] - 0.5 for p in grid(8, 1)])
    random, decided = np.random.default_rng(7), dict.fromkeys(one.seeds, 0)
    from scipy import stats

    for _ in range(4000):
        sigma = sqrt(d.var(ddof=1) * 7 / random.chisquare(7))
        for n in one.seeds:
            more = np.concatenate([d, random.normal(d.mean(), sigma, n)])
            decided[n] += abs(more.mean()) > stats.t.ppf(0.975, n + 7) * more.std(ddof=1) / sqrt(n + 8)
    assert 0.68 <= decided[one.seeds[0]] / 4000 <= 0.8 and 0.88 <= decided[one.seeds[1]] / 4000 <= 0.96


def test_one_seed_says_too_little():
    one = said(scores_of(0.018, 1, 5, sd=0.025))
    assert one.kind == "unknown" and one.seeds is None and "too few seeds" in one.sentence


def test_fixed_folds():
    """Seeds take away only their own part of the variance between fold means."""
    scores = scores_of(0.01, 4, 5, sd=0.03)
    by_luck = said(scores, design="fixed")
    assert by_luck.kind == "perhaps"
    scores["B"] = {(s, fold): value + 0.02 * (fold - 2) for (s, fold), value in scores["B"].items()}
    by_fold = said(scores, design="fixed")
    assert by_fold.kind == "patients" and by_fold.patients is not None
    assert said(scores_of(0.01, 1, 5, sd=0.03), design="fixed").kind == "unknown"


@pytest.mark.parametrize("design", ["refold", "fixed", "draws", "given"])
def test_the_same_from_any_order_of_rows(design):
    rows = rows_of(scores_of(0.005, 6, 5 if design in ("refold", "fixed") else 1))
    assert outlooks(rows, plan_of(design=design)) == outlooks(rows[::-1], plan_of(design=design))


def test_more_noise_in_the_runs_leaves_the_number_of_patients_open():
    steady = said(scores_of(0.005, 10, 5))
    noisy = said(scores_of(0.005, 10, 5, between=0.02))
    assert steady.patients is not None and noisy.patients is not None
    assert noisy.patients[1] is None and "at least" in noisy.sentence
