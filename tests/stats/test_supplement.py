"""What stands beside the verdict: its parts against other code, and a true word where nothing can be told."""

import json
import subprocess
import sys
from dataclasses import replace
from math import inf, nan
from statistics import fmean

import numpy as np
import pytest
from stats_tables import grid, plan_of, rows_of

from whichloss.stats import (
    Axis,
    Course,
    Row,
    TableError,
    Threshold,
    draw_patients,
    endurance_of,
    judge,
    pace_of,
    retest,
    supplement_of,
)


def scores_of(shifts: dict[str, float], pairs=None, seed: int = 0, spread: float = 0.03):
    """loss -> (seed, fold) -> its score: what the pair has in common, and noise."""
    draw = np.random.default_rng(seed)
    pairs = pairs or grid(3, 4)
    common = {pair: draw.normal(0, 0.05) for pair in pairs}
    return {
        loss: {pair: float(0.7 + common[pair] + shift + spread * draw.normal()) for pair in pairs}
        for loss, shift in shifts.items()
    }


def under(scores, stress: str, chance: float = 0.5) -> list[Row]:
    return [row._replace(stress=stress, run=f"{row.run}-{stress}") for row in rows_of(scores, chance)]


def test_schema():
    rows = rows_of(scores_of({"A": 0, "B": 0.02}))
    plan = plan_of()
    verdict = replace(judge(rows, plan), supplement=supplement_of(rows, plan)).to_json()
    assert json.loads(json.dumps(verdict, allow_nan=False)) == verdict

    def keys(part):
        return " ".join(part)

    beside = verdict["supplement"]
    assert keys(beside) == (
        "outlooks secondaries variation sensitivity threshold stress pace patients subgroups ranking no_ranking"
    )
    assert keys(beside["outlooks"][0]) == "loss label kind seeds patients sentence"
    assert keys(beside["secondaries"][0]) == "loss label t df p p_holm better equal worse p_wilcoxon"
    assert keys(beside["variation"][0]) == "loss label components reason"
    assert keys(beside["variation"][0]["components"]) == "fold seed rest"
    assert keys(beside["sensitivity"][0]) == (
        "loss label decision half_rope double_rope without_failures other_threshold"
    )
    assert beside == supplement_of(rows, plan).to_json()
    # and nothing of it where nobody asked
    assert judge(rows, plan).to_json()["supplement"] is None


def test_a_verdict_alone_loads_none_of_it():
    code = "import sys; from whichloss.stats import judge; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"numpy", "whichloss.stats.supplement"}.isdisjoint(done.stdout.split())


# degenerate tables


def test_one_fold_of_one_seed():
    rows = rows_of({"A": {(0, 0): 0.7}, "B": {(0, 0): 0.8}})
    found = supplement_of(rows, plan_of(design="fixed"))
    assert found.outlooks == ()  # nothing to foresee from
    (one,) = found.variation
    assert one.components is None and "one fold or one seed" in one.reason
    (test,) = found.secondaries
    assert (test.t, test.p, test.p_holm, test.better, test.p_wilcoxon) == (None,) * 5
    assert found.sensitivity[0].decision == "undecided"


@pytest.mark.parametrize("design", ["refold", "fixed", "draws", "given"])
def test_equal_scores_everywhere(design):
    scores = {loss: dict.fromkeys(grid(3, 3), 0.75) for loss in "ABC"}
    found = supplement_of(rows_of(scores), plan_of("ABC", design=design))
    assert found.outlooks == () and {one.decision for one in found.sensitivity} == {"equal"}
    for test in found.secondaries:
        assert (test.t, test.p, test.equal, test.p_wilcoxon) == (None, None, 1.0, 1.0)
    for one in found.variation:
        assert all(part in (None, 0.0) for part in (one.components.fold, one.components.seed, one.components.rest))


def test_a_loss_that_always_diverged():
    scores = scores_of({"A": 0, "B": 0})
    scores["B"] = dict.fromkeys(scores["B"])
    found = supplement_of(rows_of(scores), plan_of())
    (one,) = found.sensitivity
    assert one.decision == "undecided" and one.without_failures == "undecided"
    assert found.secondaries[0].worse > 0.9  # at chance, as in the verdict
    courses = [Course("A", (0.5, 0.9), (3.0, 6.0), (1.0, 2.0)), Course("B"), Course("B")]
    told = pace_of(courses, plan_of(), "AUC", "", True)
    lost = told.clocks["epochs"][1]
    assert (lost.runs, lost.reached, lost.median) == (2, 0, None) and lost.mean == 2.0


def test_missing_runs():
    scores = scores_of({"A": 0, "B": 0.02, "C": 0})
    del scores["B"][0, 0], scores["B"][2, 3]
    scores["C"] = {}
    found = supplement_of(rows_of(scores), plan_of("ABC", pairs=12))
    b, c = found.variation
    assert b.components is None and "runs are missing" in b.reason
    assert c.components is None and "runs are missing" in c.reason
    assert [one.loss for one in found.outlooks] == ["B"]  # nothing can be foreseen of what has not run
    assert found.secondaries[1].p is None


def test_names_are_only_names():
    nasty = "<script>alert(1)</script>"
    scores = {"A": scores_of({"A": 0})["A"], nasty: scores_of({"A": 0}, seed=2)["A"]}
    found = supplement_of(rows_of(scores), plan_of(("A", nasty)))
    assert found.outlooks[0].sentence.startswith(nasty)


def test_lower_is_better_turns_every_sign():
    scores = scores_of({"A": 0, "B": 0.02, "C": -0.03})
    turned = {loss: {pair: -value for pair, value in ours.items()} for loss, ours in scores.items()}
    up = supplement_of(rows_of(scores), plan_of("ABC"))
    down = supplement_of(rows_of(turned, chance=-0.5), plan_of("ABC", higher_is_better=False))
    assert [one.sentence for one in up.outlooks] == [one.sentence for one in down.outlooks]
    for mine, theirs in zip(up.secondaries, down.secondaries, strict=True):
        assert (mine.t, mine.p_holm, mine.better) == pytest.approx((theirs.t, theirs.p_holm, theirs.better))


# what hangs on a choice


def test_decisions_under_other_choices_are_those_of_other_plans():
    scores = scores_of({"A": 0, "B": 0.012, "C": 0.06, "D": -0.002}, grid(4, 5), spread=0.01)
    scores["C"][0, 0] = None
    other = scores_of({"A": 0, "B": 0.08, "C": 0.0, "D": -0.2}, grid(4, 5), seed=1, spread=0.01)
    rows = rows_of(scores) + [row._replace(metric="froc at 0") for row in rows_of(other)]
    plan = plan_of("ABCD", rope=0.02)
    found = supplement_of(rows, plan, threshold=Threshold("froc at 0", "natural threshold"))
    assert found.threshold == "natural threshold"

    def decisions(rows, **changes):
        return [c.decision for c in judge(rows, replace(plan, **changes)).comparisons]

    assert [one.decision for one in found.sensitivity] == decisions(rows)
    assert [one.half_rope for one in found.sensitivity] == decisions(rows, rope=0.01)
    assert [one.double_rope for one in found.sensitivity] == decisions(rows, rope=0.04)
    assert [one.other_threshold for one in found.sensitivity] == decisions(rows, primary="froc at 0")
    assert [one.without_failures is None for one in found.sensitivity] == [True, False, True]
    assert any(one.changed for one in found.sensitivity)


def test_a_threshold_that_the_table_has_not():
    found = supplement_of(rows_of(scores_of({"A": 0, "B": 0})), plan_of(), threshold=Threshold("other", "natural"))
    assert found.threshold == "" and found.sensitivity[0].other_threshold is None


# many data sets


def test_ranks_from_six_data_sets_on():
    def table(count):
        rows = []
        for at in range(count):
            mine = rows_of(scores_of({"A": 0, "B": 0.1, "C": -0.1}, seed=at, spread=0.01))
            rows += [row._replace(data=f"data {at}") for row in mine]
        return rows

    plan = plan_of("ABC", data="data 0")
    assert (supplement_of(table(1), plan).ranking, supplement_of(table(1), plan).no_ranking) == (None, "")
    few = supplement_of(table(5), plan)
    assert few.ranking is None and few.no_ranking.startswith("5 data sets are too few")
    many = supplement_of(table(6), plan)
    assert many.no_ranking == "" and many.ranking.losses == ("B", "A", "C")
    assert many.ranking.mean_ranks == (1.0, 2.0, 3.0)
    # a loss that one data set lacks
    rows = [row for row in table(6) if (row.loss, row.data) != ("C", "data 5")]
    told = supplement_of(rows, plan)
    assert told.ranking is None and "data 5: C did not run there" in told.no_ranking
    # two losses: the verdict is enough
    assert "ranks need 3 or more" in supplement_of(table(6), plan_of("AB", data="data 0")).no_ranking


# harder data


def test_a_falling_axis_is_a_rising_one_turned_round():
    clean, half, quarter = ({"A": 0.0, "B": 0.0}, {"A": -0.05, "B": -0.1}, {"A": -0.2, "B": -0.15})
    rows = [row for name, shifts in (("", clean), ("s1", half), ("s2", quarter))
            for row in under(scores_of(shifts), name)]  # fmt: skip
    plan = plan_of()
    size = endurance_of(rows, plan, Axis("size", "share", {1.0: "", 0.5: "s1", 0.25: "s2"}))
    noise = endurance_of(rows, plan, Axis("noise", "share", {0.0: "", 0.5: "s1", 0.75: "s2"}))
    assert size.fall == noise.fall == pytest.approx((fmean(r.value for r in rows if r.loss == "A" and not r.stress
                                                           and r.split == "test") - 0.5) / 2)  # fmt: skip
    for mine, theirs in zip(size.losses, noise.losses, strict=True):
        assert mine.area == pytest.approx(theirs.area) and mine.gain == pytest.approx(theirs.gain)
        assert sorted(mine.levels) == [0.25, 0.5, 1.0]
        assert {0.5: 0.5, 0.75: 0.25, None: None}[theirs.breakdown.level] == mine.breakdown.level
    plain = [
        fmean(r.value for r in rows if (r.loss, r.stress, r.split) == ("B", name, "test")) for name in ("", "s1", "s2")
    ]
    area = ((plain[0] + plain[1]) / 2 * 0.5 + (plain[1] + plain[2]) / 2 * 0.25) / 0.75
    assert size.losses[1].area == pytest.approx(area)


def test_stress_of_which_nothing_can_be_told():
    rows = rows_of(scores_of({"A": 0, "B": 0}))
    plan = plan_of()
    missing = endurance_of(rows, plan, Axis("noise", "share", {0.0: "", 0.2: "n"}))
    assert (missing.losses, missing.reason) == ((), "not every level has been run yet: 0.2")
    both = endurance_of(rows, plan, Axis("shift", "", {0.0: "", 1.0: "n", -1.0: "m"}))
    assert "both sides" in both.reason
    low = [*under(scores_of({"A": -0.3}), ""), *under(scores_of({"A": -0.3}), "n")]
    assert "no better than chance" in endurance_of(low, plan_of("A"), Axis("noise", "", {0.0: "", 0.2: "n"})).reason
    failed = {loss: dict.fromkeys(grid(2, 2), 0.7) for loss in "AB"}
    broken = [*under(failed, ""), *rows_of({"A": {(0, 0): None}}, chance=None)]
    broken = [row._replace(stress="n") if row.value is None else row for row in broken]
    assert "the run failed" in endurance_of(broken, plan, Axis("noise", "", {0.0: "", 0.2: "n"})).reason


# how soon


def test_the_target_comes_from_the_baseline_alone():
    courses = [
        Course("A", (0.50, 0.60, 0.80, 0.90), (4.0, 8.0, 12.0, 16.0), (1.0, 2.0, 3.0, 4.0)),
        Course("A", (0.60, 0.70, 0.86, 0.90), (4.0, 8.0, 12.0, 16.0), (2.0, 4.0, 6.0, 8.0)),
        Course("B", (0.90, 0.95, 0.99, 0.99), (4.0, 8.0, 12.0, 16.0), (1.0, 2.0, 3.0, 4.0)),
        Course("B", (0.10, nan, 0.20, 0.30), (4.0, 8.0, 12.0, 16.0), (1.0, 2.0, 3.0, 4.0)),
    ]
    found = pace_of(courses, plan_of(), "ROC AUC", "", True)
    assert (found.first, found.final, found.target) == pytest.approx((0.55, 0.9, 0.55 + 0.9 * 0.35))
    a, b = found.clocks["epochs"]
    assert (a.reached, a.median, b.reached, b.median) == (2, 4, 1, 1)  # 0.865: both runs of A in the fourth epoch
    assert found.clocks["steps"][0].median == 16 and found.clocks["seconds"][0].median == 4
    errors = [one._replace(scores=tuple(-x for x in one.scores)) for one in courses]
    down = pace_of(errors, plan_of(), "error", "mm", False)
    assert down.target == pytest.approx(-found.target) and down.clocks["epochs"] == found.clocks["epochs"]
    without = pace_of([one._replace(seconds=()) for one in courses], plan_of(), "ROC AUC", "", True)
    assert list(without.clocks) == ["epochs", "steps"]


@pytest.mark.parametrize(
    ("courses", "says"),
    [
        ([], "no run of A has finished"),
        ([Course("A"), Course("B", (0.5, 0.6), (1.0, 2.0), (1.0, 2.0))], "no run of A has finished"),
        ([Course("A", (0.6, 0.5), (1.0, 2.0), (1.0, 2.0))], "no better after its last epoch"),
        ([Course("A", (0.6,), (1.0,), (1.0,))], "no better after its last epoch"),
        ([Course("A", (nan, 0.6), (1.0, 2.0), (1.0, 2.0))], "no value at one of its ends"),
    ],
)
def test_no_target(courses, says):
    found = pace_of(courses, plan_of(), "ROC AUC", "", True)
    assert found.target is None and found.clocks == {} and says in found.reason


# new patients


def test_new_patients_are_means_over_runs_of_the_same_draws():
    draws = draw_patients(10, 50, 3)
    assert draws.shape == (51, 10) and (draws[0] == 1).all() and (draws.sum(1) == 10).all()
    random = np.random.default_rng(0)
    values = {loss: {(s, 0): random.normal(size=51) for s in range(3)} for loss in "AB"}
    values["A"][2, 0][5] = nan
    values["B"][2, 0][5] = nan
    del values["B"][0, 0]
    found = retest(values, plan_of(), patients=10)
    a, b = found.losses
    assert (a.runs, b.runs, a.difference) == (3, 2, None)

    def told(lists):
        means = [fmean(x for x in column if x == x) for column in zip(*lists, strict=True)]
        return means[0], np.std(means[1:], ddof=1), *np.quantile(means[1:], [0.025, 0.975])

    def of(one):
        return one.value, one.standard_error, one.low, one.high

    assert of(a.value) == pytest.approx(told(list(values["A"].values())))
    apart = [values["B"][s, 0] - values["A"][s, 0] for s in (1, 2)]
    assert of(b.difference) == pytest.approx(told(apart))
    turned = retest(values, plan_of(higher_is_better=False), patients=10).losses[1]
    assert turned.difference.value == pytest.approx(-b.difference.value) and turned.value == b.value


def test_too_few_patients_and_no_value():
    assert retest({}, plan_of(), 1).reason == "1 patient is too few to tell"
    assert retest({}, plan_of(), 4, "abdomen", fewest=5).reason == "4 patients are too few to tell"
    nothing = retest({"A": {(0, 0): np.full(5, nan)}}, plan_of(), 9)
    assert nothing.reason == "no finished run has a value" and nothing.losses[0].value is None
    assert nothing.losses[1].runs == 0


def test_a_table_that_a_verdict_would_refuse():
    with pytest.raises(TableError):
        supplement_of([], plan_of())
    with pytest.raises(TableError, match="finite"):
        supplement_of(rows_of({"A": {(0, 0): inf}, "B": {(0, 0): 1.0}}), plan_of())
