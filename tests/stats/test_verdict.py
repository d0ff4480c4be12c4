"""The verdict, recomputed with plain loops and scipy.stats."""

import json
import os
import subprocess
import sys
from math import sqrt
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from stats_tables import grid, plan_of, rows_of

from whichloss.stats import TableError, decide, judge

DESIGNS = ("refold", "fixed", "draws", "given")


def normal_scores(effects, pairs, sd=0.01, seed=0) -> dict[str, dict[tuple[int, int], Any]]:
    random = Random(seed)
    hard = {pair: random.gauss(0.7, 0.05) for pair in pairs}
    return {
        loss: {pair: hard[pair] + effect + random.gauss(0, sd) for pair in pairs} for loss, effect in effects.items()
    }


def by_hand(a, b, design, ratio):
    """Mean, standard error and df of a - b, for complete tables as (seed, fold) arrays."""
    d = a - b
    units = {"refold": d.ravel(), "fixed": d.mean(0), "draws": d.mean(1), "given": d.mean(1)}[design]
    shared = ratio if design in ("refold", "fixed") else 0
    return units.mean(), sqrt(units.var(ddof=1) * (1 / units.size + shared)), units.size - 1


# What is computed


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("higher", [True, False])
def test_everything_against_an_oracle(design, higher):
    losses = ["A", "B", "C", "D"]
    pairs = grid(6, 5)
    scores = normal_scores({"A": 0, "B": 0.05, "C": 0.004, "D": -0.05}, pairs, sd=0.02)
    table = {loss: np.array([scores[loss][pair] for pair in pairs]).reshape(6, 5) for loss in losses}
    turned = {loss: values if higher else -values for loss, values in table.items()}
    verdict = judge(rows_of(scores), plan_of(losses, design=design, higher_is_better=higher))
    for comparison in verdict.comparisons:
        mean, error, df = by_hand(turned[comparison.loss], turned["A"], design, 0.2)
        half = stats.t.ppf(1 - 0.05 / (2 * 3), df) * error
        got = (
            comparison.difference,
            comparison.standard_error,
            comparison.df,
            comparison.low,
            comparison.high,
        )
        assert got == pytest.approx((mean, error, df, mean - half, mean + half))
    best = []
    for loss in losses:
        beaten = False
        for other in losses:
            if other != loss:
                mean, error, df = by_hand(turned[other], turned[loss], design, 0.2)
                beaten |= mean - stats.t.ppf(1 - 0.05 / 3, df) * error > 0
        if not beaten:
            best.append(loss)
    assert list(verdict.best_set) == best
    assert [s.loss for s in verdict.losses if s.in_best_set] == best
    for summary in verdict.losses:
        values = table[summary.loss].ravel()
        assert (summary.mean, summary.sd) == pytest.approx((values.mean(), values.std(ddof=1)))
        assert (summary.runs, summary.failed) == (30, 0)


@pytest.mark.parametrize(
    ("low", "high", "rope", "said"),
    [
        (-0.01, 0.01, 0.01, "equal"),
        (0.001, 0.009, 0.01, "equal"),  # surely above zero, and surely too small to matter
        (0.001, 0.02, 0.01, "better"),
        (-0.02, -0.001, 0.01, "worse"),
        (-0.02, 0.001, 0.01, "undecided"),
        (0.0, 0.02, 0.01, "undecided"),
        (0.0, 0.0, 0.0, "equal"),
        (1e-9, 1e-9, 0.0, "better"),
        (float("-inf"), float("inf"), 1e9, "undecided"),
    ],
)
def test_decide(low, high, rope, said):
    assert decide(low, high, rope) == said


def test_half_and_double_rope():
    pairs = grid(1, 4)
    scores = {"A": dict.fromkeys(pairs, 0.5), "B": dict.fromkeys(pairs, 0.515625)}
    (comparison,) = judge(rows_of(scores), plan_of(rope=0.015625)).comparisons
    assert comparison.decision == comparison.decision_double_rope == "equal"
    assert comparison.decision_half_rope == "better"


def test_only_the_named_cell_decides():
    scores = normal_scores({"A": 0, "B": 0.1}, grid(2, 5))
    rows = rows_of(scores)
    clean = judge(rows, plan_of())
    noise = [row._replace(value=0.123 * i) for i, row in enumerate(rows)]
    for other in ({"stress": "label_noise=0.2"}, {"metric": "dice"}, {"study": "else"}):
        assert judge(rows + [row._replace(**other) for row in noise], plan_of()) == clean
    for column in ("data", "network"):
        both = rows + [row._replace(**{column: "second"}) for row in noise]
        with pytest.raises(TableError, match=rf"phantom, second|second, view.*Plan\({column}"):
            judge(both, plan_of())
        assert judge(both, plan_of(data="phantom", network="view")) == clean
    assert judge(both, plan_of(network="second")).cell.network == "second"


def test_the_best_is_never_the_maximum_alone():
    pairs = grid(1, 6)
    scores = normal_scores({"A": 0, "B": 0.001, "C": 0.002, "D": -0.5}, pairs)
    assert set(judge(rows_of(scores), plan_of("ABCD")).best_set) == {"A", "B", "C"}


def test_comparisons_in_a_circle_leave_all_in():
    """Each beats the next, always on pairs that the third has not run."""
    meets = {0: "AB", 1: "BC", 2: "CA"}
    scores = {loss: {} for loss in "ABC"}
    for seed, (winner, loser) in meets.items():
        for fold in range(5):
            scores[winner][seed, fold], scores[loser][seed, fold] = 0.9, 0.1
    assert judge(rows_of(scores), plan_of("ABC")).best_set == ("A", "B", "C")


# What does not matter

dyadic = st.integers(0, 64).map(lambda n: n / 64)  # sums and differences of these are exact


@st.composite
def cases(draw):
    pairs = grid(draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    losses = "ABC"[: draw(st.integers(2, 3))]
    value = st.none() | dyadic if draw(st.booleans()) else dyadic
    scores = {loss: {pair: draw(value) for pair in pairs} for loss in losses}
    return scores, {
        "design": draw(st.sampled_from(DESIGNS)),
        "rope": draw(st.sampled_from([0.0, 1 / 64, 1 / 8])),
        "higher_is_better": draw(st.booleans()),
    }


def mapped(scores, change):
    return {
        loss: {pair: None if value is None else change(value) for pair, value in runs.items()}
        for loss, runs in scores.items()
    }


def essence(verdict):
    return [(c.loss, c.decision, c.reason, c.decision_half_rope, c.decision_double_rope) for c in verdict.comparisons]


def numbers(verdict):
    """Differences and bounds of all comparisons, those without failures too; None where there is none."""
    found = []
    for comparison in verdict.to_json()["comparisons"]:
        for part in (comparison, comparison["without_failures"] or {}):
            found += [part.get(name) for name in ("difference", "standard_error", "low", "high")]
    return found


def same(found, expected):
    return all(
        (a is None and b is None) or (a is not None and a == pytest.approx(b, abs=1e-12))
        for a, b in zip(found, expected, strict=True)
    )


@settings(deadline=None, max_examples=60)
@given(cases(), st.randoms())
def test_row_order(case, random):
    scores, changes = case
    rows = rows_of(scores)
    first = judge(rows, plan_of(scores, **changes)).to_json()
    random.shuffle(rows)
    assert judge(rows, plan_of(scores, **changes)).to_json() == first
    json.dumps(first, allow_nan=False)
    assert first["best_set"]


@settings(deadline=None, max_examples=60)
@given(cases(), st.integers(-640, 640).map(lambda n: n / 64))
def test_a_constant_added_to_all_scores(case, constant):
    scores, changes = case
    plan = plan_of(scores, **changes)
    before = judge(rows_of(scores), plan)
    after = judge(rows_of(mapped(scores, lambda v: v + constant), chance=0.5 + constant), plan)
    assert essence(before) == essence(after) and same(numbers(before), numbers(after))
    assert before.best_set == after.best_set and before.sentences == after.sentences


@settings(deadline=None, max_examples=60)
@given(cases(), st.sampled_from([0.25, 2.0, 1024.0]))
def test_another_unit(case, scale):
    scores, changes = case
    before = judge(rows_of(scores), plan_of(scores, **changes))
    changes["rope"] *= scale
    after = judge(rows_of(mapped(scores, lambda v: v * scale), chance=0.5 * scale), plan_of(scores, **changes))
    assert essence(before) == essence(after) and before.best_set == after.best_set
    scaled = [None if number is None else number * scale for number in numbers(before)]
    assert same(numbers(after), scaled)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_loss_and_baseline_swapped(case):
    scores, changes = case
    scores = {loss: scores[loss] for loss in "AB"}
    (one,) = judge(rows_of(scores), plan_of("AB", **changes)).comparisons
    (two,) = judge(rows_of(scores), plan_of("AB", baseline="B", **changes)).comparisons
    assert (two.difference, two.low, two.high) == (-one.difference, -one.high, -one.low)
    turned = {"better": "worse", "worse": "better"}
    assert two.decision == turned.get(one.decision, one.decision)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_direction_reversed(case):
    scores, changes = case
    before = judge(rows_of(scores), plan_of(scores, **changes))
    changes["higher_is_better"] = not changes["higher_is_better"]
    after = judge(rows_of(mapped(scores, lambda v: 1 - v)), plan_of(scores, **changes))
    assert essence(before) == essence(after) and same(numbers(before), numbers(after))
    assert before.best_set == after.best_set


# Ties, single folds and seeds


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("rope", [0.0, 0.01])
def test_a_tie_is_equal(design, rope):
    scores = {loss: {pair: 0.1 * pair[1] for pair in grid(3, 3)} for loss in "ABC"}
    verdict = judge(rows_of(scores), plan_of("ABC", design=design, rope=rope))
    assert {c.decision for c in verdict.comparisons} == {"equal"}
    assert verdict.best_set == ("A", "B", "C")
    assert any("no spread" in line for line in verdict.warnings)


@pytest.mark.parametrize(
    ("design", "seeds", "folds", "reason"),
    [
        ("refold", 1, 1, "one pair"),
        ("fixed", 9, 1, "one fold"),
        ("draws", 1, 4, "one draw"),
        ("given", 1, 1, "one seed"),
    ],
)
def test_one_is_not_enough(design, seeds, folds, reason):
    verdict = judge(rows_of(normal_scores({"A": 0, "B": 9}, grid(seeds, folds))), plan_of(design=design))
    (comparison,) = verdict.comparisons
    assert (comparison.decision, comparison.reason) == ("undecided", reason)
    as_json = verdict.to_json()["comparisons"][0]
    assert as_json["low"] is as_json["high"] is as_json["standard_error"] is None
    assert verdict.best_set == ("A", "B") and verdict.design.df == 0
    assert reason in verdict.sentences[0] and any("weak" in line for line in verdict.warnings)


def test_one_seed_of_folds_and_one_fold_of_seeds():
    one_seed = judge(rows_of(normal_scores({"A": 0, "B": 0.5}, grid(1, 6))), plan_of(design="refold"))
    one_fold = judge(rows_of(normal_scores({"A": 0, "B": 0.5}, grid(6, 1))), plan_of(design="given"))
    assert [v.comparisons[0].decision for v in (one_seed, one_fold)] == ["better", "better"]
    assert (one_seed.design.folds, one_seed.design.seeds, one_seed.design.df) == (6, 1, 5)
    assert all(sentence.endswith("on this split.") for sentence in one_fold.sentences)


@pytest.mark.parametrize(("seeds", "weak"), [(4, True), (5, False)])
def test_few_degrees_of_freedom(seeds, weak):
    verdict = judge(rows_of(normal_scores({"A": 0, "B": 1}, grid(seeds, 1))), plan_of(design="draws"))
    assert any("The test is weak" in line and "4 draws" in line for line in verdict.warnings) == weak


# Failures and missing runs


def test_a_failed_run_scores_chance_and_then_nothing_is_decided():
    pairs = grid(2, 5)
    scores = normal_scores({"A": 0, "B": 0.1}, pairs)
    whole = judge(rows_of(scores), plan_of())
    scores["B"][0, 0] = None
    verdict = judge(rows_of(scores, chance=0.25), plan_of())
    (comparison,) = verdict.comparisons
    at_chance = [(0.25 if p == (0, 0) else scores["B"][p]) - scores["A"][p] for p in pairs]
    assert comparison.difference == pytest.approx(np.mean(at_chance))
    assert comparison.without_failures is not None
    finished = [scores["B"][p] - scores["A"][p] for p in pairs if p != (0, 0)]
    assert comparison.without_failures.difference == pytest.approx(np.mean(finished))
    error = sqrt(np.var(finished, ddof=1) * (1 / 9 + 0.2))
    assert comparison.without_failures.standard_error == pytest.approx(error)
    assert (comparison.without_failures.decision, comparison.without_failures.pairs) == ("better", 9)
    assert (comparison.decision, comparison.reason, comparison.failed_pairs) == ("undecided", "failures", 1)
    assert "because of failed runs" in verdict.sentences[0]
    assert any("B 1 of 10" in line for line in verdict.warnings)
    assert whole.comparisons[0].decision == "better" and whole.comparisons[0].without_failures is None
    mean = np.mean([0.25 if value is None else value for value in scores["B"].values()])
    assert verdict.losses[1].mean == pytest.approx(mean) and verdict.losses[1].failed == 1


def test_a_failure_that_changes_nothing():
    scores = normal_scores({"A": 0, "B": -0.2}, grid(2, 5))
    scores["B"][1, 1] = None
    (comparison,) = judge(rows_of(scores), plan_of()).comparisons
    assert (comparison.decision, comparison.reason, comparison.failed_pairs) == ("worse", None, 1)


def test_a_failed_baseline_counts_as_well():
    scores = normal_scores({"A": 0, "B": 0, "C": 0}, grid(2, 5), sd=1e-4)
    scores["A"][0, 0] = None
    verdict = judge(rows_of(scores), plan_of("ABC"))
    assert [(c.decision, c.reason, c.failed_pairs) for c in verdict.comparisons] == [("undecided", "failures", 1)] * 2


def test_a_loss_that_always_fails():
    scores = normal_scores({"A": 0, "B": 0, "C": 0}, grid(2, 5), sd=1e-3)
    scores["C"] = dict.fromkeys(scores["C"])
    verdict = judge(rows_of(scores), plan_of("ABC"))
    always = verdict.to_json()["comparisons"][1]
    assert (always["decision"], always["reason"]) == ("undecided", "failures")
    assert always["without_failures"] == {
        "difference": None, "standard_error": None, "df": 0, "low": None, "high": None,
        "decision": "undecided", "pairs": 0,
    }  # fmt: skip
    assert verdict.best_set == ("A", "B") and verdict.losses[2].mean == 0.5
    assert "Worse than the best only because failed runs score chance: C." in verdict.warnings


def test_out_only_because_of_failures_is_said():
    scores = normal_scores({"A": 0, "B": 0}, grid(3, 5), sd=1e-3)
    for pair in grid(2, 5):
        scores["B"][pair] = None
    verdict = judge(rows_of(scores), plan_of())
    assert verdict.best_set == ("A",)
    assert "Worse than the best only because failed runs score chance: B." in verdict.warnings


@pytest.mark.parametrize("chance", [None, float("inf")])
def test_a_failed_run_needs_its_chance(chance):
    scores = normal_scores({"A": 0, "B": 0}, grid(1, 3))
    scores["B"][0, 2] = None
    with pytest.raises(TableError, match="B, fold 2, seed 0"):
        judge(rows_of(scores, chance=chance), plan_of())


def test_missing_runs_leave_the_pairs_where_both_have_run():
    pairs = grid(2, 5)
    scores = normal_scores({"A": 0, "B": 0.1, "C": 0}, pairs)
    del scores["B"][0, 0], scores["B"][0, 1], scores["A"][1, 4], scores["C"][1, 4]
    scores["C"] = {}
    verdict = judge(rows_of(scores), plan_of("ABC"))
    b, c = verdict.comparisons
    common = [scores["B"][p] - scores["A"][p] for p in pairs if p in scores["A"] and p in scores["B"]]
    assert b.pairs == len(common) == 7 and b.difference == pytest.approx(np.mean(common))
    assert verdict.interim and (c.pairs, c.reason, c.decision) == (0, "no pairs", "undecided")
    assert any("B 3 of 10, C 10 of 10" in line for line in verdict.warnings)
    assert verdict.losses[2].mean is None and "C" not in verdict.best_set
    assert "not run yet: C" in verdict.sentences[1] and verdict.sentences[0].startswith("(Interim)")
    json.dumps(verdict.to_json(), allow_nan=False)


def test_seeds_that_no_loss_has_run_yet():
    rows = rows_of(normal_scores({"A": 0, "B": 0.1}, grid(2, 5)))
    assert not judge(rows, plan_of(pairs=10)).interim
    verdict = judge(rows, plan_of(pairs=15))
    assert verdict.interim and any("B 5 of 15" in line for line in verdict.warnings)
    alone = judge(rows, plan_of("A", pairs=15))
    assert alone.interim and any("5 of 15" in line for line in alone.warnings)


def test_the_family_is_the_plan_not_what_has_run():
    scores = normal_scores({"A": 0, "B": 0.1}, grid(2, 5))
    (two,) = judge(rows_of(scores), plan_of("AB")).comparisons
    three = judge(rows_of(scores), plan_of("ABC")).comparisons[0]
    assert three.high - three.low > two.high - two.low


def test_duplicates_unequal_folds_units_and_nothing():
    rows = rows_of(normal_scores({"A": 0, "B": 0}, grid(2, 3)))
    with pytest.raises(TableError, match="A, fold 0, seed 0: two test rows"):
        judge([*rows, rows[0]._replace(run="again", value=0.9)], plan_of())
    with pytest.raises(TableError, match="A, fold 0, seed 0: two chance rows"):
        judge([*rows, rows[1]], plan_of())
    with pytest.raises(TableError, match="fold 0 of seed 0 is not the same"):
        judge([rows[0]._replace(n_test=21), *rows[1:]], plan_of())
    with pytest.raises(TableError, match="units"):
        judge([rows[0]._replace(unit="mm"), *rows[1:]], plan_of())
    with pytest.raises(TableError, match="finite"):
        judge([rows[0]._replace(value=float("inf")), *rows[1:]], plan_of())
    with pytest.raises(TableError, match=r"metric 'dice'[^\0]*has: metric 'froc'"):
        judge(rows, plan_of(primary="dice"))
    with pytest.raises(TableError, match="nothing of this study"):
        judge([], plan_of())


@pytest.mark.parametrize("design", DESIGNS)
def test_counts_are_needed_only_where_training_sets_overlap(design):
    rows = rows_of(normal_scores({"A": 0, "B": 0}, grid(3, 3)), n_train=0)
    if design in ("refold", "fixed"):
        with pytest.raises(TableError, match="n_train is 0"):
            judge(rows, plan_of(design=design))
    else:
        judge(rows, plan_of(design=design))


def test_losses_outside_the_plan_are_left_out_and_named():
    scores = normal_scores({"A": 0, "B": 0.1, "Z": 5}, grid(2, 5))
    verdict = judge(rows_of(scores), plan_of())
    assert "Z" not in verdict.best_set and any("left out: Z" in line for line in verdict.warnings)


# What is said


def test_schema():
    scores = normal_scores({"A": 0, "B": 0.1}, grid(2, 5))
    scores["B"][0, 0] = None
    verdict = judge(rows_of(scores), plan_of(labels={"A": "Logistic"})).to_json()
    assert json.loads(json.dumps(verdict, allow_nan=False)) == verdict

    def keys(part):
        return " ".join(part)

    assert keys(verdict) == (
        "study question interim primary primary_label unit higher_is_better baseline baseline_label rope "
        "confidence design cell losses comparisons best_set sentences warnings supplement"
    )
    assert keys(verdict["design"]) == "kind folds seeds pairs n_train n_test df"
    assert keys(verdict["cell"]) == "data network stress"
    assert keys(verdict["losses"][0]) == "loss label mean sd runs failed in_best_set"
    (comparison,) = verdict["comparisons"]
    assert keys(comparison) == (
        "loss label difference standard_error df low high decision reason decision_half_rope "
        "decision_double_rope pairs failed_pairs without_failures"
    )
    assert keys(comparison["without_failures"]) == "difference standard_error df low high decision pairs"
    assert (verdict["baseline"], verdict["baseline_label"], len(verdict["sentences"])) == ("A", "Logistic", 2)


def exact(**means):
    """Scores whose differences from A are the given mean, plus and minus 1/128 over eight draws."""
    return {
        loss: {(s, 0): 0.5 + mean + (0 if loss == "A" else (-1) ** s / 128) for s in range(8)}
        for loss, mean in means.items()
    }


def test_sentences():
    labels = {"A": "Logistic", "B": "Lorenz", "C": "Smooth hinge", "D": "Tangent", "E": "Savage"}
    scores = exact(A=0, B=0.125, C=0, D=-0.125, E=0.015625)
    verdict = judge(rows_of(scores), plan_of("ABCDE", design="draws", rope=0.0125, labels=labels))
    # half width: t(1 - 0.05/8, df 7) = 3.3353 times sqrt((1/128)^2 * 8/7 / 8) = 0.0029528, that is 0.0098
    assert verdict.sentences == (
        "Compared with Logistic on FROC area (plus is better; simultaneous 95 % intervals in brackets): "
        "Lorenz +0.125 (+0.115 to +0.135) and Savage +0.016 (+0.006 to +0.025) were better; "
        "Smooth hinge 0.000 (-0.010 to +0.010) was equal to within 0.013; "
        "Tangent -0.125 (-0.135 to -0.115) was worse.",
        "Cannot be told from the best: Lorenz alone; worse than the best: Logistic, Smooth hinge, Tangent, Savage.",
    )


@pytest.mark.parametrize(("t", "best"), [(2.54, ("B",)), (2.2, ("A", "B"))])
def test_the_bound_of_the_best_set_is_one_sided_over_the_rivals(t, best):
    """t(1 - 0.05/2, df 7) = 2.3646 puts A out; against the baseline B needs t(1 - 0.05/4, df 7) = 2.8412."""
    scores = exact(A=0, B=t * sqrt(1 / 128**2 / 7), C=-0.25)
    verdict = judge(rows_of(scores), plan_of("ABC", design="draws", rope=0))
    assert verdict.best_set == best and verdict.comparisons[0].decision == "undecided"


def test_sentences_when_nothing_was_shown():
    scores = exact(A=0, B=0.00390625)
    rows = [row._replace(unit="mm") for row in rows_of(scores)]
    verdict = judge(rows, plan_of(design="given", rope=0.002, higher_is_better=False))
    assert verdict.sentences == (
        "Nothing was shown against A on FROC area "
        "(mm; plus is better, that is lower; 95 % interval in brackets): "
        "B -0.0039 (-0.0109 to +0.0031), on this split.",
        "Cannot be told from the best: A, B; none was shown to be worse than the best, on this split.",
    )


def test_sentences_with_one_loss():
    verdict = judge(rows_of(exact(A=0)), plan_of("A", design="draws"))
    assert verdict.sentences == (
        "There is nothing to compare: A is the only loss.",
        "Cannot be told from the best: A, the only loss.",
    )
    assert verdict.comparisons == () and verdict.best_set == ("A",) and verdict.design.df is None


def test_sentences_with_many_losses_stay_short():
    names = [f"L{i}" for i in range(25)]
    scores = normal_scores({name: 0.02 * i for i, name in enumerate(names)}, grid(3, 5), sd=0.02)
    wide = judge(rows_of(scores), plan_of(names))
    assert all(len(sentence) < 600 for sentence in wide.sentences) and "others" in wide.sentences[0]
    alike = judge(rows_of(normal_scores(dict.fromkeys(names, 0.0), grid(3, 5))), plan_of(names))
    assert "all 25 losses" in alike.sentences[1]


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e5])
@pytest.mark.parametrize("rope", [0.0, 0.01])
def test_numbers_are_readable_at_any_scale(scale, rope):
    scores = mapped(normal_scores({"A": 0, "B": 0.1}, grid(2, 5)), lambda v: v * scale)
    sentence = judge(rows_of(scores), plan_of(rope=rope * scale)).sentences[0]
    assert "was better" in sentence and "e-" not in sentence and "e+" not in sentence
    assert sum(map(str.isdigit, sentence)) < 60 and " 0.0" not in sentence


def test_light():
    """Importing the package loads neither torch nor anything that takes long."""
    heavy = {"torch", "pandas", "numpy", "scipy"}
    code = f"import sys, whichloss.stats; print(sorted({heavy} & set(sys.modules)))"
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path)
    assert out.stdout.strip() == "[]"
