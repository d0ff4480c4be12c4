"""Tuning is fair: as many trials for every loss, judged on the inner split, and never a look at the test part."""

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, roc_auc_score

from small_studies import TINY, Answer, cli, execute_here, tiny_study, write_code, write_study, write_tiny
from whichloss.core import Loss, parse
from whichloss.study.conduct import Prepared, prepare
from whichloss.study.execute import Work
from whichloss.study.ranges import LARGEST, Range
from whichloss.study.runs import Run
from whichloss.study.store import Store
from whichloss.study.study import Study, Tune
from whichloss.study.tune import applied, play

LR = {"training.lr": "loguniform(1e-3, 1e-1)"}
ONCE = {"trials": 2, "over": LR, "where": "once", "share": 0.3}
SGD = {"optimizer": "SGD(lr=0.01)", "stages": [{"epochs": 2, "batch": 8}], "device": "cpu"}

OWN = """
import torch
import torch.nn.functional as F
from whichloss.core import Card, MarginLoss, number, text


class Same(MarginLoss):
    card = Card(source="me", equation="(1)", smooth=True, convex=True)

    def formula(self, margin):
        return -F.logsigmoid(margin)


class Turned(MarginLoss):
    turn: float = number(-1.0)  # which learns the opposite

    card = Card(source="me", equation="(2)", smooth=True, convex=True)

    def formula(self, margin):
        return -F.logsigmoid(self.turn * margin)


class Fussy(MarginLoss):
    mood: str = text("good")

    card = Card(source="me", equation="(3)", smooth=True, convex=True)

    def formula(self, margin):
        if self.mood == "cross" or (self.mood == "picky" and len(margin) > 8):
            raise RuntimeError("not in this mood")
        return -F.logsigmoid(margin) * (float("nan") if self.mood == "lost" else 1.0)
"""


# a folder to work in


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("WHICHLOSS_DATA", raising=False)
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    write_data(tmp_path)
    return tmp_path


def write_data(folder: Path, **changes: Any) -> None:
    """40 cases of 20 patients, classes a little apart."""
    labels = np.arange(40) // 2 % 2
    images = np.random.default_rng(0).normal(0.4 * (labels[:, None, None] - 0.5), 1.0, (40, 8, 8))
    write_tiny(folder, cases=40, **{"images": images.astype(np.float32), "labels": labels} | changes)


def tuned(trials: int = 4, over: dict[str, str] | None = None, **others: Any) -> dict[str, Any]:
    return {"trials": trials, "over": over or LR} | others


def run(folder: Path, name: str = "tiny", *arguments: Any, **changes: Any) -> Answer:
    changes = {"design": {"folds": 2, "inner": 0.4}} | changes
    return cli("run", write_study(folder, name, **changes), *arguments, here=folder)


def done(folder: Path, name: str = "tiny", **changes: Any) -> Path:
    """The folder of a study that has been run."""
    answer = run(folder, name, **changes)
    assert answer.code in (0, 1), answer.err
    return folder / "whichloss-runs/studies" / name


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def searches(study: Path) -> dict[tuple[str, ...], list[dict[str, str]]]:
    """(class of the loss, stress, fold, seed) -> its trials in order."""
    found: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in table(study / "tuning.csv"):
        found[spelled(row["loss"]), row["stress"], row["fold"], row["seed"]].append(row)
    for trials in found.values():
        assert [int(trial["trial"]) for trial in trials] == list(range(len(trials)))
    return found


def spelled(loss: str) -> str:
    return parse(loss, Loss).label


def results(study: Path, split: str = "test") -> dict[tuple[str, ...], dict[str, str]]:
    """(class of the loss, stress, fold, seed) -> the row of the primary metric."""
    rows = [row for row in table(study / "results.csv") if row["split"] == split]
    primary = json.loads((study / "verdict.json").read_text())["primary"]
    return {
        (spelled(row["loss"]), row["stress"], row["fold"], row["seed"]): row for row in rows if row["metric"] == primary
    }


def store(folder: Path) -> Store:
    return Store(folder / "whichloss-runs")


def tuned_in(folder: Path, key: str) -> dict[str, Any]:
    """The settings that a run was trained with, as its record has them."""
    record = store(folder).record(key)
    assert record is not None
    return record["spec"]["tuned"]


def line(study: Path) -> str:
    """What the page says of tuning."""
    page = (study / "report.html").read_text()
    [found] = re.findall("<dt>tuning</dt><dd>(.*?)</dd>", page, re.DOTALL)
    return unescape(found.replace("<wbr>", ""))


def tables(study: Path) -> list[bytes]:
    return [(study / name).read_bytes() for name in ("results.csv", "tuning.csv")]


# ranges

MARKS = "abexn019 .,:+-*()[]{}'\"\\#_\n\té\u2028\ud800"  # what a range is made of, and what may spoil one
NUMBERS = st.one_of(st.integers(-int(LARGEST), int(LARGEST)), st.floats(-LARGEST, LARGEST))


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    form = draw(st.sampled_from(["uniform", "loguniform", "integers", "choice"]))
    if form == "choice":
        one = st.one_of(NUMBERS, st.booleans(), st.text(MARKS, max_size=5))
        ends = draw(st.lists(one, min_size=2, max_size=5, unique_by=repr))
    else:
        of = {"integers": st.integers(-int(LARGEST), int(LARGEST)), "loguniform": st.floats(1e-12, LARGEST)}
        ends = sorted(draw(st.lists(of.get(form, NUMBERS), min_size=2, max_size=2, unique_by=float)))
    return Range.parse(f"{form}({', '.join(map(repr, ends))})")


@given(ranges())
@settings(deadline=None)
def test_a_range_reads_back_as_it_is_written(one: Range) -> None:
    again = Range.parse(str(one))
    assert again == one and str(again) == str(one)
    assert Range.parse(f"  {one.form} (  {str(one)[len(one.form) + 1 : -1]} ) \n") == one
    assert Range.parse(one) is one


@given(ranges(), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_whatever_is_drawn_lies_in_the_range(one: Range, seed: int) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=2))
    for number in range(4):
        trial = study.ask({"x": one.distribution()})
        assert one.holds(trial.params["x"])
        assert json.loads(json.dumps(trial.params)) == trial.params
        study.tell(trial, float(number))


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
@given(st.text(MARKS, max_size=30))
@settings(deadline=None)
def test_any_text_is_a_range_or_refused(text: str) -> None:
    for given_text in (text, f"uniform({text})", f"choice({text})", f"integers(1, {text})"):
        try:
            assert Range.parse(str(Range.parse(given_text))) == Range.parse(given_text)
        except ValueError as error:
            assert str(error)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (0.1, "a range is loguniform"),
        (None, "a range is loguniform"),
        ("0.1", "a range is loguniform"),
        ("uniform", "a range is loguniform"),
        ("uniform(0, 1", "a range is loguniform"),
        ("normal(0, 1)", "normal is no range; a range is loguniform"),
        ("uniform()", "uniform(low, high) needs two numbers"),
        ("uniform(1)", "uniform(low, high) needs two numbers"),
        ("uniform(1, 2, 3)", "uniform(low, high) needs two numbers"),
        ("uniform(1, 0)", "the lower first"),
        ("uniform(1, 1)", "the lower first"),
        ("uniform(True, 2)", "needs two numbers"),
        ("uniform('a', 'b')", "needs two numbers"),
        ("uniform(0, 1e999)", "needs two numbers"),
        (f"integers(0, {10**400})", "needs two whole numbers"),
        ("uniform(0, 2j)", "needs two numbers"),
        ("uniform([0], [1])", "needs two numbers"),
        ("uniform(0, x)", "(0, x) holds more than numbers and texts"),
        ("uniform(0, 2 * 3)", "holds more than numbers and texts"),
        ("uniform(0, __import__('os').getpid())", "holds more than numbers and texts"),
        ("uniform(0)(1)", "holds more than numbers and texts"),
        ("loguniform(0, 1)", "needs numbers above 0"),
        ("loguniform(-1, 1)", "needs numbers above 0"),
        ("integers(0.5, 2)", "needs two whole numbers"),
        ("choice(1)", "two or more different"),
        ("choice(1, 1)", "two or more different"),
        ("choice(1e999, 1)", "two or more different"),
        ("choice(None, 1)", "two or more different"),
        ("choice([1], [2])", "two or more different"),
        ("choice(" + "-" * 20000 + "1, 2)", "holds more than numbers and texts"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_range_is_said(text: Any, says: str) -> None:
    with pytest.raises(ValueError) as error:
        Range.parse(text)
    assert says in str(error.value)


def test_numbers_keep_one_form_and_choices_their_own() -> None:
    assert str(Range.parse("uniform(0,1)")) == "uniform(0.0, 1.0)"
    assert str(Range.parse("loguniform( 1e-4 , 1e-1 )")) == "loguniform(0.0001, 0.1)"
    assert str(Range.parse("integers(1,8)")) == "integers(1, 8)"
    assert str(Range.parse('choice(1, 1.5, "a, b", True)')) == "choice(1, 1.5, 'a, b', True)"


def test_a_default_is_told_to_the_sampler_only_where_the_range_holds_it() -> None:
    assert Range.parse("integers(1, 4)").holds(2) and Range.parse("integers(1, 4)").holds(2.0)
    for text, value in [("integers(1, 4)", 2.5), ("integers(0, 1)", True), ("uniform(0, 1)", 2.0),
                        ("uniform(0, 1)", None), ("choice('a', 'b')", 1.0)]:  # fmt: skip
        assert not Range.parse(text).holds(value)


# the same budget


def test_every_search_of_every_loss_has_the_same_number_of_trials(here: Path) -> None:
    losses = ["Logistic()", "SmoothHinge()", "10 * Lorenz()"]
    over = LR | {"SmoothHinge.half_width": "uniform(0.02, 1)"}
    study = done(here, losses=losses, tune=tuned(3, over), design={"folds": 2, "seeds": 2, "inner": 0.4})
    found = searches(study)
    assert set(found) == set(product(["Logistic", "SmoothHinge", "10.0 * Lorenz"], [""], "01", "01"))
    assert {len(trials) for trials in found.values()} == {3}
    assert line(study).startswith("3 trials in each training part, over training.lr: loguniform(0.001, 0.1), Smooth")
    for loss in ("Logistic", "SmoothHinge", "10.0 * Lorenz"):
        assert f"{loss} 12 in 4 searches, 0 failed" in line(study)
    for trials in found.values():
        assert json.loads(trials[0]["settings"]) == {}, "trial 0 is what is published"
        assert all(json.loads(trial["settings"]) for trial in trials[1:])
        assert all(tuned_in(here, trial["run"]) == json.loads(trial["settings"]) for trial in trials)


def test_losses_are_tried_at_the_same_points_until_results_tell_them_apart(here: Path) -> None:
    """Also those that have settings of their own, whichever is written first."""
    over = {"SmoothHinge.half_width": "uniform(0.02, 1)"} | LR | {"network.features": "integers(2, 5)"}
    found = searches(done(here, losses=["Logistic()", "SmoothHinge()"], tune=tuned(6, over)))
    for fold in "01":
        logistic, hinge = ([json.loads(one["settings"]) for one in found[loss, "", fold, "0"]]
                           for loss in ("Logistic", "SmoothHinge"))  # fmt: skip
        widths = [one.pop("SmoothHinge.half_width", None) for one in hinge]
        assert hinge == logistic
        assert widths[0] is None and len(set(widths)) == 6
    assert found["Logistic", "", "0", "0"][1]["settings"] != found["Logistic", "", "1", "0"][1]["settings"]


def test_a_trial_that_fails_is_one_of_the_budget_and_is_not_tried_again(here: Path) -> None:
    name = write_code(here, OWN)
    losses = ["Logistic()", f"{name}:Fussy()"]
    changes = {"losses": losses, "tune": tuned(7, LR | {"Fussy.mood": "choice('good', 'cross', 'lost')"})}
    study = done(here, **changes)
    found = searches(study)
    assert {len(trials) for trials in found.values()} == {7}
    outcomes: Counter[str] = Counter()
    for (loss, *_), trials in found.items():
        for trial in trials:
            mood = json.loads(trial["settings"]).get("Fussy.mood", "good")
            assert trial["outcome"] == {"good": "finished", "cross": "error", "lost": "diverged"}[mood]
            assert bool(trial["inner"]) == (mood == "good")
            outcomes[f"{loss}: {trial['outcome']}"] += 1
        assert [trial["outcome"] for trial in trials if trial["chosen"]] == ["finished"]
    failed = outcomes["Fussy: error"] + outcomes["Fussy: diverged"]
    assert outcomes["Fussy: error"] and outcomes["Fussy: diverged"]
    assert line(study).endswith(f"Logistic 14 in 2 searches, 0 failed; Fussy 14 in 2 searches, {failed} failed")
    before, times = (study / "tuning.csv").read_bytes(), written(here)
    done(here, **changes)
    assert (study / "tuning.csv").read_bytes() == before and written(here) == times


def test_where_the_default_fails_another_is_chosen_and_where_all_fail_the_default_counts(here: Path) -> None:
    """It passes the first look, which is at eight cases."""
    losses = ["Logistic()", write_code(here, OWN) + ":Fussy(mood='picky')"]
    changes = {"losses": losses, "training": TINY["training"] | {"stages": [{"epochs": 1, "batch": 12}]}}
    study = done(here, "mended", **changes, tune=tuned(5, {"Fussy.mood": "choice('good', 'cross')"}))
    for (loss, *_), trials in searches(study).items():
        moods = [json.loads(trial["settings"]).get("Fussy.mood") for trial in trials]
        chosen = [trial["chosen"] for trial in trials].index("yes")
        assert chosen == (moods.index("good") if loss.startswith("Fussy") else 0)
    assert all(row["value"] for row in results(study).values())

    changes["tune"] = tuned(5, {"Fussy.mood": "choice('lost', 'cross')"})
    assert run(here, "lost", **changes).code == 1
    study = here / "whichloss-runs/studies/lost"
    for (loss, *_), trials in searches(study).items():
        assert [trial["chosen"] for trial in trials] == ["yes", "", "", "", ""]
        assert {trial["inner"] == "" for trial in trials} == {loss.startswith("Fussy")}
    assert {row["value"] == "" for row in results(study).values() if "Fussy" in row["loss"]} == {True}
    assert line(study).endswith("10 in 2 searches, 10 failed")
    before = written(here)
    assert run(here, "lost", **changes).code == 1
    assert written(here) == before, "what failed is not tried again under the same search"


# the choice


def test_the_best_trial_on_the_inner_split_is_the_run_that_counts(here: Path) -> None:
    training = {"optimizer": "Adam(lr=1e-5)", "stages": [{"epochs": 3, "batch": 8}], "device": "cpu"}
    study = done(here, training=training, tune=tuned(6), design={"folds": 2, "seeds": 2, "inner": 0.4})
    final, chosen = results(study), set()
    for place, trials in searches(study).items():
        values = []
        for trial in trials:
            kept = store(here).outputs(trial["run"])
            values.append(roc_auc_score(kept["inner_labels"], kept["inner"][:, 0]))
            assert float(trial["inner"]) == pytest.approx(values[-1], abs=1e-12)
        best = int(np.argmax(values))  # the first of equals
        assert [int(trial["trial"]) for trial in trials if trial["chosen"]] == [best]
        kept = store(here).outputs(trials[best]["run"])
        assert final[place]["run"] == trials[best]["run"]
        assert float(final[place]["value"]) == pytest.approx(roc_auc_score(kept["test_labels"], kept["test"][:, 0]))
        chosen.add(best)
    assert len(chosen) > 1, "if all are the default this shows nothing"


def test_the_scores_of_the_test_part_are_not_worked_out_while_trials_run(here: Path) -> None:
    study = done(here, tune=tuned(3))
    for trials in searches(study).values():
        for trial in trials:
            record = store(here).record(trial["run"])
            assert record is not None and record["scores"] == {} and record["inner"]["RocAuc()"]["value"] is not None


def test_absurd_test_labels_and_images_change_no_choice(here: Path) -> None:
    sides = np.where(np.arange(40) % 4 < 2, "train", "test")
    changes = {
        "data": 'Arrays("tiny.npz", target="labels", split="sides")',
        "design": {"split": "given", "inner": 0.5},
        "training": SGD,
        "tune": tuned(6),
    }
    labels = np.arange(40) % 2
    images = np.random.default_rng(3).normal(0.5 * (labels[:, None, None] - 0.5), 1.0, (40, 8, 8)).astype(np.float32)
    asked, values = [], []
    for absurd in (False, True):
        turned = np.where((sides == "test") & absurd, 1 - labels, labels)
        shown = np.where(((sides == "test") & absurd)[:, None, None], -images, images)
        write_data(here, labels=turned, images=shown, sides=sides)
        study = done(here, "absurd" if absurd else "sober", **changes)
        asked.append([{key: row[key] for key in ("loss", "trial", "settings", "inner", "chosen")}
                      for row in table(study / "tuning.csv")])  # fmt: skip
        values.append([row["value"] for row in results(study).values()])
    assert asked[0] == asked[1]
    assert values[0] != values[1]


SCORES = st.lists(st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def base() -> Run:
    study = tiny_study(data="Nodules(cases=24, size=26)")
    return Run(loss=study.baseline, data=study.data[0], digest="", network=study.network[0], design=study.design,
               fold=0, seed=0, training=study.training)  # fmt: skip


@given(scores=SCORES, higher=st.booleans())
@settings(max_examples=40, deadline=None)
def test_of_equals_the_earliest_is_chosen_and_of_failures_none(
    base: Run, scores: list[float | None], higher: bool
) -> None:
    asked: list[Run] = []

    def inner(run: Run) -> float | None:
        asked.append(run)
        return scores[len(asked) - 1]

    tune = Tune.model_validate({"trials": len(scores), "over": LR})
    search = play(base, tune, lambda run: True, inner, higher)
    assert len(search.trials) == len(asked) == len(scores)
    assert [trial.inner for trial in search.trials] == scores
    known = [one for one in scores if one is not None]
    best = (max if higher else min)(known) if known else scores[0]
    assert search.chosen is not None and search.chosen.number == scores.index(best)


def test_settings_that_change_nothing_leave_the_default(here: Path) -> None:
    study = done(here, tune=tuned(4, {"training.clip": "uniform(1e5, 1e6)"}))
    for trials in searches(study).values():
        assert len({trial["inner"] for trial in trials}) == 1
        assert [trial["chosen"] for trial in trials] == ["yes", "", "", ""]


def test_where_lower_is_better_the_lowest_is_chosen(here: Path) -> None:
    depths = np.linspace(-20.0, 180.0, 40).astype(np.float32)
    images = np.random.default_rng(0).normal(0, 0.3, (40, 8, 8)) + np.linspace(-1, 1, 40)[:, None, None]
    write_data(here, images=images.astype(np.float32), depths=depths)
    study = done(
        here,
        losses=["SquaredError()", "AbsoluteError()"],
        baseline="SquaredError()",
        data='Arrays("tiny.npz", target="depths", group="patients", quantity="depth", unit="mm")',
        network="SmallConvNet(width=2, depth=1, features=4, normalize=False)",
        training=SGD,
        primary="MeanAbsoluteError()",
        tune=tuned(5),
    )
    for place, trials in searches(study).items():
        kept = [store(here).outputs(trial["run"]) for trial in trials]
        errors = [mean_absolute_error(one["inner_labels"], one["inner"][:, 0]) for one in kept]
        assert [float(trial["inner"]) for trial in trials] == pytest.approx(errors)
        assert len(set(errors)) == 5
        [chosen] = [int(trial["trial"]) for trial in trials if trial["chosen"]]
        assert chosen == int(np.argmin(errors))
        assert results(study)[place]["run"] == trials[chosen]["run"]


# a sham


@pytest.mark.parametrize(
    ("real", "sham", "over"),
    [
        ("Logistic()", "OWN:Same()", {}),
        ("Dice()", "Tversky(fp=0.5, fn=0.5)", {"network.features": "integers(2, 5)"}),
        ("SmoothHinge(half_width=0.5)", "1 * SmoothHinge(half_width=0.5) + 0.25 * Hinge()", {}),
    ],
    ids=["another class", "another expression", "another loss"],
)
def test_a_sham_has_the_same_trials_and_results_to_the_last_bit(
    here: Path, real: str, sham: str, over: dict[str, str]
) -> None:
    """The third is no sham, and shows that the first two could have failed."""
    losses = [real, sham.replace("OWN", write_code(here, OWN))]
    study = done(here, losses=losses, baseline=real, tune=tuned(4, LR | over))
    kept = defaultdict(list)
    for row in table(study / "tuning.csv"):
        outputs = store(here).outputs(row["run"])
        answers = {name: outputs[name].numpy().tobytes() for name in ("inner", "test")}
        kept[row["loss"]].append((row["fold"], row["settings"], row["inner"], row["chosen"], answers))
    first, second = kept.values()
    assert len(first) == 8 and (first == second) == ("Hinge" not in sham)
    if "Hinge" in sham:
        return
    verdict = json.loads((study / "verdict.json").read_text())
    [comparison] = verdict["comparisons"]
    assert (comparison["decision"], comparison["difference"]) == ("equal", 0)
    assert "equal to within" in verdict["sentences"][0]


# settings reach what they name


@pytest.mark.parametrize(
    ("name", "values", "loss", "written"),
    [
        ("SmoothHinge.half_width", (1.5, 3.0), "SmoothHinge()", lambda v: {"loss": f"SmoothHinge(half_width={v})"}),
        ("SmoothHinge.half_width", (1.5, 3.0), "Logistic() + 0.5 * SmoothHinge()",
         lambda v: {"loss": f"Logistic() + 0.5 * SmoothHinge(half_width={v})"}),
        ("SmoothHinge.half_width", (1.5, 3.0), "Total(SmoothHinge())",
         lambda v: {"loss": f"Total(SmoothHinge(half_width={v}))"}),
        ("SmoothHinge.half_width", (1.5, 3.0), "2 * AdaptiveLog(SmoothHinge() + Hinge()) + SmoothHinge()",
         lambda v: {"loss": f"2 * AdaptiveLog(SmoothHinge(half_width={v}) + Hinge()) + SmoothHinge(half_width={v})"}),
        ("MonaiDiceCE.lambda_ce", (0.25, 4.0), "MonaiDiceCE()", lambda v: {"loss": f"MonaiDiceCE(lambda_ce={v})"}),
        ("training.lr", (0.003, 0.03), "Logistic()", lambda v: {"training": {"optimizer": f"Adam(lr={v})"}}),
        ("training.optimizer.lr", (0.003, 0.03), "Logistic()",
         lambda v: {"training": {"optimizer": f"Adam(lr={v})"}}),
        ("training.weight_decay", (0.5, 5.0), "Logistic()",
         lambda v: {"training": {"optimizer": f"Adam(lr=0.01, weight_decay={v})"}}),
        ("training.optimizer", ("SGD(lr=0.1)", "Adam(lr=0.1)"), "Logistic()",
         lambda v: {"training": {"optimizer": v}}),
        ("training.clip", (0.001, 0.01), "Logistic()", lambda v: {"training": {"clip": v}}),
        ("network.features", (2, 3), "Logistic()",
         lambda v: {"network": f"SmallConvNet(width=2, depth=1, features={v})"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_trial_trains_what_a_study_with_that_value_written_in_it_trains(
    here: Path, name: str, values: tuple[Any, ...], loss: str, written: Callable[[Any], dict[str, Any]]
) -> None:
    data = 'Arrays("tiny.npz", target="labels", group="patients")'
    # a default that is no value of the range, and trials enough to try both values
    changes = {"losses": [loss], "baseline": loss, "data": data}
    study = done(here, **changes, tune=tuned(7, {name: f"choice{values!r}"}))
    tried: dict[Any, set[bytes]] = defaultdict(set)
    for row in table(study / "tuning.csv"):
        if row["fold"] == "0":
            value = json.loads(row["settings"]).get(name, "default")
            tried[value].add(store(here).outputs(row["run"])["test"].numpy().tobytes())
    assert set(tried) == {"default", *values}
    assert len(set.union(*tried.values())) == 3, "each value makes a network of its own"
    for at, value in enumerate(values):
        change = written(value)
        told = change.pop("loss", loss)
        change = {key: TINY[key] | one if key == "training" else one for key, one in change.items()}
        plain = done(here, f"plain{at}", **changes | {"losses": [told], "baseline": told} | change)
        [key] = [row["run"] for row in results(plain).values() if row["fold"] == "0"]
        assert {store(here).outputs(key)["test"].numpy().tobytes()} == tried[value]


def test_a_setting_of_its_own_can_turn_a_loss_round(here: Path) -> None:
    name = write_code(here, OWN)
    labels = np.arange(40) // 2 % 2
    write_data(here, images=(labels[:, None, None] * 2.0 + np.random.default_rng(0).normal(0, 0.1, (40, 8, 8)) - 1))
    training = {"optimizer": "Adam(lr=0.05)", "stages": [{"epochs": 10, "batch": 8}], "device": "cpu"}
    changes = {"losses": ["Logistic()", f"{name}:Turned()"], "training": training}
    plain, turned = done(here, "plain", **changes), done(
        here, "turned", **changes, tune=tuned(4, {"Turned.turn": "choice(-1.0, 1.0)"})
    )  # fmt: skip
    for fold in "01":
        assert float(results(plain)["Turned", "", fold, "0"]["value"]) < 0.1
        assert float(results(turned)["Turned", "", fold, "0"]["value"]) > 0.9
        assert tuned_in(here, results(turned)["Turned", "", fold, "0"]["run"]) == {"Turned.turn": 1.0}
        assert results(turned)["Turned", "", fold, "0"]["loss"] == f"{name}:Turned(turn=-1.0, {COMMON})"


COMMON = "lift='one_versus_rest', per_class='mean', scores='logits', targets='signed', classes='auto'"


@pytest.mark.parametrize(
    ("over", "parts"),
    [
        ({"lr": "uniform(0.1, 1)"}, ["lr: no such setting", "training.lr", "SmoothHinge.half_width"]),
        ({"training": "uniform(0.1, 1)"}, ["training: no such setting"]),
        ({"training.epochs": "integers(1, 2)"}, ["training.epochs", "Adam has no epochs", "lr, weight_decay"]),
        ({"training.lr.low": "uniform(0.1, 1)"}, ["training.lr.low: no such setting"]),
        ({"training.lr": "uniform(-1, 1)"}, ["Adam", "lr is -1.0", "above 0"]),
        ({"training.lr": "choice('a', 'b')"}, ["Adam", "lr is 'a'", "above 0"]),
        ({"training.clip": "uniform(-1, 1)"}, ["training.clip", "greater than 0", "-1.0"]),
        ({"training.precision": "choice('float32', 'float8')"}, ["training.precision", "'bfloat16'", "'float8'"]),
        ({"training.stages": "integers(1, 2)"}, ["training.stages"]),
        ({"training.device": "choice('cpu', 'cuda')"}, ["training.device", "Adam has no device"]),
        ({"network.dropout": "uniform(0, 1)"}, ["network.dropout", "SmallConvNet has no dropout", "width"]),
        ({"network.width": "integers(0, 4)"}, ["SmallConvNet", "width is 0"]),
        ({"network.width": "uniform(1, 4)"}, ["SmallConvNet", "width is 2.7", "whole number"]),
        ({"network.normalize": "choice(0, 1)"}, ["SmallConvNet", "normalize is 0", "True or False"]),
        ({"SmoothHinge": "uniform(0.1, 1)"}, ["SmoothHinge: no such setting"]),
        ({"SmoothHinge.width": "uniform(0.1, 1)"}, ["SmoothHinge has no width", "half_width"]),
        ({"SmoothHinge.half.width": "uniform(0.1, 1)"}, ["SmoothHinge.half.width: no such setting"]),
        ({"SmoothHinge.half_width": "uniform(0, 1)"}, ["SmoothHinge", "half_width is 0.0", "above 0"]),
        ({"SmoothHinge.half_width": "uniform(1, 0)"}, ["tiny.yaml", "tune.over.SmoothHinge.half_width", "lower first"]),
        ({"Tversky.fp": "uniform(0.1, 1)"}, ["Tversky.fp: no such setting"]),
        ({"Dice.smooth": "uniform(0.1, 1)"}, ["Dice.smooth: no such setting"]),  # of a preset, which would not heed it
        ({}, ["tiny.yaml", "tune.over", "at least 1"]),
    ],
    ids=lambda value: next(iter(value.items()), ("", ""))[0] if isinstance(value, dict) else "",
)
def test_a_name_or_a_range_that_means_nothing_costs_one_message(
    here: Path, over: dict[str, str], parts: list[str]
) -> None:
    losses = ["Logistic()", "Hinge() + SmoothHinge()", "MonaiDiceCE()"]
    for arguments in ((), ("--plan",)):
        answer = run(here, "tiny", *arguments, losses=losses, tune=tuned(3, over) | {"over": over})
        assert (answer.code, answer.out) == (2, ""), answer
        assert answer.err.startswith("whichloss: ") and len(answer.err.splitlines()) == 1, answer.err
        assert all(part in answer.err for part in parts), answer.err
        assert not list(here.rglob("record.json"))


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"tune": {"trials": 0, "over": LR}}, ["tune.trials", "1"]),
        ({"tune": {"trials": 3}}, ["tune.over", "missing"]),
        ({"tune": {"trials": 3, "over": LR, "wher": "once"}}, ["tune.wher", "did you mean 'where'?"]),
        ({"tune": tuned(where="twice")}, ["tune.where", "'once'"]),
        ({"tune": tuned(where="once", share=1.0)}, ["tune.share", "less than 1"]),
        ({"tune": tuned(losses="all")}, ["tune.losses", "'baseline'"]),
        ({"tune": tuned(), "protocol": "as_published"}, ["protocol", "tune says otherwise"]),
        ({"protocol": "tuned"}, ["protocol", "tuned needs tune"]),
    ],
)
def test_what_tune_may_say_is_checked(here: Path, changes: dict[str, Any], parts: list[str]) -> None:
    answer = run(here, **changes)
    assert answer.code == 2 and "tiny.yaml" in answer.err and all(part in answer.err for part in parts), answer.err
    assert not list(here.rglob("record.json"))


# once, on patients who are then in no test part


def spelled_out(folder: Path, **changes: Any) -> Prepared:
    return prepare(tiny_study(**{"design": {"folds": 2, "seeds": 2}} | changes), folder / "aside", [folder])


@pytest.mark.parametrize("design", [
    {"folds": 3, "seeds": 3}, {"folds": 3, "seeds": 2, "refold": False}, {"splits": "s.json", "seeds": 2},
])  # fmt: skip
def test_patients_who_are_tuned_on_are_in_no_test_part(here: Path, design: dict[str, Any]) -> None:
    write_splits(here)
    prepared = spelled_out(here, design=design, tune=ONCE)
    [cases] = prepared.data.values()
    tuning = {prepared.tuning.at(one).split(cases).fold.train for one in prepared.runs}
    assert len(tuning) == 1, "the same for every loss, fold and seed"
    patients = {cases.groups[at] for at in tuning.pop()}
    assert len(patients) == 6  # 0.3 of 20
    tested: Counter[tuple[int, str]] = Counter()
    for one in prepared.runs:
        fold = one.split(cases).fold
        assert not patients & {cases.groups[at] for at in fold.test}
        assert patients & {cases.groups[at] for at in fold.train}, "they may be trained on"
        assert not {cases.groups[at] for at in fold.train} & {cases.groups[at] for at in fold.test}
        if one.loss == prepared.study.baseline:
            tested.update((one.seed, cases.ids[at]) for at in fold.test)
    others = [one for at, one in enumerate(cases.ids) if cases.groups[at] not in patients]
    assert tested == Counter(product(range(design["seeds"]), others))


def write_splits(folder: Path) -> None:
    ids = [f"case{at:02}" for at in range(40)]
    parts = [ids[at : at + 8] for at in range(0, 40, 8)]
    splits = [{"train": [one for part in parts if part is not test for one in part], "val": test} for test in parts]
    (folder / "s.json").write_text(json.dumps(splits))


def test_one_search_for_each_loss_and_stress_serves_all_folds_and_seeds(here: Path) -> None:
    study = done(here, tune=ONCE | {"trials": 3}, stress={"label_noise": [0.0, 0.25]},
                 design={"folds": 2, "seeds": 2, "inner": 0.4})  # fmt: skip
    noise = "LabelNoise(share=0.25)"
    found = searches(study)
    assert set(found) == set(product(["Logistic", "Lorenz"], ["", noise], ["-1"], ["0"]))
    assert {len(trials) for trials in found.values()} == {3}
    assert "3 trials once, on patients who are in no test part, over" in line(study)
    assert line(study).endswith("Logistic 6 in 2 searches, 0 failed; Lorenz 6 in 2 searches, 0 failed")
    final = results(study)
    assert set(final) == set(product(["Logistic", "Lorenz"], ["", noise], "01", "01"))
    for (loss, stress, *_), row in final.items():
        [chosen] = [one for one in found[loss, stress, "-1", "0"] if one["chosen"]]
        assert tuned_in(here, row["run"]) == json.loads(chosen["settings"])
        outputs, tried = (store(here).outputs(one["run"]) for one in (row, chosen))
        assert not {at // 2 for at in outputs["test_cases"].tolist()} & {
            at // 2 for at in tried["inner_cases"].tolist()
        }
        assert len(tried["test"]) == len(tried["test_cases"]) == 0


def test_once_with_draws_is_a_draw_of_its_own(here: Path) -> None:
    changes = {"data": "Nodules(cases=24, test_cases=12, size=26)", "design": {"draws": 3, "inner": 0.4}, "tune": ONCE}
    prepared = spelled_out(here, **changes)
    shown = []
    for one in {prepared.tuning.at(one).key: prepared.tuning.at(one) for one in prepared.runs}.values():
        cases = prepared.shelf.of(one)
        fold = one.split(cases).fold
        shown.append(({cases.ids[at] for at in fold.train}, {cases.ids[at] for at in cases_of(cases, "test")}))
        assert fold.test == ()
    (tuning, test), *others = shown
    assert all(one == (tuning, test) for one in others) and len(others) == 1, "one for each loss"
    for one in prepared.runs:
        cases = prepared.shelf.of(one)
        fold = one.split(cases).fold
        assert not tuning & {cases.ids[at] for at in (*fold.train, *fold.test)}
        assert test == {cases.ids[at] for at in fold.test}
    study = done(here, **changes)
    assert set(searches(study)) == {("Logistic", "", "-1", "-1"), ("Lorenz", "", "-1", "-1")}
    assert len(results(study)) == 6


def cases_of(cases: Any, side: str) -> list[int]:
    return [at for at, one in enumerate(cases.sides) if one == side]


def test_once_with_a_given_split_is_its_training_part(here: Path) -> None:
    write_data(here, sides=np.where(np.arange(40) % 4 < 2, "train", "test"), labels=np.arange(40) % 2)
    data = 'Arrays("tiny.npz", target="labels", group="patients", split="sides")'
    changes = {"data": data, "design": {"split": "given", "seeds": 2, "inner": 0.4}, "tune": ONCE}
    prepared = spelled_out(here, **changes)
    for one in prepared.runs:
        cases = prepared.shelf.of(one)
        tuning = prepared.tuning.at(one).split(cases)
        assert tuning.fold.train == one.split(cases).fold.train == tuple(cases_of(cases, "train"))
        assert tuning.fold.test == ()
    study = done(here, **changes)
    assert set(searches(study)) == {("Logistic", "", "-1", "0"), ("Lorenz", "", "-1", "0")}
    assert len(results(study)) == 4


@pytest.mark.parametrize("where", ["each_fold", "once"])
def test_the_baseline_alone_may_be_searched_for_all(here: Path, where: str) -> None:
    losses = ["Lorenz()", "Logistic()", "Hinge() + SmoothHinge()"]
    study = done(here, losses=losses, tune=ONCE | {"losses": "baseline", "where": where, "trials": 5})
    found = searches(study)
    folds = ["-1"] if where == "once" else ["0", "1"]
    assert set(found) == {("Logistic", "", fold, "0") for fold in folds}
    assert {len(trials) for trials in found.values()} == {5}
    spent = "5 in 1 search" if where == "once" else "10 in 2 searches"
    assert line(study).endswith(f"trials spent: Logistic {spent}, 0 failed")
    assert "of the baseline alone, whose settings all losses use" in line(study)
    assert len(results(study)) == 6
    for (_, _, fold, _), row in results(study).items():
        [chosen] = [one for one in found["Logistic", "", fold if where == "each_fold" else "-1", "0"] if one["chosen"]]
        assert tuned_in(here, row["run"]) == json.loads(chosen["settings"])


# interrupted, and gone on with


def written(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("whichloss-runs/runs/??/*/record.json")}


class Interrupting:
    """Executes here, and is interrupted after so many runs; keeps what was computed."""

    def __init__(self, after: int | None = None) -> None:
        self.after = after
        self.computed: list[str] = []

    def __call__(self, work: Work, ended: Callable[[Any], None]) -> None:
        left = self.after

        def hears(one: Any) -> None:
            nonlocal left
            ended(one)
            self.computed.append(one.run.key)
            if left is not None:
                left -= 1
                if left == 0:
                    raise KeyboardInterrupt

        execute_here(work, hears)


NOISY = {"stress": {"label_noise": [0.0, 0.25]}, "losses": ["Logistic()", "SmoothHinge()"]}


@pytest.mark.parametrize("where", ["each_fold", "once"])
def test_a_search_interrupted_anywhere_gives_the_same_tables(
    here: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = LR | {"SmoothHinge.half_width": "uniform(0.02, 1)"}
    changes = NOISY | {"tune": ONCE | {"over": over, "where": where, "trials": 4}}
    whole = Interrupting()
    monkeypatch.setattr("whichloss.study.conduct.execute", whole)
    study = done(here, **changes)
    expected = tables(study)
    for after in (1, 5):
        (here / "whichloss-runs").rename(here / f"before{after}")
        broken = Interrupting(after)
        monkeypatch.setattr("whichloss.study.conduct.execute", broken)
        codes = []
        while not codes or codes[-1] == 130:
            assert len(codes) <= len(whole.computed), "it does not come nearer to its end"
            codes.append(run(here, **changes).code)
        assert codes[-1] == 0 and len(codes) >= len(whole.computed) // after
        assert len(set(broken.computed)) == len(broken.computed), "a run was computed twice"
        assert sorted(broken.computed) == sorted(whole.computed)
        assert tables(study) == expected


def test_a_report_in_the_middle_of_a_search_tells_what_there_is(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whichloss.study.conduct.execute", Interrupting(6))
    assert run(here, tune=tuned(4)).code == 130
    answer = cli("report", here / "tiny.yaml", here=here)
    assert answer.code == 0, answer.err
    study = here / "whichloss-runs/studies/tiny"
    found = searches(study)
    assert [len(trials) for trials in found.values()] == [4, 3, 1, 1]
    assert [[trial["outcome"] for trial in trials].count("not yet") for trials in found.values()] == [0, 1, 1, 1]
    assert [any(trial["chosen"] for trial in trials) for trials in found.values()] == [True, False, False, False]
    assert line(study).endswith("Logistic 4 in 2 searches, 0 failed; Lorenz 2 in 2 searches, 0 failed")
    assert len(results(study)) == 1


def test_a_loss_added_later_computes_its_own_trials_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed = Interrupting()
    monkeypatch.setattr("whichloss.study.conduct.execute", executed)
    done(here, tune=tuned(3))
    assert len(executed.computed) == 12, "what is chosen has been trained already"
    before = written(here)
    study = done(here, tune=tuned(3), losses=["Logistic()", "Lorenz()", "Hinge()"])
    assert len(executed.computed) == 18 and len(set(executed.computed)) == 18
    assert written(here).items() >= before.items()
    assert {len(trials) for trials in searches(study).values()} == {3} and len(searches(study)) == 6


def test_the_default_is_shared_with_a_study_that_is_not_tuned(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed = Interrupting()
    monkeypatch.setattr("whichloss.study.conduct.execute", executed)
    plain = done(here, "plain")
    assert len(executed.computed) == 4
    study = done(here, "tuned", tune=tuned(3))
    assert len(executed.computed) == 12
    firsts = {trials[0]["run"] for trials in searches(study).values()}
    assert firsts == {row["run"] for row in results(plain).values()} == set(executed.computed[:4])
    store_of_its_own = here / "another"
    answer = run(here, "tuned", "--store", store_of_its_own, tune=tuned(3))
    assert answer.code == 0
    again = store_of_its_own / "studies/tuned"
    assert tables(again) == tables(study)
    executed.computed.clear()
    answer = run(here, "plain", "--store", store_of_its_own)  # the other way round: scores of trials are read then
    assert answer.code == 0 and executed.computed == []
    assert (store_of_its_own / "studies/plain/results.csv").read_bytes() == (plain / "results.csv").read_bytes()


@pytest.mark.parametrize(
    ("tune", "lines"),
    [
        (tuned(4), ['"trials": 3', '"trials": 4']),
        (tuned(3, {"training.lr": "loguniform(1e-3, 1)"}), ['"loguniform(0.001, 0.1)"', '"loguniform(0.001, 1.0)"']),
        (tuned(3, where="once"), ['"where": "each_fold"', '"where": "once"']),
        (tuned(3, losses="baseline"), ['"losses": "each"', '"losses": "baseline"']),
        (None, ['"trials": 3', '"tune": null']),
    ],
)
def test_another_search_under_the_same_name_is_refused_with_the_difference(
    here: Path, tune: dict[str, Any] | None, lines: list[str]
) -> None:
    done(here, tune=tuned(3))
    before = written(here)
    answer = run(here, tune=tune)
    assert answer.code == 2 and "another protocol" in answer.err and "--name" in answer.err
    old, new = lines
    assert any(line.lstrip().startswith("-") and old in line for line in answer.err.splitlines()), answer.err
    assert any(line.lstrip().startswith("+") and new in line for line in answer.err.splitlines()), answer.err
    assert written(here) == before
    assert run(here, tune=tuned(3) | {"over": {"training.lr": "loguniform( 0.001, 0.10 )"}}).code == 0


# what tuning is for


def test_without_tuning_a_factor_is_a_learning_rate(here: Path) -> None:
    """Eight times the loss at an eighth of the rate is the same, to the last bit, under plain gradient descent."""
    over = {"training.lr": "choice(0.01, 0.08, 0.64)"}
    losses = ["Logistic()", "8 * Logistic()"]
    study = done(here, losses=losses, training=SGD, tune=tuned(9, over))
    kept: dict[str, dict[float, Any]] = {"Logistic": {}, "8.0 * Logistic": {}}
    for (loss, _, fold, _), trials in searches(study).items():
        for trial in trials if fold == "0" else ():
            rate = json.loads(trial["settings"]).get("training.lr", 0.01)
            kept[loss][rate] = store(here).outputs(trial["run"])["test"]
    once, eight = kept.values()
    assert set(once) == set(eight) == {0.01, 0.08, 0.64}
    assert not torch.equal(once[0.01], eight[0.01])
    assert torch.equal(once[0.08], eight[0.01]) and torch.equal(once[0.64], eight[0.08])


def test_tuning_the_learning_rate_takes_a_factor_away(here: Path) -> None:
    labels = np.linspace(-20.0, 180.0, 40).astype(np.float32)
    images = np.random.default_rng(0).normal(0, 0.1, (40, 8, 8)) + np.linspace(-1, 1, 40)[:, None, None]
    write_data(here, images=images.astype(np.float32), depths=labels)
    losses = ["SquaredError()", "10 * SquaredError()"]
    changes = {
        "losses": losses,
        "baseline": losses[0],
        "data": 'Arrays("tiny.npz", target="depths", group="patients", quantity="depth", unit="mm")',
        "network": "SmallConvNet(width=4, depth=1, features=8, normalize=False)",
        "training": {"optimizer": "SGD(lr=0.0001)", "stages": [{"epochs": 12, "batch": 4}], "device": "cpu"},
        "primary": "MeanAbsoluteError()",
    }
    plain, study = done(here, "plain", **changes), done(
        here, "tuned", **changes, tune=tuned(9, {"training.lr": "choice(0.001, 0.01, 0.1)"})
    )  # fmt: skip
    for fold in "01":
        before, after = ([float(results(one)[spelled(loss), "", fold, "0"]["value"]) for loss in losses]
                         for one in (plain, study))  # fmt: skip
        assert before[0] > 1.1 * before[1], "ten times the loss has come farther"
        assert after[0] == pytest.approx(after[1], rel=0.01)
        rates = [tuned_in(here, results(study)[spelled(loss), "", fold, "0"]["run"])["training.lr"] for loss in losses]
        assert rates == [0.01, 0.001]


# the whole, with worker processes


def test_worker_processes_give_what_this_process_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WHICHLOSS_DATA", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_data(tmp_path)
    over = {"SmoothHinge.half_width": "uniform(0.02, 1)", "network.features": "integers(2, 5)"}
    losses = ["Logistic()", "SmoothHinge()"]
    study = write_study(tmp_path, losses=losses, design={"folds": 2, "inner": 0.4}, tune=tuned(3, over))
    assert cli("run", study, "--workers", "2", here=tmp_path).code == 0
    theirs = tmp_path / "whichloss-runs/studies/tiny"
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    assert cli("run", study, "--store", tmp_path / "here", here=tmp_path).code == 0
    ours = tmp_path / "here/studies/tiny"
    assert tables(theirs) == tables(ours)


def test_applied_settings_leave_the_run_that_they_were_tuned_for(base: Run) -> None:
    run = replace(base, tuned=(("network.features", 3), ("training.clip", 0.5), ("training.lr", 0.5)))
    trained = applied(run)
    assert (trained.training.optimizer.lr, trained.training.clip) == (0.5, 0.5)  # type: ignore[attr-defined]
    assert trained.network.label == "SmallConvNet(width=2, depth=1, features=3)"
    assert run.key != base.key and run.training == base.training and run.network == base.network
    for name in ("folds", "inner", "weights", "order"):
        assert trained.stream(name) == base.stream(name), "the same folds, and what chance decides, for all trials"


def test_a_study_says_whether_it_is_tuned() -> None:
    assert tiny_study(tune=tuned(), protocol="tuned").reserved == 0
    assert tiny_study(tune=ONCE).reserved == 0.3
    assert isinstance(tiny_study(protocol="as_published"), Study)
