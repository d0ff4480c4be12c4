"""Cases check themselves, and are known by what they hold."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest
import torch

from whichloss.core import Task, UserError
from whichloss.data import Cases

Make = Callable[..., Cases]


def test_groups_are_the_ids_where_nothing_is_said(make: Make) -> None:
    cases = make([0, 1, 0])
    assert cases.groups == cases.ids == ("case0", "case1", "case2")


def test_nan_and_infinity_name_the_first_case(make: Make) -> None:
    for bad in (float("nan"), float("inf")):
        images = torch.zeros(4, 1, 4, 4)
        images[2, 0, 1, 1] = images[3, 0, 0, 0] = bad
        with pytest.raises(UserError, match=r"case 'case2' are finite .* 1 others"):
            make([0, 1, 0, 1], images=images)


def test_an_empty_class_is_named(make: Make) -> None:
    with pytest.raises(UserError, match="class 'b' is empty: no case of 3"):
        make([0, 2, 0])
    task = Task(kind="segmentation", classes=("background", "lesion"), size=(4, 4))
    with pytest.raises(UserError, match="class 'lesion' is empty: no pixel or voxel of 2"):
        make([0, 0], labels=torch.zeros(2, 4, 4, dtype=torch.long), task=task)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": torch.tensor([0, 3, 1])}, "labels run from 0 to 3; 2 classes are 0 to 1"),
        ({"labels": torch.tensor([0, -1, 1])}, "labels run from -1"),
        ({"labels": torch.tensor([0, 1])}, "3 ids and 2 labels"),
        ({"labels": torch.zeros(3, 4, 4, dtype=torch.long)}, "classification of these images needs"),
        ({"labels": torch.tensor([0.0, 1.0, 1.0])}, "must be float32 and int64"),
        ({"images": torch.zeros(2, 1, 4, 4)}, "3 ids and 2 images"),
        ({"images": torch.zeros(3, 1, 4, 5)}, r"the task says \(3, 1, 4, 4\)"),
        ({"images": torch.zeros(3, 1, 4, 4, dtype=torch.float64)}, "must be float32"),
        ({"ids": ("a", "b", "a")}, "two cases have the id 'a'"),
        ({"groups": ("a", "b")}, "3 ids and 2 groups"),
        ({"strata": ("a",)}, "3 ids and 1 strata"),
        ({"columns": {"age": (1, 2)}}, "3 ids and 2 age"),
    ],
)
def test_what_does_not_fit_is_said(make: Make, change: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        make([0, 1, 0], **change)


def test_one_case_is_too_few(make: Make) -> None:
    with pytest.raises(UserError, match="1 cases are too few"):
        make([0])


def test_a_subset_keeps_everything_and_may_lack_a_class(make: Make) -> None:
    cases = make([0, 1, 0, 1], ["p", "p", "q", "q"], ["s", "t", "s", "t"], columns={"age": (50, 60, 70, 80)})
    part = cases.subset([2, 0])
    assert part.ids == ("case2", "case0")
    assert part.groups == ("q", "p")
    assert part.strata == ("s", "s")
    assert part.columns == {"age": (70, 50)}
    assert part.labels.tolist() == [0, 0]
    assert part.images.equal(cases.images[[2, 0]])
    assert part.task == cases.task
    assert len(cases.subset(torch.tensor([3]))) == 1


def test_the_digest_is_the_sha256_of_the_content(make: Make) -> None:
    cases = make([0, 1, 0])
    header = (
        '{"groups": ["case0", "case1", "case2"], "ids": ["case0", "case1", "case2"], '
        '"images": ["torch.float32", 3, 1, 4, 4], "labels": ["torch.int64", 3], '
        '"strata": null, "task": ["classification", "a", "b"]}'
    )
    assert json.loads(header)
    content = header.encode() + cases.images.numpy().tobytes() + cases.labels.numpy().tobytes()
    assert cases.digest == sha256(content).hexdigest()


def test_the_digest_sees_every_change_but_not_how_a_tensor_lies_in_memory(make: Make) -> None:
    cases = make([0, 1, 0], strata=["s", "t", "s"])
    images = cases.images.clone()
    images[1, 0, 2, 2] += 1e-6
    changes = [
        {"images": images},
        {"labels": torch.tensor([1, 1, 0])},
        {"ids": ("x", "case1", "case2")},
        {"groups": ("p", "p", "q")},
        {"strata": None},
        {"strata": ("t", "t", "s")},
        {"task": replace(cases.task, classes=("a", "z"))},
    ]
    assert len({cases.digest, *(replace(cases, **change).digest for change in changes)}) == 1 + len(changes)
    turned = cases.images.transpose(2, 3).contiguous().transpose(2, 3)
    assert not turned.is_contiguous()
    assert replace(cases, images=turned).digest == cases.digest


def test_it_shows_itself_in_a_line(make: Make) -> None:
    assert repr(make([0, 1, 0], ["p", "p", "q"])) == "<3 cases of 1 x 4 x 4 in 2 groups, classification: a, b>"
