"""Folds: every case tested once, patients whole, shares kept, redrawn by every seed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given as drawn_from
from hypothesis import settings
from hypothesis import strategies as st

from whichloss.core import Task, UserError
from whichloss.data import Cases, Fold, check_groups, folds, given, inner

Make = Callable[..., Cases]


def cases_of(labels: Any, groups: Any, strata: Any = None) -> Cases:
    n = len(labels)
    return Cases(
        images=torch.zeros(n, 1, 1, 1),
        labels=torch.as_tensor(np.asarray(labels, dtype=np.int64)),
        ids=tuple(f"c{i}" for i in range(n)),
        task=Task(kind="classification", classes=tuple(map(str, range(max(labels) + 1))), channels=1, size=(1, 1)),
        groups=tuple(map(str, groups)),
        strata=None if strata is None else tuple(map(str, strata)),
    )


def uneven(seed: int = 0, patients: int = 30) -> Cases:
    """Patients with 3 to 59 cases, each with its own share of class 1."""
    chance = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), chance.integers(3, 60, patients))
    labels = chance.random(len(patient)) < chance.random(patients)[patient]
    return cases_of(labels.astype(int), patient)


def refuse_broken(cases: Cases, made: list[Fold]) -> None:
    assert sorted(i for fold in made for i in fold.test) == list(range(len(cases)))
    for fold in made:
        assert fold.train
        assert fold.test
        assert sorted(fold.train + fold.test) == list(range(len(cases)))
        assert not {cases.groups[i] for i in fold.train} & {cases.groups[i] for i in fold.test}


@settings(max_examples=60, deadline=None)
@drawn_from(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 3)), min_size=4, max_size=40),
    st.integers(2, 6),
    st.integers(0, 9),
    st.booleans(),
    st.floats(0.05, 0.95),
)
def test_random_groups(rows: list, k: int, seed: int, stratified: bool, fraction: float) -> None:
    rows = [*rows, (10, 0, 0), (11, 1, 0), (12, 2, 0)]
    groups, labels, strata = zip(*rows, strict=True)
    cases = cases_of(labels, groups, strata)
    k = min(k, len(set(groups)))
    made = folds(cases, k=k, seed=seed, stratified=stratified)
    assert len(made) == k
    refuse_broken(cases, made)
    train = made[0].train
    if len({cases.groups[i] for i in train}) > 1:
        fit, chosen = inner(cases, train, fraction=fraction, seed=seed)
        assert fit
        assert chosen
        assert sorted(fit + chosen) == list(train)
        check_groups(cases, Fold(fit, chosen))


def test_single_cases_are_shared_out_to_within_one(make: Make) -> None:
    labels = [0] * 53 + [1] * 11 + [2] * 7
    for fold in folds(make(labels), k=5, seed=0):
        counts = np.bincount(np.array(labels)[list(fold.test)], minlength=3)
        assert (np.abs(counts - np.array([53, 11, 7]) / 5) < 1).all()


def test_strata_and_classes_both_keep_their_shares(make: Make) -> None:
    chance = np.random.default_rng(0)
    labels, strata = chance.integers(0, 2, 300), chance.choice(["ct", "mr", "us"], 300, p=[0.7, 0.2, 0.1])
    for fold in folds(make(labels.tolist(), strata=strata.tolist()), k=5, seed=0):
        test = list(fold.test)
        assert np.bincount(labels[test]) == pytest.approx(np.bincount(labels) / 5, abs=2)
        for one in ("ct", "mr", "us"):
            assert (strata[test] == one).sum() == pytest.approx((strata == one).sum() / 5, abs=2)


def test_segmentation_shares_out_cases_and_strata() -> None:
    labels = torch.zeros(24, 2, 2, dtype=torch.long)
    labels[:, 0] = 1
    cases = Cases(
        images=torch.zeros(24, 1, 2, 2), labels=labels, ids=tuple(map(str, range(24))),
        task=Task(kind="segmentation", classes=("background", "lesion"), size=(2, 2)), strata=("a", "b", "b") * 8,
    )  # fmt: skip
    for fold in folds(cases, k=4, seed=1):
        assert [cases.strata[i] for i in fold.test].count("a") == 2  # pyright: ignore[reportOptionalSubscript]
    for fold in folds(cases, k=4, seed=1, stratified=False):
        assert len(fold.test) == 6
    fit, chosen = inner(cases, range(18), fraction=1 / 3, seed=0)
    assert (len(fit), len(chosen)) == (12, 6)


def shortfall(cases: Cases, made: list[Fold]) -> float:
    """Largest difference of a class's count in a test fold from its share, relative to the share."""
    labels, k = cases.labels.numpy(), len(made)
    total = np.bincount(labels)
    return max(
        np.abs(np.bincount(labels[list(fold.test)], minlength=len(total)) * k / total - 1).max() for fold in made
    )


def test_uneven_patients_are_shared_out_no_worse_than_by_scikit_learn() -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    ours, theirs = [], []
    for seed in range(8):
        cases = uneven(seed)
        ours.append(shortfall(cases, folds(cases, k=5, seed=seed)))
        splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        made = splitter.split(np.zeros(len(cases)), cases.labels.numpy(), cases.groups)
        theirs.append(shortfall(cases, [Fold(tuple(train), tuple(test)) for train, test in made]))
    assert np.mean(ours) < np.mean(theirs) + 0.01
    assert np.mean(ours) < 0.25


def test_every_seed_draws_anew_however_uneven_the_patients() -> None:
    """scikit-learn's StratifiedGroupKFold fails this: it orders such patients by size, whatever the seed."""
    cases = uneven()
    parts = [frozenset(fold.test for fold in folds(cases, k=5, seed=seed)) for seed in range(10)]
    shared = [len(a & b) for i, a in enumerate(parts) for b in parts[:i]]
    assert max(shared) <= 1
    assert np.mean(shared) < 0.1
    assert folds(cases, k=5, seed=3) == folds(cases, k=5, seed=3)


def test_each_pair_of_patients_is_tested_together_about_equally_often() -> None:
    together = np.zeros((10, 10))
    cases = cases_of([0, 1] * 10, np.repeat(np.arange(10), 2))
    for seed in range(300):
        for fold in folds(cases, k=5, seed=seed):
            a, b = sorted({int(cases.groups[i]) for i in fold.test})
            together[a, b] += 1
    pairs = together[np.triu_indices(10, 1)]
    assert pairs.sum() == 1500
    assert np.abs(pairs - 1500 / 45).max() < 5 * np.sqrt(1500 / 45)


def test_too_many_folds_and_too_few(make: Make) -> None:
    cases = make([0, 1, 0, 1], ["p", "p", "q", "q"])
    with pytest.raises(UserError, match=r"3 folds need at least 3 groups \(patients\); there are 2"):
        folds(cases, k=3, seed=0)
    with pytest.raises(UserError, match="1 folds: at least 2"):
        folds(cases, k=1, seed=0)
    refuse_broken(cases, folds(cases, k=2, seed=0))


def test_the_inner_part_has_its_size_and_every_class() -> None:
    labels = [0] * 60 + [1] * 30 + [2] * 2
    cases = cases_of(labels, range(92))
    for seed in range(10):
        fit, chosen = inner(cases, range(92), fraction=0.2, seed=seed)
        assert abs(len(chosen) - 18.4) < 2
        for side in (fit, chosen):
            assert {labels[i] for i in side} == {0, 1, 2}
    fit, chosen = inner(cases, range(92), fraction=0.02, seed=0)
    assert {labels[i] for i in chosen} == {labels[i] for i in fit} == {0, 1, 2}
    assert inner(cases, range(92), fraction=0.2, seed=1)[1] != inner(cases, range(92), fraction=0.2, seed=2)[1]


def test_a_class_of_one_patient_stays_where_it_can_be_learned_or_chosen_by() -> None:
    cases = cases_of([0, 1, 0, 0, 2, 1], [0, 1, 2, 3, 4, 5])
    fit, chosen = inner(cases, range(6), fraction=0.3, seed=0)
    assert {0, 1} <= {int(cases.labels[i]) for i in fit} & {int(cases.labels[i]) for i in chosen}


def test_an_inner_split_needs_two_patients_and_a_fraction(make: Make) -> None:
    cases = make([0, 1, 0, 1], ["p", "p", "q", "q"])
    with pytest.raises(UserError, match="the training part has 1 group"):
        inner(cases, [0, 1], fraction=0.2, seed=0)
    for fraction in (0.0, 1.0, -1):
        with pytest.raises(UserError, match="must be between 0 and 1"):
            inner(cases, range(4), fraction=fraction, seed=0)


def test_a_leak_names_the_patient_and_both_cases(make: Make) -> None:
    cases = make([0, 1, 0, 1], ["p", "q", "r", "q"])
    with pytest.raises(UserError, match="group leak: 'q' is on both sides; case 'case1' trains and case 'case3' tests"):
        check_groups(cases, Fold((0, 1), (2, 3)))
    check_groups(cases, Fold((1, 3), (0, 2)))


def write(folder: Path, content: Any) -> Path:
    path = folder / "splits_final.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_folds_from_a_file(make: Make, tmp_path: Path) -> None:
    cases = make([0, 1, 0, 1], ["p", "p", "q", "q"])
    sides = {"train": ["case3", "case2"], "val": ["case0", "case1"]}
    write(tmp_path, [sides, {"train": sides["val"], "val": ["case2"]}])
    assert given("splits_final.json", cases, tmp_path) == [Fold((2, 3), (0, 1)), Fold((0, 1), (2,))]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            [{"train": ["case0", "cas1"], "val": ["case2"]}],
            "fold 0: no case has the id 'cas1' in 'train'; did you mean",
        ),
        (
            [{"train": ["case0"], "val": ["zzz"]}],
            "no case has the id 'zzz' in 'val'; there are 4 cases, such as 'case0'",
        ),
        ([{"train": ["case0", "case1"], "val": ["case1"]}], "case 'case1' is both in 'train' and in 'val'"),
        ([{"train": ["case0"], "val": ["case1"]}], "group leak: 'p'"),
        ([{"train": ["case0"], "val": []}], "no list of ids empty"),
        ([{"train": ["case0"]}], "must be a list of"),
        ({"train": ["case0"], "val": ["case1"]}, "must be a list of"),
        ([], "must be a list of"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_wrong_files_of_folds(make: Make, tmp_path: Path, content: Any, says: str) -> None:
    cases = make([0, 1, 0, 1], ["p", "p", "q", "q"])
    with pytest.raises(UserError, match=says):
        given(write(tmp_path, content), cases)
    with pytest.raises(UserError, match="there is no"):
        given("nowhere.json", cases)


def test_the_near_duplicates_of_nuclei_stay_together(shared: Path) -> None:
    from whichloss.data.arrays import Arrays

    data = Arrays(path="dsb2018_128.npz", group="dup_group", id="ids", stratify="kind")
    cases = data.load(shared / "dsb2018")
    made = folds(cases, k=5, seed=0)
    refuse_broken(cases, made)
    dark = [np.mean([cases.strata[i] == "gray_dark" for i in fold.test]) for fold in made]  # pyright: ignore[reportOptionalSubscript]
    assert max(dark) - min(dark) < 0.02
