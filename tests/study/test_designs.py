"""Who is trained on and who is tested: drawn folds, given ones, one given split, independent training sets."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from small_studies import TINY, Answer, cli, execute_here, tiny, tiny_study, write_study, write_tiny
from whichloss.core import UserError
from whichloss.data import Cases
from whichloss.data.nodules import Nodules
from whichloss.study.conduct import Prepared, as_yaml, prepare
from whichloss.study.read import read_study
from whichloss.study.runs import TUNING
from whichloss.study.store import Store
from whichloss.study.study import Study

DRAWN = {"data": "Nodules(cases=24, test_cases=14, size=26)", "design": {"draws": 3, "inner": 0.25}}
GIVEN = {
    "data": 'Arrays("tiny.npz", target="labels", group="patients", id="ids", split="sides")',
    "design": {"split": "given", "seeds": 3, "inner": 0.25},
}
SIDES = np.where(np.arange(24) < 16, "train", "test")


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
    write_tiny(tmp_path, sides=SIDES)
    return tmp_path


def run(folder: Path, name: str = "tiny", *arguments: Any, **changes: Any) -> Answer:
    return cli("run", write_study(folder, name, **changes), *arguments, here=folder)


def done(folder: Path, name: str = "tiny", **changes: Any) -> Path:
    """The folder of a study that has been run."""
    answer = run(folder, name, **changes)
    assert answer.code == 0, answer.err
    return folder / "whichloss-runs/studies" / name


def refused(folder: Path, *parts: str, **changes: Any) -> None:
    for arguments in ((), ("--plan",)):
        answer = run(folder, "tiny", *arguments, **changes)
        assert (answer.code, answer.out) == (2, ""), answer
        assert answer.err.startswith("whichloss: ") and answer.err.count("whichloss: ") == 1, answer.err
        assert all(part in answer.err for part in parts), answer.err
        assert not computed(folder)


def rows(study: Path) -> list[dict[str, str]]:
    with (study / "results.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == "test"]


def verdict(study: Path) -> dict[str, Any]:
    return json.loads((study / "verdict.json").read_text())


def gains(study: Path) -> dict[tuple[str, str], float]:
    """(seed, fold) -> the second loss minus the baseline."""
    values: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in rows(study):
        values[row["seed"], row["fold"]][row["loss"].partition("(")[0]] = float(row["value"])
    return {place: one["Lorenz"] - one["Logistic"] for place, one in values.items()}


def computed(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("whichloss-runs/runs/??/*/record.json")}


def outputs(folder: Path, key: str) -> dict[str, torch.Tensor]:
    return Store(folder / "whichloss-runs").outputs(key)


def spelled_out(folder: Path, **changes: Any) -> Prepared:
    return prepare(tiny_study(**changes), folder / "aside", [folder])


def parts(prepared: Prepared) -> dict[tuple[int, int], tuple[set[str], set[str]]]:
    """(seed, fold) -> ids trained on, and ids tested on; the same for all losses."""
    found: dict[tuple[int, int], tuple[set[str], set[str]]] = {}
    for one in prepared.runs:
        cases = prepared.shelf.of(one)
        fold = one.split(cases).fold
        sides = {cases.ids[at] for at in fold.train}, {cases.ids[at] for at in fold.test}
        assert found.setdefault((one.seed, one.fold), sides) == sides
    return found


# independent draws


def test_draws_share_no_training_case_and_all_of_one_test_set(here: Path) -> None:
    found = parts(spelled_out(here, **DRAWN | {"design": {"draws": 6}}))
    assert set(found) == {(draw, 0) for draw in range(6)}
    trains, tests = zip(*found.values(), strict=True)
    assert all(not first & second for first, second in combinations(trains, 2))
    assert {len(train) for train in trains} == {24}
    assert all(test == tests[0] for test in tests) and len(tests[0]) == 14
    assert not tests[0] & set.union(*trains)


def test_draws_show_other_images_and_one_set_of_test_images(here: Path) -> None:
    data = Nodules(cases=24, test_cases=14, size=26)
    draws = [data.load_draw(number) for number in range(4)] + [replace(data, seed=1).load_draw(0), data.load()]
    images = [one.images[:24] for one in draws]
    assert not any(torch.equal(first, second) for first, second in combinations(images, 2))
    everything = torch.cat(images).flatten(1)
    assert len(everything.unique(dim=0)) == len(everything)
    tests = [one.images[24:] for one in draws[:4]]
    assert all(torch.equal(tests[0], one) for one in tests) and len(tests[0]) == 14
    assert not torch.equal(tests[0], draws[4].images[24:])
    assert draws[1].ids == data.load_draw(1).ids and torch.equal(draws[1].images, data.load_draw(1).images)


def test_each_draw_is_one_pair_of_the_verdict(here: Path) -> None:
    study = done(here, **DRAWN | {"design": {"draws": 4, "inner": 0.25}})
    found, judged = gains(study), verdict(study)
    assert set(found) == {(str(draw), "0") for draw in range(4)}
    assert {(row["n_train"], row["n_test"]) for row in rows(study)} == {("24", "14")}
    [comparison] = judged["comparisons"]
    assert (judged["design"]["kind"], judged["design"]["df"], comparison["df"]) == ("draws", 3, 3)
    values = np.array(list(found.values()))
    error = values.std(ddof=1) / 2
    reach = student.ppf(0.975, 3) * error
    numbers = [comparison[key] for key in ("difference", "standard_error", "low", "high")]
    assert numbers == pytest.approx([values.mean(), error, values.mean() - reach, values.mean() + reach])
    assert error > 0 and "4 draws (3 degrees of freedom)" in " ".join(judged["warnings"])
    assert "4 independent training sets, one test set for all" in (study / "report.html").read_text().replace(
        "<wbr>", ""
    )


def test_a_draw_added_later_computes_its_own_runs_alone(here: Path) -> None:
    study = done(here, **DRAWN)
    before, kept = computed(here), {row["run"]: row["value"] for row in rows(study)}
    assert len(before) == 6
    done(here, **DRAWN | {"design": {"draws": 5, "inner": 0.25}})
    assert len(computed(here)) == 10 and computed(here).items() >= before.items()
    assert {row["run"]: row["value"] for row in rows(study)}.items() >= kept.items()
    assert verdict(study)["comparisons"][0]["df"] == 4


def test_a_single_draw_decides_nothing(here: Path) -> None:
    judged = verdict(done(here, **DRAWN | {"design": {"draws": 1, "inner": 0.25}}))
    [comparison] = judged["comparisons"]
    assert (comparison["df"], comparison["decision"], comparison["low"]) == (0, "undecided", None)


def test_many_draws_do_not_all_stay_in_memory(here: Path) -> None:
    """And what has been forgotten comes back the same."""
    prepared = spelled_out(here, **DRAWN | {"design": {"draws": 7}})
    first = {one.seed: prepared.shelf.of(one) for one in prepared.runs}
    again = prepared.shelf.of(prepared.runs[0])
    assert again is not first[0] and again.digest == first[0].digest
    assert prepared.shelf.of(prepared.runs[0]) is again


# a split that the data bring


def test_a_given_split_is_kept_and_seeds_alone_vary(here: Path) -> None:
    found = parts(spelled_out(here, **GIVEN))
    assert set(found) == {(seed, 0) for seed in range(3)}
    for train, test in found.values():
        assert train == {f"case{at:02}" for at in range(16)} and test == {f"case{at:02}" for at in range(16, 24)}
    study = done(here, **GIVEN)
    assert {(row["n_train"], row["n_test"]) for row in rows(study)} == {("8", "4")}
    kept = [outputs(here, row["run"]) for row in rows(study) if row["loss"].startswith("Logistic")]
    assert len({one["test"].numpy().tobytes() for one in kept}) == 3, "a seed means other weights and another order"
    assert len({tuple(one["inner_cases"].tolist()) for one in kept}) > 1
    judged, values = verdict(study), np.array(list(gains(study).values()))
    [comparison] = judged["comparisons"]
    assert (judged["design"]["kind"], comparison["df"]) == ("given", 2)
    assert comparison["standard_error"] == pytest.approx(values.std(ddof=1) / 3**0.5)
    assert judged["sentences"][0].rstrip(".").endswith("on this split")
    assert "the one split that the data bring" in (study / "report.html").read_text().replace("<wbr>", "")


def test_a_side_that_moves_is_another_data_set(here: Path) -> None:
    done(here, **GIVEN)
    moved = SIDES.copy()
    moved[14:16] = "test"
    write_tiny(here, sides=moved)
    study = done(here, "moved", **GIVEN)
    assert len(computed(here)) == 12 and {(row["n_train"], row["n_test"]) for row in rows(study)} == {("7", "5")}


@pytest.mark.parametrize(
    ("sides", "says"),
    [
        (np.where(np.arange(24) < 15, "train", "test"), ["group leak: 'P07'", "'case14' trains", "'case15' tests"]),
        (np.where(np.arange(24) < 16, "train", "val"), ["sides hold ['val']", "'train' or 'test'"]),
        (np.full(24, "train"), ["ROC AUC", "0 cases"]),
        (np.full(24, "test"), ["training part has 0 group"]),
        (
            np.where(np.arange(24) < 22, "train", "test"),
            ["ROC AUC is not defined on the test part", "class is missing"],
        ),
        (None, ["no array 'sides'", "patients"]),
    ],
    ids=["leak", "another word", "no test", "no training", "one class", "no array"],
)
def test_a_split_that_cannot_be_used_is_refused(here: Path, sides: Any, says: list[str]) -> None:
    write_tiny(here, sides=sides)
    refused(here, *says, **GIVEN)


# what cannot be


def test_data_that_bring_no_split_are_refused(here: Path) -> None:
    refused(here, "Arrays", "brings no split", "design.split: given", design=GIVEN["design"])
    refused(
        here, "Nodules(cases=24, size=26)", "brings no split", data="Nodules(cases=24, size=26)", design=GIVEN["design"]
    )


def test_data_that_cannot_make_new_cases_are_refused(here: Path) -> None:
    refused(here, "Arrays(", "design.draws needs a generator", design={"draws": 3})


@pytest.mark.parametrize(
    "design",
    [{}, *({**first, **second} for first, second in combinations(
        [{"folds": 2}, {"splits": "s.json"}, {"split": "given"}, {"draws": 2}], 2))],
    ids=str,
)  # fmt: skip
def test_one_design_and_no_other(here: Path, design: dict[str, Any]) -> None:
    refused(here, "tiny.yaml", "design", "folds: k, splits: FILE, split: given, draws: n", design=design)


@pytest.mark.parametrize(
    ("design", "says"),
    [
        ({"draws": 3, "seeds": 2}, ["leave out seeds"]),
        ({"draws": 0}, ["design.draws", "1"]),
        ({"folds": 2, "seeds": 0}, ["design.seeds", "1"]),
        ({"split": "mine"}, ["design.split", "'given'", "'mine'"]),
        ({"folds": 2, "select": "best"}, ["design.select", "'last' or 'primary'", "'best'"]),
        ({"folds": 2, "refold": "perhaps"}, ["design.refold", "'perhaps'"]),
        ({"folds": 2, "by": "case"}, ["design.by", "'group'"]),
        ({"folds": True}, ["design.folds", "true is not a number"]),
        ({"folds": 2, "inner": 1.0}, ["design.inner", "less than 1"]),
        ({"splits": "nowhere.json"}, ["nowhere.json"]),
    ],
    ids=str,
)
def test_what_a_design_may_say_is_checked(here: Path, design: dict[str, Any], says: list[str]) -> None:
    refused(here, *says, design=design)


@pytest.mark.parametrize(
    ("changes", "there"),
    [({"design": {"folds": 2}}, "there are 2"), (GIVEN, "there are 1"), (DRAWN, "there are 1"),
     ({"design": {"splits": "s.json"}}, "there are 3")],
    ids=["folds", "given", "draws", "splits"],
)  # fmt: skip
def test_a_fold_that_does_not_exist_is_an_error(here: Path, changes: dict[str, Any], there: str) -> None:
    write_splits(here)
    prepared = spelled_out(here, **changes)
    one = prepared.runs[0]
    cases = prepared.shelf.of(one)
    assert one.split(cases).fold.test
    with pytest.raises(UserError, match=f"fold 7 does not exist: {there}"):
        replace(one, fold=7).split(cases)
    with pytest.raises(UserError, match="fold -2 does not exist"):
        replace(one, fold=-2).split(cases)


def test_there_is_no_fold_to_tune_on_where_nobody_was_set_aside(here: Path) -> None:
    prepared = spelled_out(here)
    [cases] = prepared.data.values()
    with pytest.raises(UserError):
        replace(prepared.runs[0], fold=TUNING).split(cases)


# folds


def write_splits(folder: Path) -> None:
    ids = [f"case{at:02}" for at in range(24)]
    tests = [ids[:8], ids[8:16], ids[16:]]
    splits = [{"train": [one for one in ids if one not in test], "val": test} for test in tests]
    (folder / "s.json").write_text(json.dumps(splits))


def test_folds_are_drawn_anew_for_each_seed_or_once_for_all(here: Path) -> None:
    drawn = {
        refold: parts(spelled_out(here, design={"folds": 3, "seeds": 3, "refold": refold})) for refold in (True, False)
    }
    for found in drawn.values():
        for seed in range(3):
            tests = [found[seed, fold][1] for fold in range(3)]
            assert sum(map(len, tests)) == 24 and len(set.union(*tests)) == 24, "each case is tested once a seed"
            assert all(train == set.union(*tests) - test for (train, test) in (found[seed, fold] for fold in range(3)))
    assert [drawn[False][seed, fold] for seed, fold in product((1, 2), range(3))] == [
        drawn[False][0, fold] for fold in range(3)
    ] * 2
    assert (
        len({json.dumps(sorted(map(sorted, (drawn[True][seed, fold][1] for fold in range(3))))) for seed in range(3)})
        == 3
    )


def test_seeds_of_one_draw_of_folds_differ_in_everything_else(here: Path) -> None:
    study = done(here, design={"folds": 2, "seeds": 3, "refold": False, "inner": 0.25})
    kept = [outputs(here, row["run"]) for row in rows(study) if row["fold"] == "0" and "Logistic" in row["loss"]]
    assert len(kept) == 3 and len({tuple(one["test_cases"].tolist()) for one in kept}) == 1
    assert len({one["test"].numpy().tobytes() for one in kept}) == 3
    assert len({tuple(one["inner_cases"].tolist()) for one in kept}) > 1
    judged, found = verdict(study), gains(study)
    [comparison] = judged["comparisons"]
    assert (judged["design"]["kind"], comparison["df"]) == ("fixed", 1)
    means = np.array([np.mean([found[seed, fold] for seed in "012"]) for fold in "01"])
    assert comparison["standard_error"] == pytest.approx((means.var(ddof=1) * (1 / 2 + 6 / 6)) ** 0.5)
    words = (study / "report.html").read_text().replace("<wbr>", "")
    assert "2 folds, the same for all seeds" in words


def test_folds_of_a_file_are_those_of_the_file(here: Path) -> None:
    write_splits(here)
    found = parts(spelled_out(here, design={"splits": "s.json", "seeds": 2}))
    entries = json.loads((here / "s.json").read_text())
    assert found == {
        (seed, fold): (set(entries[fold]["train"]), set(entries[fold]["val"]))
        for seed, fold in product((0, 1), range(3))
    }


# which epoch counts


def keys(folder: Path, **changes: Any) -> set[str]:
    return {one.key for one in spelled_out(folder, **changes).runs}


def test_a_metric_that_chooses_the_epoch_is_in_the_key_and_one_that_only_judges_is_not(here: Path) -> None:
    last = {"folds": 2, "inner": 0.25}
    best = last | {"select": "primary"}
    assert keys(here, design=last) == keys(here, design=last | {"select": "last"}) == keys(here, primary="Accuracy()")
    by_auc, by_accuracy = keys(here, design=best), keys(here, design=best, primary="Accuracy()")
    assert not keys(here, design=last) & by_auc and not by_auc & by_accuracy
    assert keys(here, design=best, secondary=["Accuracy()"]) == by_auc
    specs = [one.spec["design"] for one in spelled_out(here, design=best).runs]
    assert all(one["best_by"] == "RocAuc()" for one in specs)
    assert all("best_by" not in one.spec["design"] for one in spelled_out(here, design=last).runs)


def test_the_epoch_that_was_best_on_the_inner_split_is_the_one_that_is_tested(here: Path) -> None:
    training = TINY["training"] | {"optimizer": "Adam(lr=0.05)", "stages": [{"epochs": 6, "batch": 8}]}
    write_tiny(here, cases=40)
    last = done(here, "last", training=training, design={"folds": 2, "seeds": 2, "inner": 0.4})
    best = done(here, "best", training=training, design={"folds": 2, "seeds": 2, "inner": 0.4, "select": "primary"})
    store, moved = Store(here / "whichloss-runs"), 0
    for one, other in zip(rows(last), rows(best), strict=True):
        first, second = (store.record(row["run"]) for row in (one, other))
        assert first is not None and second is not None and first["curve"] == second["curve"]
        curve = [epoch["inner"] for epoch in second["curve"]]
        assert second["best_epoch"] == 1 + int(np.argmax(curve))
        assert second["inner"]["RocAuc()"]["value"] == pytest.approx(max(curve))
        assert first["inner"]["RocAuc()"]["value"] == pytest.approx(curve[-1])
        moved += second["best_epoch"] < 6
        assert torch.equal(store.outputs(one["run"])["test"], store.outputs(other["run"])["test"]) == (
            second["best_epoch"] == 6
        )
    assert moved


# a protocol under its name


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"design": {"folds": 2}}, {"design": {"folds": 2, "refold": False}}),
        ({"design": {"folds": 2}}, {"design": {"folds": 2, "select": "primary"}}),
        (GIVEN, GIVEN | {"design": {"folds": 2}}),
        (DRAWN, DRAWN | {"design": {"folds": 2}}),
    ],
    ids=["refold", "select", "split", "draws"],
)
def test_another_design_under_the_same_name_is_refused(here: Path, first: Any, second: Any) -> None:
    done(here, **first)
    before = computed(here)
    answer = run(here, **second)
    assert answer.code == 2 and "another protocol" in answer.err and "--name" in answer.err
    assert computed(here) == before


# the study as it is written back

WHOLE: list[dict[str, Any]] = [
    {},
    {"design": {"folds": 3, "refold": False, "seeds": 4, "inner": 0.3, "select": "primary", "by": "group"}},
    {"design": {"splits": "folds.json", "seeds": 2}},
    {"design": {"split": "given", "seeds": 2}},
    {"design": {"draws": 5}},
    {"tune": {"trials": 8, "over": {"training.lr": "loguniform(1e-4,1e-1)", "network.width": "integers(1,4)",
                                    "Lorenz.classes": "choice('auto', 'exclusive')",
                                    "training.clip": "uniform(0,1.5)"}}},
    {"tune": {"trials": 2, "over": {"training.lr": "choice(1, 2.5)"}, "where": "once", "share": 0.5,
              "losses": "baseline"}, "protocol": "tuned"},
    {"protocol": "as_published"},
    {"stress": {"label_noise": [0.0, 0.2, "LabelNoise(share=0.3)"]}},
    {"stress": {"label_noise": 0.2}},
    {"stress": {"imbalance": [None, 0.05, "Imbalance(share=0.1, rare='a: b')"], "size": [1, 0.25], "cross": True},
     "cell": {"imbalance": None, "size": 0.25}},
    {"stress": {"shift": [0.0, "TestShift(noise=0.1, blur=1)"]}, "cell": {"shift": "TestShift(noise=0.1, blur=1)"}},
    {"stress": {"class_noise": ["ClassNoise(share=0.1, source='1', target='0')"]}},
    {"stress": {"boundary_noise": [0, 1], "missed_lesions": [0.0, 0.5]}, "cell": {"boundary_noise": 1}},
    {"stress": {"label_noise": [0.0, 0.2]}, "cell": {"label_noise": 0.0}},
    {"stress": {}, "cell": {}},
    {"stress": {"cross": True}},
    {"cell": {"data": TINY["data"], "network": TINY["network"]}},
    {"training": TINY["training"] | {"clip": 0.5, "schedule": "cosine", "precision": "bfloat16",
                                     "layers": {"match": "body.*", "rate": 0.1}}},
]  # fmt: skip


def written_back(folder: Path, study: Study) -> Study:
    (folder / "study.yaml").write_text(as_yaml(study), encoding="utf-8")
    return read_study(folder / "study.yaml")


@pytest.mark.parametrize("changes", WHOLE, ids=str)
def test_a_study_reads_back_as_it_was_written(tmp_path: Path, changes: dict[str, Any]) -> None:
    study = read_study(write_study(tmp_path, **changes))
    again = written_back(tmp_path, study)
    assert again == study and hash(again) == hash(study) and as_yaml(again) == as_yaml(study)
    assert again.fixed() == study.fixed() and again.stress.levels == study.stress.levels
    assert again.decides == study.decides


def test_what_the_store_keeps_is_the_study_that_was_run(here: Path) -> None:
    changes = {
        "stress": {"label_noise": [0.0, 0.2], "imbalance": [None, 0.3]},
        "cell": {"label_noise": 0.2},
        "tune": {"trials": 2, "over": {"training.lr": "loguniform(1e-3, 1e-1)"}, "where": "once", "share": 0.4},
        "design": {"folds": 2, "refold": False, "select": "primary"},
    }
    study = done(here, **changes)
    again = read_study(study / "study.yaml", name="tiny")
    assert again == read_study(here / "tiny.yaml") == tiny_study(**changes)
    before = computed(here)
    assert cli("run", study / "study.yaml", "--data-root", here, here=here).code == 0, "and it can be run as it is"
    assert computed(here) == before


SHARES = st.floats(0.01, 0.99)
OVER = st.dictionaries(
    st.sampled_from(["training.lr", "training.clip", "network.width", "Lorenz.x", "a b: c"]),
    st.sampled_from(["uniform(0, 1)", "loguniform(1e-9, 2)", "integers(-3, 3)", "choice(True, 'a, b', 1, 1.0, ': #')"]),
    min_size=1,
)
STRESS = st.fixed_dictionaries(
    {},
    optional={
        "label_noise": st.lists(SHARES, min_size=1, max_size=3),
        "size": SHARES,
        "imbalance": st.lists(st.one_of(st.none(), SHARES), min_size=1, max_size=3),
        "shift": st.builds("TestShift(blur={0!r}, contrast={0!r})".format, SHARES),
        "cross": st.booleans(),
    },
)
DESIGN = st.one_of(
    st.fixed_dictionaries({"folds": st.integers(2, 9)}, optional={"refold": st.booleans(), "seeds": st.integers(1, 9)}),
    st.fixed_dictionaries({"draws": st.integers(1, 9)}, optional={"inner": SHARES}),
    st.fixed_dictionaries({"split": st.just("given")}, optional={"select": st.sampled_from(["last", "primary"])}),
)
TUNE = st.fixed_dictionaries(
    {"trials": st.integers(1, 99), "over": OVER},
    optional={
        "share": SHARES,
        "where": st.sampled_from(["once", "each_fold"]),
        "losses": st.sampled_from(["each", "baseline"]),
    },
)


@given(design=DESIGN, tune=st.none() | TUNE, stress=STRESS, at=st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_any_study_reads_back_as_it_was_written(
    tmp_path_factory: Any, design: Any, tune: Any, stress: Any, at: int
) -> None:
    study = Study(name="tiny", **tiny(design=design, tune=tune, stress=stress))
    levels = study.stress.levels
    cell = {"stress": [repr(one) for one in levels[at % len(levels)]]}
    study = Study(name="study", **tiny(design=design, tune=tune, stress=stress, cell=cell))
    again = written_back(tmp_path_factory.getbasetemp(), study)
    assert again == study and again.decides == study.decides and again.stress.levels == study.stress.levels


def test_the_sides_of_cases_are_part_of_what_they_are(here: Path) -> None:
    cases: Cases = spelled_out(here, **GIVEN).data[tiny_study(**GIVEN).data[0]]
    assert cases.sides == tuple(SIDES)
    assert replace(cases, sides=()).digest != cases.digest
    assert replace(cases, sides=("test", *cases.sides[1:])).digest != cases.digest
    assert cases.subset([0, 20]).sides == ("train", "test")
