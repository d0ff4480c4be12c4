"""Labels that measure: what they may be, who they are known by, and how they are dealt to folds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from whichloss.core import FieldError, Task, UserError
from whichloss.data import Cases, folds, inner
from whichloss.data.arrays import Arrays
from whichloss.data.nodules import Nodules

Make = Callable[..., Cases]
RADIUS = Task(kind="regression", quantity="radius", unit="pixels", size=(4, 4))


@pytest.fixture
def measured(make: Make) -> Callable[..., Cases]:
    """Cases with the given radius of each."""

    def measured(radii: list[float], groups: list[str] | None = None, **other) -> Cases:
        given = {"labels": torch.tensor(radii), "task": RADIUS, **other}
        return make([0] * len(radii), groups, **given)

    return measured


# what they may be


def test_they_are_float_and_finite(measured: Make) -> None:
    assert len(measured([1.5, -2.0, 0.0])) == 3
    with pytest.raises(UserError, match=r"labels torch.int64; in regression they must be float32 and float32"):
        measured([1.0, 2.0], labels=torch.tensor([1, 2]))
    for bad in (float("nan"), float("inf")):
        with pytest.raises(UserError, match=r"the radius of case 'case1' is not finite .* leave such cases out, nor"):
            measured([1.0, bad, 2.0, bad])
    with pytest.raises(UserError, match=r"labels are \(2, 1\); regression of these images needs \(2,\)"):
        measured([1.0, 2.0], labels=torch.ones(2, 1))


def test_they_show_themselves_in_a_line(measured: Make) -> None:
    assert repr(measured([1.0, 2.0])) == "<2 cases of 1 x 4 x 4 in 2 groups, regression: radius in pixels>"
    without = measured([1.0, 2.0], task=replace(RADIUS, unit=""))
    assert repr(without).endswith("regression: radius>")


def test_the_digest_sees_quantity_unit_and_values(measured: Make) -> None:
    cases = measured([1.0, 2.0])
    changes = [
        {"task": replace(RADIUS, quantity="diameter")},
        {"task": replace(RADIUS, unit="mm")},
        {"labels": torch.tensor([1.0, 2.0000002])},
    ]
    assert len({cases.digest, *(replace(cases, **change).digest for change in changes)}) == 4


# nodules


def test_the_radius_of_a_nodule_is_asked_of_the_same_images() -> None:
    of_class, of_radius = Nodules(cases=30).load(), Nodules(cases=30, target="radius").load()
    assert of_radius.images.equal(of_class.images)
    assert of_radius.labels.tolist() == pytest.approx(of_class.columns["radius"], rel=1e-6)
    assert of_radius.task == Task(kind="regression", quantity="radius", unit="pixels", size=(40, 40))
    assert of_radius.digest != of_class.digest


# arrays


def saved(folder: Path, target: np.ndarray) -> Path:
    np.savez(folder / "a.npz", images=np.zeros((len(target), 5, 5)), y=target)
    return folder


@pytest.mark.parametrize("target", [[1.5, 2, 60, 4], [[1.5], [2], [60], [4]]])
def test_numbers_of_a_file_are_a_quantity_where_they_are_named_so(tmp_path: Path, target: list) -> None:
    cases = Arrays("a.npz", target="y", quantity="age", unit="years").load(saved(tmp_path, np.array(target)))
    assert (cases.task.kind, cases.task.quantity, cases.task.unit) == ("regression", "age", "years")
    assert cases.labels.tolist() == [1.5, 2, 60, 4]
    counted = Arrays("a.npz", target="y", quantity="nuclei").load(saved(tmp_path, np.array([3, 0, 7, 7])))
    assert counted.labels.tolist() == [3, 0, 7, 7] and counted.labels.dtype == torch.float32


def test_numbers_that_are_no_classes_say_how_to_name_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found 1.5, 2, 60.*\n  hint: .* quantity='radius', unit='mm'"):
        Arrays("a.npz", target="y").load(saved(tmp_path, np.array([1.5, 2, 60])))


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (np.array(["a", "b"]), r"'y' is <U1 of shape \(2,\); quantity='age' needs one number for each case"),
        (np.array([True, False]), "'y' is bool"),
        (np.zeros((2, 5, 5)), r"of shape \(2, 5, 5\).*\n  hint: classes and masks are read without quantity"),
        (np.array([1.0, np.nan]), "the age of case '1' is not finite"),
    ],
)
def test_what_is_no_quantity_is_refused(tmp_path: Path, target: np.ndarray, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Arrays("a.npz", target="y", quantity="age").load(saved(tmp_path, target))


def test_a_unit_of_nothing_is_refused() -> None:
    with pytest.raises(FieldError, match="nothing is measured; name it: quantity='radius'"):
        Arrays("a.npz", unit="mm")


# folds


def test_each_fold_and_inner_part_has_its_share_of_every_fifth(measured: Make) -> None:
    radii = np.random.default_rng(0).exponential(5.0, 200)
    cases = measured(radii.tolist())
    fifth = np.argsort(np.argsort(radii)) // 40
    for seed in range(5):
        for fold in folds(cases, k=4, seed=seed):
            assert np.bincount(fifth[list(fold.test)]).tolist() == [10] * 5
            fit, chosen = inner(cases, fold.train, fraction=0.2, seed=seed)
            assert np.abs(np.bincount(fifth[list(chosen)], minlength=5) - 6).max() <= 2
            assert sorted((*fit, *chosen)) == sorted(fold.train)
    assert folds(cases, k=4, seed=0) != folds(cases, k=4, seed=1)


def test_patients_stay_whole_and_equal_values_are_no_trouble(measured: Make) -> None:
    cases = measured([3.0] * 30, [f"P{at // 3}" for at in range(30)])
    for fold in folds(cases, k=5, seed=0):
        assert len(fold.test) == 6
        assert not {cases.groups[at] for at in fold.test} & {cases.groups[at] for at in fold.train}
