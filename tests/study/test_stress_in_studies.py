"""A stress does what it says, to the training part or to the images that are tested, and alike for every loss."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from small_studies import TINY, Answer, cli, execute_here, write_study, write_tiny
from whichloss.data import Cases
from whichloss.study.runs import Run, Split
from whichloss.study.store import Store

LOSSES = ("Logistic", "Lorenz")
NOISE = "LabelNoise(share={})"
CASES = 40


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
    write_tiny(tmp_path, cases=CASES)
    return tmp_path


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Cases, Split]]:
    """What the training loop is given: key of the run -> its cases and its split."""
    from whichloss.study.train import train

    seen: dict[str, tuple[Cases, Split]] = {}

    def watched(run: Run, cases: Cases, split: Split, *rest: Any, **more: Any) -> Any:
        seen[run.key] = cases, split
        return train(run, cases, split, *rest, **more)

    monkeypatch.setattr("whichloss.study.worker.train", watched)
    return seen


def run(folder: Path, name: str = "tiny", *arguments: Any, **changes: Any) -> Answer:
    return cli("run", write_study(folder, name, **changes), *arguments, here=folder)


def done(folder: Path, name: str = "tiny", **changes: Any) -> Path:
    """The folder of a study that has been run."""
    answer = run(folder, name, **changes)
    assert answer.code == 0, answer.err
    return folder / "whichloss-runs/studies" / name


def rows(study: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """(class of the loss, stress, fold, seed) -> the row of the primary metric on the test part."""
    with (study / "results.csv").open(newline="") as file:
        table = [row for row in csv.DictReader(file) if row["split"] == "test"]
    primary = json.loads((study / "verdict.json").read_text())["primary"]
    return {
        (row["loss"].partition("(")[0], row["stress"], row["fold"], row["seed"]): row
        for row in table
        if row["metric"] == primary
    }


def stresses(study: Path) -> set[str]:
    return {stress for _, stress, _, _ in rows(study)}


def record(folder: Path, key: str) -> dict[str, Any]:
    found = Store(folder / "whichloss-runs").record(key)
    assert found is not None
    return found


def outputs(folder: Path, key: str) -> dict[str, Tensor]:
    return Store(folder / "whichloss-runs").outputs(key)


def computed(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("whichloss-runs/runs/??/*/record.json")}


TRUTH = np.arange(CASES) // 2 % 2  # as write_tiny has it
IDS = [f"case{at:02}" for at in range(CASES)]


# labels


def test_exactly_the_stated_share_of_training_labels_is_flipped_and_no_test_label(
    here: Path, shown: dict[str, tuple[Cases, Split]]
) -> None:
    levels = [0.0, 0.15, 0.3]
    design = {"folds": 2, "seeds": 2, "inner": 0.25}
    study = done(here, stress={"label_noise": levels}, design=design)
    found = rows(study)
    assert set(found) == set(product(LOSSES, ["", NOISE.format(0.15), NOISE.format(0.3)], "01", "01"))
    flips: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for (_, stress, fold, seed), row in found.items():
        cases, split = shown[row["run"]]
        train, test = set(split.fold.train), set(split.fold.test)
        assert set(split.fit) | set(split.inner) == train and not train & test
        wrong = {at for at in range(CASES) if cases.labels[at] != TRUTH[at]}
        share = float(stress[len("LabelNoise(share=") : -1]) if stress else 0.0
        assert len(wrong) == round(share * len(train)) and wrong <= train
        told = record(here, row["run"])["stress"]
        if stress:
            assert sorted(told["flipped"]) == sorted([IDS[at], int(TRUTH[at]), int(1 - TRUTH[at])] for at in wrong)
        else:
            assert told == {}
        kept = outputs(here, row["run"])
        assert kept["test_labels"].tolist() == TRUTH[kept["test_cases"]].tolist()
        inner = kept["inner_cases"].tolist()
        assert {at for at, one in zip(inner, kept["inner_labels"].tolist(), strict=True) if one != TRUTH[at]} == (
            wrong & set(inner)
        )
        flips[stress, fold, seed].add(json.dumps(told, sort_keys=True))
    assert all(len(told) == 1 for told in flips.values()), "the same cases for every loss"
    noisy = [told for (stress, *_), several in flips.items() for told in several if stress]
    assert len(set(noisy)) == 8, "others for every level, fold and seed"
    low, high = (
        {one[0] for one in json.loads(*flips[NOISE.format(share), "0", "0"])["flipped"]} for share in levels[1:]
    )
    assert low < high, "what a low level flips, a high one flips too"
    inner_too = [row for (_, stress, *_), row in found.items() if stress and noise_inside(here, row["run"])]
    assert inner_too, "nobody has clean labels to choose by"


def noise_inside(folder: Path, key: str) -> bool:
    kept = outputs(folder, key)
    return kept["inner_labels"].tolist() != TRUTH[kept["inner_cases"]].tolist()


def test_the_same_split_of_the_same_cases_at_every_level(here: Path, shown: dict[str, tuple[Cases, Split]]) -> None:
    study = done(here, stress={"label_noise": [0.0, 0.4]})
    splits = defaultdict(set)
    for (_, _, fold, _), row in rows(study).items():
        _, split = shown[row["run"]]
        splits[fold].add((split.fit, split.inner, split.fold))
    assert [len(one) for one in splits.values()] == [1, 1]


def test_clean_runs_do_not_know_whether_the_study_has_noise_too(here: Path) -> None:
    done(here)
    plain = {path.parent.name: path.read_bytes() for path in here.glob("whichloss-runs/runs/??/*/outputs.safetensors")}
    assert len(plain) == 4
    study = done(here, "noisy", stress={"label_noise": [0.0, 0.3], "shift": [0.0, 0.5]})
    assert {row["run"] for (_, stress, *_), row in rows(study).items() if not stress} == set(plain)
    (here / "whichloss-runs").rename(here / "first")
    done(here, "noisy", stress={"label_noise": [0.0, 0.3], "shift": [0.0, 0.5]})
    for key, content in plain.items():
        assert (Store(here / "whichloss-runs").path(key) / "outputs.safetensors").read_bytes() == content


# which levels are run, and which one decides


def test_one_axis_at_a_time_unless_they_are_crossed(here: Path) -> None:
    axes = {"label_noise": [0.0, 0.2], "size": [1.0, 0.5], "shift": [0.0, 0.5]}
    noise, size = "LabelNoise(share=0.2)", "TrainingSize(share=0.5)"
    shift = "TestShift(noise=0.5, brightness=0.0, contrast=1.0, gamma=1.0, blur=0.0)"
    assert stresses(done(here, stress=axes)) == {"", noise, size, shift}
    assert stresses(done(here, "crossed", stress=axes | {"cross": True})) == {
        "", noise, size, shift,
        f"{noise} + {size}", f"{noise} + {shift}", f"{size} + {shift}",
        f"{noise} + {size} + {shift}",
    }  # fmt: skip
    assert stresses(done(here, "dirty", stress={"label_noise": [0.2], "size": 0.5})) == {noise, size}
    assert stresses(done(here, "both", stress={"label_noise": [0.2], "size": 0.5, "cross": True})) == {
        f"{noise} + {size}"
    }
    assert stresses(done(here, "none", stress={"label_noise": [0.0, 0.0], "size": [1.0]})) == {""}
    assert stresses(done(here, "nothing", stress={})) == {""}
    assert len(computed(here)) == 4 * 8, "levels that studies share are computed once"


def test_crossed_stresses_both_act(here: Path, shown: dict[str, tuple[Cases, Split]]) -> None:
    study = done(here, stress={"size": [0.5], "label_noise": [0.25], "shift": [0.5], "cross": True})
    images = np.load(here / "tiny.npz")["images"]
    for row in rows(study).values():
        cases, split = shown[row["run"]]
        assert int(row["n_train"]) == len(split.fold.train) // 2 == 5
        flipped = record(here, row["run"])["stress"]["flipped"]
        assert len(flipped) == round(0.25 * 10) and {one for one, _, _ in flipped} <= {
            IDS[at] for at in split.fold.train
        }
        test = list(split.fold.test)
        assert not np.isclose(cases.images[test, 0].numpy(), images[test]).all((1, 2)).any()
        others = [at for at in range(CASES) if at not in test]
        assert np.array_equal(cases.images[others, 0].numpy(), images[others])


@pytest.mark.parametrize(
    ("stress", "cell", "decides"),
    [
        ({"label_noise": [0.0, 0.2]}, None, ""),
        ({"label_noise": [0.2, 0.0]}, None, "LabelNoise(share=0.2)"),
        ({"label_noise": [0.0, 0.2]}, {"label_noise": 0.2}, "LabelNoise(share=0.2)"),
        ({"label_noise": [0.2, 0.0]}, {"label_noise": 0.0}, ""),
        ({"label_noise": [0.0, 0.2]}, {"label_noise": "LabelNoise(share=0.2)"}, "LabelNoise(share=0.2)"),
        ({"label_noise": [0.0, 0.2], "size": [1.0, 0.5]}, {"size": 0.5}, "TrainingSize(share=0.5)"),
        ({"label_noise": [0.2], "size": [0.5, 1.0], "cross": True}, {"label_noise": 0.2, "size": 1.0},
         "LabelNoise(share=0.2)"),
        ({"label_noise": [0.2], "size": [0.5, 1.0], "cross": True}, None,
         "LabelNoise(share=0.2) + TrainingSize(share=0.5)"),
        ({"imbalance": [None, 0.3]}, {"imbalance": None}, ""),
    ],
    ids=str,
)  # fmt: skip
def test_the_verdict_is_for_one_cell(here: Path, stress: dict[str, Any], cell: Any, decides: str) -> None:
    study = done(here, stress=stress, cell=cell)
    verdict = json.loads((study / "verdict.json").read_text())
    values = {
        loss: [float(row["value"]) for place, row in rows(study).items() if place[:2] == (loss, decides)]
        for loss in LOSSES
    }
    assert [len(one) for one in values.values()] == [2, 2] and len(stresses(study)) > 1
    assert {one["label"]: one["mean"] for one in verdict["losses"]} == pytest.approx(
        {loss: fmean(several) for loss, several in values.items()}
    )
    assert verdict["cell"]["stress"] == decides


def test_a_level_added_later_computes_its_own_runs_alone(here: Path) -> None:
    done(here, stress={"label_noise": [0.0, 0.2]})
    before = computed(here)
    assert len(before) == 8
    study = done(here, stress={"label_noise": [0.0, 0.2, 0.4], "shift": [0.0, 0.5]})
    assert len(computed(here)) == 16 and computed(here).items() >= before.items()
    assert len(rows(study)) == 16
    fewer = done(here, stress={"label_noise": [0.0]})
    assert len(computed(here)) == 16 and len(rows(fewer)) == 4


# each axis


def test_null_leaves_the_balance_as_it_is(here: Path, shown: dict[str, tuple[Cases, Split]]) -> None:
    text = write_study(here).read_text() + "stress: {imbalance: [null, 0.2, 'Imbalance(share=0.2, rare=\"0\")']}\n"
    (here / "tiny.yaml").write_text(text)
    answer = cli("run", here / "tiny.yaml", here=here)
    assert answer.code == 0, answer.err
    study = here / "whichloss-runs/studies/tiny"
    rare = {"Imbalance(share=0.2, rare=None)": 1, "Imbalance(share=0.2, rare='0')": 0}
    assert stresses(study) == {"", *rare}
    for (_, stress, *_), row in rows(study).items():
        _, split = shown[row["run"]]
        labels = TRUTH[list(split.fold.train)]
        assert (np.mean(labels == rare[stress]) if stress else 0.2) == pytest.approx(0.2, abs=0.04)
        assert len(split.fold.test) == 20
        assert len(labels) == (12 if stress else 20)
        assert int(row["n_train"]) == len({at // 2 for at in split.fold.train})


def test_size_is_seen_in_the_number_of_training_patients(here: Path, shown: dict[str, tuple[Cases, Split]]) -> None:
    study = done(here, stress={"size": [1.0, 0.5, 0.3]})
    told = {(stress, row["n_train"], row["n_test"]) for (_, stress, *_), row in rows(study).items()}
    assert told == {
        ("", "10", "10"), ("TrainingSize(share=0.5)", "5", "10"), ("TrainingSize(share=0.3)", "3", "10"),
    }  # fmt: skip
    for loss, fold in product(LOSSES, "01"):
        levels = ("TrainingSize(share=0.3)", "TrainingSize(share=0.5)", "")
        folds = [shown[rows(study)[loss, level, fold, "0"]["run"]][1].fold for level in levels]
        assert set(folds[0].train) < set(folds[1].train) < set(folds[2].train)
        assert folds[0].test == folds[1].test == folds[2].test


def test_a_shift_changes_the_images_that_are_tested_and_nothing_else(
    here: Path, shown: dict[str, tuple[Cases, Split]]
) -> None:
    study = done(here, stress={"shift": [0.0, 0.5, "TestShift(brightness=1, blur=0.5)"]})
    images = torch.from_numpy(np.load(here / "tiny.npz")["images"])[:, None]
    found = rows(study)
    for loss, fold in product(LOSSES, "01"):
        keys = {stress: found[loss, stress, fold, "0"]["run"] for stress in stresses(study)}
        clean = keys.pop("")
        assert len(keys) == 2
        for key in keys.values():
            cases, split = shown[key]
            test = list(split.fold.test)
            others = [at for at in range(CASES) if at not in test]
            assert torch.equal(cases.images[others], images[others]) and torch.equal(
                cases.labels, shown[clean][0].labels
            )
            assert ((cases.images[test] - images[test]).flatten(1).abs().amax(1) > 0).all()
            ours, theirs = outputs(here, key), outputs(here, clean)
            assert torch.equal(ours["inner"], theirs["inner"]) and not torch.equal(ours["test"], theirs["test"])
            assert record(here, key)["curve"] == record(here, clean)["curve"]
            assert torch.equal(shown[clean][0].images, images)
    for fold in "01":  # the same noise for every loss
        first, second = (shown[found[loss, NOISY_IMAGES, fold, "0"]["run"]][0].images for loss in LOSSES)
        assert torch.equal(first, second)


NOISY_IMAGES = "TestShift(noise=0.5, brightness=0.0, contrast=1.0, gamma=1.0, blur=0.0)"

MASKS: dict[str, Any] = {
    "data": 'Arrays("tiny.npz", group="patients", id="ids")',
    "losses": ["Dice()", "CrossEntropy()"],
    "baseline": "Dice()",
    "network": "UNet(width=2, depth=2)",
    "primary": "Dice()",
}


def write_squares(folder: Path) -> np.ndarray:
    """24 images with two lesions each, of 9 pixels and of 4."""
    masks = np.zeros((24, 12, 12), np.uint8)
    masks[:, 1:4, 1:4] = 1
    masks[:, 8:10, 7:9] = 1
    images = masks + np.random.default_rng(0).normal(0, 0.3, masks.shape)
    write_tiny(folder, images=images.astype(np.float32), masks=masks)
    return masks


def test_lesions_that_were_missed_are_missed_in_training_masks_alone(
    here: Path, shown: dict[str, tuple[Cases, Split]]
) -> None:
    masks = write_squares(here)
    study = done(here, stress={"missed_lesions": [0.0, 0.25]}, **MASKS)
    told = defaultdict(set)
    for (_, stress, fold, _), row in rows(study).items():
        cases, split = shown[row["run"]]
        train, test = list(split.fold.train), list(split.fold.test)
        lost = masks.astype(int) - cases.labels.numpy()
        assert not lost[test].any() and (lost >= 0).all()
        counts = lost[train].sum((1, 2))
        assert set(counts.tolist()) <= {0, 4, 9, 13}
        missed = sum({0: 0, 4: 1, 9: 1, 13: 2}[one] for one in counts.tolist())
        assert missed == (round(0.25 * 2 * len(train)) if stress else 0)
        facts = record(here, row["run"])["stress"]
        told[stress, fold].add(json.dumps(facts, sort_keys=True))
        if stress:
            assert facts == {"voxels": {f"case{at:02}": int(lost[at].sum()) for at in train if lost[at].any()}}
        assert np.array_equal(outputs(here, row["run"])["test_labels"].numpy(), masks[test])
    assert all(len(several) == 1 for several in told.values()), "the same lesions for every loss"


def test_outlines_are_moved_in_training_masks_alone(here: Path, shown: dict[str, tuple[Cases, Split]]) -> None:
    masks = write_squares(here)
    study = done(here, stress={"boundary_noise": [0, 1, "BoundaryNoise(voxels=1, share=0.5)"]}, **MASKS)
    touched = {}
    for (_, stress, *_), row in rows(study).items():
        cases, split = shown[row["run"]]
        train, test = list(split.fold.train), list(split.fold.test)
        changed = cases.labels.numpy() != masks
        assert not changed[test].any()
        large, small = changed[train, :6, :6].any((1, 2)), changed[train, 6:, 6:].any((1, 2))
        touched[stress] = int(large.sum() + small.sum()) / (2 * len(train))
        assert sum(record(here, row["run"])["stress"].get("voxels", {}).values()) == changed.sum()
    none, some, all_ = (
        touched[""],
        touched["BoundaryNoise(voxels=1, share=0.5)"],
        touched["BoundaryNoise(voxels=1, share=1.0)"],
    )
    # erosion leaves the innermost voxels: of a lesion of four pixels, all are innermost
    assert none == 0 < some <= 0.5 and some < all_ <= 1


# with tuning


def test_each_level_has_searches_of_its_own_on_labels_as_noisy(here: Path) -> None:
    tune = {"trials": 3, "over": {"training.lr": "loguniform(1e-3, 1e-1)"}}
    study = done(here, stress={"label_noise": [0.0, 0.4]}, tune=tune, design={"folds": 2, "inner": 0.4})
    with (study / "tuning.csv").open(newline="") as file:
        trials = list(csv.DictReader(file))
    noise = NOISE.format(0.4)
    assert len(trials) == 2 * 2 * 2 * 3
    chosen = {(row["loss"].partition("(")[0], row["stress"], row["fold"], row["seed"]): row["run"]
              for row in trials if row["chosen"]}  # fmt: skip
    assert chosen == {place: row["run"] for place, row in rows(study).items()}
    assert any(noise_inside(here, row["run"]) for row in trials if row["stress"] == noise)
    assert not any(noise_inside(here, row["run"]) for row in trials if not row["stress"])


# what does not suit


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"stress": {"labelnoise": [0.1]}}, ["tiny.yaml", "stress", "'labelnoise'", "did you mean 'label_noise'?"]),
        ({"stress": {"weather": [0.1]}}, ["tiny.yaml", "stress", "'weather'", "imbalance, label_noise"]),
        ({"stress": {"label_noise": [2]}}, ["tiny.yaml", "stress", "share is 2", "at most 1"]),
        ({"stress": {"label_noise": [True]}}, ["tiny.yaml", "stress", "share is True"]),
        ({"stress": {"label_noise": ["much"]}}, ["tiny.yaml", "stress", "much"]),
        ({"stress": {"label_noise": []}}, ["tiny.yaml", "label_noise: no level"]),
        ({"stress": {"label_noise": ["ClassNoise(share=0.1)"]}}, ["tiny.yaml", "ClassNoise", "'class_noise'"]),
        ({"stress": {"label_noise": ["Hinge()"]}}, ["tiny.yaml", "Hinge"]),
        ({"stress": {"imbalance": [0.0]}}, ["tiny.yaml", "Imbalance: share is 0", "null"]),
        ({"stress": {"size": [0]}}, ["tiny.yaml", "TrainingSize: share is 0"]),
        ({"stress": {"label_noise": [0.1], "cross": "perhaps"}}, ["tiny.yaml", "stress.cross", "'perhaps'"]),
        ({"stress": 0.2}, ["tiny.yaml", "stress", "dictionary"]),
        ({"stress": {"missed_lesions": [0.2]}},
         ["MissedLesions is for segmentation", "classification", "label_noise"]),
        ({"stress": {"boundary_noise": [0, 1]}}, ["BoundaryNoise is for segmentation"]),
        ({"stress": {"label_noise": [0.2]}} | MASKS, ["LabelNoise is for classification", "missed_lesions"]),
        ({"stress": {"class_noise": ["ClassNoise(share=0.1, source='benign')"]}}, ["ClassNoise", "'benign'", "0, 1"]),
        ({"stress": {"imbalance": [0.7]}}, ["Imbalance(share=0.7)", "already rarer", "hint"]),
        ({"stress": {"imbalance": [0.01]}}, ["Imbalance(share=0.01)", "would remain", "hint"]),
        ({"stress": {"label_noise": [0.1]}, "cell": {"label_noise": 0.2}},
         ["tiny.yaml", "cell", "LabelNoise(share=0.2) is not a level", "LabelNoise(share=0.1)"]),
        ({"stress": {"label_noise": [0.1]}, "cell": {"label_noise": 0.0}}, ["tiny.yaml", "no stress is not a level"]),
        ({"cell": {"label_noise": 0.1}}, ["tiny.yaml", "cell", "LabelNoise(share=0.1) is not a level", "none"]),
        ({"stress": {"label_noise": [0.1]}, "cell": {"weather": 1}}, ["tiny.yaml", "cell", "'weather'"]),
        ({"stress": {"label_noise": [0.0, 0.1], "size": [1.0, 0.5]}, "cell": {"label_noise": 0.1, "size": 0.5}},
         ["tiny.yaml", "LabelNoise(share=0.1) + TrainingSize(share=0.5) is not a level"]),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_stress_that_cannot_be_costs_one_message_and_no_run(
    here: Path, changes: dict[str, Any], parts: list[str]
) -> None:
    answer = run(here, **changes)
    assert (answer.code, answer.out) == (2, ""), answer
    assert answer.err.startswith("whichloss: ") and answer.err.count("whichloss: ") == 1
    assert all(part in answer.err for part in parts), answer.err
    assert not computed(here)


def test_a_size_that_leaves_too_few_to_set_some_aside_keeps_two(here: Path) -> None:
    study = done(here, stress={"size": [0.01]}, losses=["Logistic()"], training=TINY["training"])
    assert {row["n_train"] for row in rows(study).values()} == {"2"}
