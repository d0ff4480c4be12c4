"""Arrays of a .npz file: which axis is which, what masks may hold, and what is said when something is missing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from whichloss.core import FieldError, UserError, parse
from whichloss.data import DataSet
from whichloss.data.arrays import Arrays
from whichloss.data.masks import read_masks

CHANCE = np.random.default_rng(0)


def save(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "a.npz", **arrays)  # pyright: ignore[reportArgumentType]
    return folder


def test_names_of_arrays_become_groups_ids_strata_and_columns(root: Path) -> None:
    cases = Arrays(path="cells.npz", group="patient", id="ids", stratify="stain").load(root)
    assert cases.ids[:2] == ("cell0", "cell1")
    assert cases.groups == ("0", "0", "1", "1", "2", "2", "3", "3")
    assert cases.strata == ("dark", "bright") * 4
    assert cases.columns == {"patient": (0, 0, 1, 1, 2, 2, 3, 3), "stain": ("dark", "bright") * 4}
    assert cases.task.classes == ("background", "foreground")
    assert (cases.task.kind, cases.task.channels, cases.task.size) == ("segmentation", 3, (10, 14))
    stored = np.load(root / "cells.npz")
    assert np.allclose(cases.images.numpy(), stored["images"].transpose(0, 3, 1, 2) / 255)
    assert np.array_equal(cases.labels.numpy(), stored["masks"])


@pytest.mark.parametrize(
    ("shape", "dims", "wanted"),
    [
        ((5, 6, 7), 2, (5, 1, 6, 7)),
        ((5, 6, 7, 3), 2, (5, 3, 6, 7)),
        ((5, 6, 7, 1), 2, (5, 1, 6, 7)),
        ((5, 6, 7, 4), 2, (5, 4, 6, 7)),
        ((5, 3, 6, 7), 2, (5, 3, 6, 7)),
        ((5, 2, 6, 7), 2, (5, 2, 6, 7)),
        ((5, 8, 6, 7), 3, (5, 1, 8, 6, 7)),
        ((5, 8, 6, 7, 3), 3, (5, 3, 8, 6, 7)),
        ((5, 2, 8, 6, 7), 3, (5, 2, 8, 6, 7)),
    ],
)
def test_the_axis_of_channels(tmp_path: Path, shape: tuple, dims: int, wanted: tuple) -> None:
    images = CHANCE.random(shape).astype(np.float32)
    cases = Arrays(path="a.npz", target="y", dims=dims).load(save(tmp_path, images=images, y=np.arange(5) % 2))
    assert cases.images.shape == wanted
    assert cases.task.dims == dims
    assert cases.images.sum() == pytest.approx(images.sum(), rel=1e-5)
    if len(shape) == 4 and dims == 2 and shape[-1] in (3, 4):
        assert torch.equal(cases.images[1, 2], torch.from_numpy(images[1, :, :, 2]))


def test_eight_and_sixteen_bits_become_zero_to_one_unless_told(tmp_path: Path) -> None:
    y = np.array([0, 1])
    for dtype, largest in ((np.uint8, 255), (np.uint16, 65535)):
        images = np.array([0, largest], dtype=dtype).reshape(2, 1, 1)
        save(tmp_path, images=images, y=y)
        assert Arrays(path="a.npz", target="y").load(tmp_path).images.flatten().tolist() == [0.0, 1.0]
        plain = Arrays(path="a.npz", target="y", scale=False).load(tmp_path)
        assert plain.images.flatten().tolist() == [0.0, largest]
    save(tmp_path, images=np.array([-1000, 400], dtype=np.int16).reshape(2, 1, 1), y=y)
    assert Arrays(path="a.npz", target="y").load(tmp_path).images.flatten().tolist() == [-1000.0, 400.0]


@pytest.mark.parametrize(
    ("labels", "classes", "wanted"),
    [
        ([0, 1, 2, 1], ("0", "1", "2"), [0, 1, 2, 1]),
        ([[0], [1], [1], [0]], ("0", "1"), [0, 1, 1, 0]),
        ([0.0, 1.0, 1.0, 0.0], ("0", "1"), [0, 1, 1, 0]),
        (["sick", "healthy", "sick", "sick"], ("healthy", "sick"), [1, 0, 1, 1]),
    ],
)
def test_labels(tmp_path: Path, labels: list, classes: tuple, wanted: list) -> None:
    cases = Arrays(path="a.npz", target="y").load(save(tmp_path, images=np.zeros((4, 5, 5)), y=np.array(labels)))
    assert cases.task.classes == classes
    assert cases.labels.tolist() == wanted


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0, 2, 2, 0], "wrong labels in 'y': found 0, 2; they must be 0, 1, ..., K - 1, or texts"),
        ([1, 2, 2, 1], "found 1, 2"),
        ([0.5, 1, 1, 0], "found 0, 0.5, 1"),
        ([0, 0, 0, 0], "at least two classes"),
    ],
)
def test_wrong_labels(tmp_path: Path, labels: list, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Arrays(path="a.npz", target="y").load(save(tmp_path, images=np.zeros((4, 5, 5)), y=np.array(labels)))


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (False, True), (0.0, 1.0)])
def test_masks_of_two_values(values: tuple) -> None:
    masks = np.array(values)[CHANCE.integers(0, 2, (3, 4, 4))]
    labels, classes = read_masks(masks, "abc")
    assert classes == ("background", "foreground")
    assert np.array_equal(labels, masks != 0)
    assert labels.dtype == np.int64


def test_masks_of_several_classes() -> None:
    masks = np.arange(36).reshape(3, 3, 4) % 4
    labels, classes = read_masks(masks.astype(np.uint8), "abc")
    assert classes == ("background", "1", "2", "3")
    assert np.array_equal(labels, masks)


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ([0, 128, 255], "wrong mask values: found 0, 128, 255; 128 is first met in 'b'"),
        ([0, 1, 255], "found 0, 1, 255; 255 is first met in 'b'"),
        ([0, 2], "found 0, 2; 2 is first met in 'b'"),
        ([-1, 0, 1], "-1 is first met in 'b'"),
        ([0, 0.5, 1], "0.5 is first met in 'b'"),
        ([0, 1, np.nan], "nan is first met in 'b'"),
        (list(range(200)), r"\.\.\. \(200 different values\)"),
        (["yes", "no"], "found no, yes"),
    ],
)
def test_wrong_mask_values_are_listed(odd: list, says: str) -> None:
    masks = np.full((3, 15, 15), np.array(odd)[0 if odd[0] != -1 else 1])
    masks[1].flat[: len(odd)] = odd
    with pytest.raises(UserError, match=says):
        read_masks(masks, "abc")


def test_masks_with_an_axis_of_one_channel(tmp_path: Path) -> None:
    masks = CHANCE.integers(0, 2, (4, 5, 6))
    for shaped in (masks, masks[:, None], masks[..., None]):
        cases = Arrays(path="a.npz").load(save(tmp_path, images=np.zeros((4, 5, 6)), masks=shaped))
        assert np.array_equal(cases.labels.numpy(), masks)


def test_volumes(tmp_path: Path) -> None:
    masks = CHANCE.integers(0, 3, (4, 8, 5, 6))
    save(tmp_path, images=CHANCE.random((4, 8, 5, 6)), masks=masks)
    cases = Arrays(path="a.npz", dims=3).load(tmp_path)
    assert cases.task.size == (8, 5, 6)
    assert cases.labels.shape == (4, 8, 5, 6)
    with pytest.raises(UserError, match="are these volumes"):
        Arrays(path="a.npz").load(tmp_path)
    save(tmp_path, images=CHANCE.random((4, 1, 8, 5, 6)), masks=masks)
    with pytest.raises(UserError, match=r"with dims=2 they must have 3 axes, or 4 with channels \(volumes: dims=3\)"):
        Arrays(path="a.npz").load(tmp_path)


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    images, masks = np.zeros((4, 5, 6)), np.zeros((4, 5, 6), int)
    for arrays, says in (
        ({"images": images, "masks": masks[:, :4]}, r"images of \(5, 6\) and a target 'masks' of \(4, 6\) do not fit$"),
        ({"images": images, "masks": masks[:3]}, r"4 images, and the array 'masks' is \(3, 5, 6\)"),
        ({"images": images, "masks": np.array(0)}, r"4 images, and the array 'masks' is \(\)"),
        ({"images": np.array(list("abcd")), "masks": masks}, "they must be numbers"),
        ({"images": np.zeros(4), "masks": masks}, r"are \(4,\); with dims=2 they must have 3 axes"),
        ({"images": images, "masks": masks}, "class 'foreground' is empty"),
    ):
        with pytest.raises(UserError, match=says):
            Arrays(path="a.npz").load(save(tmp_path, **arrays))


def test_a_missing_array_lists_those_there(root: Path) -> None:
    with pytest.raises(UserError, match="has no array 'photos'; it has images, masks, patient, ids, stain"):
        Arrays(path="cells.npz", image="photos").load(root)
    with pytest.raises(UserError, match="has no array 'centre'"):
        Arrays(path="cells.npz", group="centre").load(root)


def test_a_file_that_is_no_npz(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no arrays")
    np.save(tmp_path / "single.npy", np.zeros(3))
    np.savez(tmp_path / "objects.npz", images=np.array([{}, {}]), masks=np.zeros(2))
    (tmp_path / "broken.npz").write_bytes((tmp_path / "objects.npz").read_bytes()[:200])
    for name in ("text.npz", "single.npy", "objects.npz", "broken.npz", "."):
        with pytest.raises(UserError, match=r"cannot be read as a \.npz file of plain arrays"):
            Arrays(path=name).load(tmp_path)


def test_a_missing_file_says_where_was_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHICHLOSS_DATA", str(tmp_path / "else"))
    with pytest.raises(UserError) as caught:
        Arrays(path="cells.npz").load([tmp_path / "one", tmp_path / "two"])
    message = str(caught.value)
    for part in ("'cells.npz'", "one", "two", "else", str(Path.cwd()), "--data-root", "WHICHLOSS_DATA", "own folder"):
        assert part in message


def test_nuclei(shared: Path) -> None:
    text = "Arrays('dsb2018_128.npz', group='dup_group', id='ids', stratify='kind')"
    cases = parse(text, DataSet).load(shared / "dsb2018")
    assert len(cases) == 531
    assert (cases.task.channels, cases.task.size) == (3, (128, 128))
    assert set(cases.strata or ()) == {"gray_dark", "color_bright", "gray_bright"}
    assert 0.1 < cases.labels.float().mean() < 0.2
    assert cases.images.min() >= 0
    assert 0.9 < cases.images.max() <= 1


def test_pneumonia_and_digits(shared: Path) -> None:
    cases = Arrays(path="pneumoniamnist.npz", image="val_images", target="val_labels").load(shared / "pneumoniamnist")
    assert torch.bincount(cases.labels).tolist() == [135, 389]
    assert cases.task.size == (28, 28)
    digits = Arrays(path="mnist.npz", image="x_test", target="y_test").load(shared / "mnist")
    assert (len(digits), digits.task.outputs) == (10_000, 10)
    assert digits.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_detection(root: Path) -> None:
    data = Arrays(path="patches.npz", target="hit", volume="scan", candidate="mark", lesion="nodule", group="patient")
    cases = data.load(root)
    assert (cases.task.kind, cases.task.classes, cases.task.outputs) == ("detection", ("no lesion", "lesion"), 1)
    assert cases.labels.tolist() == [1, 1, 1, 0, 0, 1, 1, 0]
    assert cases.groups == ("p0",) * 6 + ("p1",) * 2
    assert cases.candidates is not None
    assert cases.candidates.numbers.tolist() == [0, 0, 1, 2, 3, 4, 5, 6], "marks 0 of three scans are three candidates"
    assert cases.candidates.lesion == ("7", "7", "7", "", "", "8", "7", "")
    answer, candidate, volume, lesion = cases.truth(range(8)).T.tolist()
    assert answer == cases.labels.tolist()
    assert candidate == cases.candidates.numbers.tolist()
    assert volume == [0, 0, 0, 0, 1, 1, 2, 2]
    assert lesion == [0, 0, 0, -1, -1, 1, 2, -1], "nodule 7 of another scan is another lesion"


def test_detection_where_little_is_told(root: Path) -> None:
    """Each case is a candidate, each positive one a lesion, and volumes are the groups."""
    cases = Arrays(path="patches.npz", target="hit", volume="scan").load(root)
    assert cases.groups == ("s0", "s0", "s0", "s0", "s1", "s1", "s2", "s2")
    truth = cases.truth(range(8))
    assert truth[:, 1].tolist() == list(range(8))
    assert truth[:, 3].tolist() == [0, 1, 2, -1, -1, 3, 4, -1]


@pytest.mark.parametrize(
    "lesion", [[5, -1, 6, -1], [5.0, np.nan, 6.0, -1.0], ["5", "", "6", ""], ["5", "-1", "6", "nan"]]
)
def test_what_names_no_lesion(tmp_path: Path, lesion: list) -> None:
    save(tmp_path, images=np.zeros((4, 5, 5)), y=np.array([1, 0, 1, 0]), v=np.zeros(4), lesion=np.array(lesion))
    cases = Arrays(path="a.npz", target="y", volume="v", lesion="lesion").load(tmp_path)
    assert cases.truth(range(4))[:, 3].tolist() == [0, -1, 1, -1]


def test_a_positive_candidate_of_an_unnamed_lesion_is_one_of_its_own(tmp_path: Path) -> None:
    save(tmp_path, images=np.zeros((4, 5, 5)), y=np.array([1, 1, 1, 0]), v=np.zeros(4), l=np.array([3, -1, 3, -1]))
    cases = Arrays(path="a.npz", target="y", volume="v", lesion="l").load(tmp_path)
    assert cases.truth(range(4))[:, 3].tolist() == [0, 1, 0, -1]


@pytest.mark.parametrize("target", [[True, False, True, False], [1.0, 0.0, 1.0, 0.0], [[1], [0], [1], [0]]])
def test_forms_of_a_target_of_detection(tmp_path: Path, target: list) -> None:
    save(tmp_path, images=np.zeros((4, 5, 5)), y=np.array(target), v=np.arange(4)[:, None] // 2)
    assert Arrays(path="a.npz", target="y", volume="v").load(tmp_path).labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y": np.array([0, 1, 2, 0])}, "the target 'y' is 0, 1, 2; volume='v' makes it detection, which needs 1 for"),
        ({"y": np.array(list("abab"))}, "the target 'y' is a, b; volume='v' makes it detection"),
        ({"y": np.array([0, 1, np.nan, 0])}, "the target 'y' is 0, 1, nan; "),
        ({"y": np.zeros((4, 5, 5), int)}, r"the target 'y' is an array of shape \(4, 5, 5\); volume='v'"),
        ({"y": np.zeros(4, int)}, "class 'lesion' is empty"),
        ({"v": np.zeros(3)}, r"4 images, and the array 'v' is \(3,\)"),
        ({"v": np.zeros((4, 2))}, r"volume='v' is \(4, 2\); it must hold one entry for each image"),
        ({"c": np.array([0, 0, 1, 1])}, "views of candidate '0/0' have different labels"),
        ({"c": np.array([0, 1, 0, 1]), "l": np.array([1, -1, 2, -1])}, "candidate '0/0' are of two .* lesions"),
        ({"l": np.array([1, 2, 1, -1])}, "candidate '1' hits lesion '2' and is labelled 'no lesion'"),
        ({"g": np.array([1, 2, 1, 1])}, "the volume '0' is of two groups, '1' and '2'\n  hint: where 'v' begins anew"),
    ],
)
def test_what_does_not_fit_in_detection(tmp_path: Path, change: dict, says: str) -> None:
    plain = {"y": [1, 0, 1, 0], "v": [0] * 4, "c": range(4), "l": [1, -1, 2, -1], "g": [1] * 4}
    arrays = {name: np.array(array) for name, array in plain.items()} | change
    save(tmp_path, images=np.zeros((4, 5, 5)), **arrays)
    more: dict[str, Any] = {field: field[0] for field in ("candidate", "lesion", "group") if field[0] in change}
    with pytest.raises(UserError, match=says):
        Arrays(path="a.npz", target="y", volume="v", **more).load(tmp_path)


def test_fields_that_only_detection_has() -> None:
    for field in ("candidate", "lesion"):
        with pytest.raises(UserError, match=f"{field} is 'c', and no volume is named; detection needs volume='scan'"):
            parse(f"Arrays('a.npz', {field}='c')", DataSet)
    with pytest.raises(FieldError, match="volume asks for lesions, and quantity for a number"):
        Arrays(path="a.npz", volume="v", quantity="age")


def test_lung_nodule_candidates(shared: Path) -> None:
    folder = shared / "luna16_patches"
    if not folder.is_dir():
        pytest.skip("the patches of LUNA16 candidates are not in this copy of the real data")
    data = Arrays(path="luna16_patches.npz", image="images", target="labels", volume="pseudo_scan")
    cases = data.load(folder)
    truth = cases.truth(range(len(cases)))
    assert len(cases) == 6561
    assert cases.task.size == (50, 50)
    assert len(set(cases.groups)) == len(truth[:, 2].unique()) == 710
    assert len(truth[:, 1].unique()) == 6561
    assert truth[:, 3].unique().tolist() == list(range(-1, 1112))
