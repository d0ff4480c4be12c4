"""What detection is judged by."""

import pytest
import torch

from whichloss.core import Candidates

TWO = Candidates(
    candidate=("a", "a", "b", "c", "d"),
    volume=("v", "v", "v", "w", "w"),
    lesion=("1", "1", "1", "", ""),
    missed=(("w", "9"), ("x", "8")),
)


def test_a_table_for_metrics() -> None:
    """A volume that shows no candidate is not judged at all."""
    rows = TWO.truth(torch.tensor([1, 1, 1, 0, 1]), range(5))
    assert rows.tolist() == [
        [1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 2, 1, -1], [1, 3, 1, 1],
        [1, -1, 1, 2],
    ]  # fmt: skip


def test_a_part_has_its_own_volumes_only() -> None:
    assert TWO.truth(torch.tensor([1, 1, 1, 0, 1]), [4, 3]).tolist() == [[1, 0, 0, 0], [0, 1, 0, -1], [1, -1, 0, 1]]


def test_a_flipped_label_hides_a_lesion() -> None:
    assert TWO.truth(torch.tensor([0, 0, 1, 1, 0]), [0, 1, 2, 3])[:4, 3].tolist() == [-1, -1, 0, 1]


def test_lesions_of_two_volumes_may_have_one_name() -> None:
    same = Candidates(candidate=("a", "b"), volume=("v", "w"), lesion=("1", "1"))
    assert same.truth(torch.tensor([1, 1]), [0, 1])[:, 3].tolist() == [0, 1]


def test_views_of_one_candidate_agree() -> None:
    with pytest.raises(ValueError, match="views of candidate 'a'"):
        Candidates(candidate=("a", "a"), volume=("v", "w"), lesion=("", ""))
