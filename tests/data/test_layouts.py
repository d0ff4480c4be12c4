"""Readers of files in every layout: what becomes a case, whose it is, and what is said about what does not fit."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layouts import blob, put, write_decathlon, write_nnunet
from whichloss.core import UserError, parse
from whichloss.data import Cases, DataSet, folds, given
from whichloss.data.folds import share_of


def load(text: str, root: Path) -> Cases:
    return parse(text, DataSet).load(root)


def pixels(path: Path) -> np.ndarray:
    """An independent look: grey or RGB, (channels, H, W), as 8 bit say."""
    image = np.asarray(Image.open(path)).astype(np.float64)
    return (image[None] if image.ndim == 2 else np.moveaxis(image[..., :3], -1, 0)) / 255


# class folders


def test_class_folders(root: Path) -> None:
    cases = load(r"ClassFolders('kinds', group='(p\\d+)')", root)
    assert cases.task.classes == ("bright", "dark")
    assert cases.ids[0] == "bright/p0a_0"
    assert cases.groups[:3] == ("p0", "p0", "p1")
    assert cases.labels.tolist() == [0] * 6 + [1] * 6
    np.testing.assert_allclose(cases.images[7], pixels(root / "kinds" / "dark" / "p0b_1.png"), atol=1e-6)


def test_domains_are_strata_and_a_column(root: Path) -> None:
    cases = load("ClassFolders('sites', levels='domain/class', channels=1)", root)
    assert cases.strata == cases.columns["domain"]
    assert set(cases.columns["domain"]) == {"north", "south"}
    assert cases.images.shape[1] == 1
    with pytest.raises(UserError, match=r"channels=1 or channels=3"):
        load("ClassFolders('sites', levels='domain/class')", root)


def test_colours_become_grey_as_pillow_has_it(root: Path) -> None:
    chance = np.random.default_rng(5)
    for name in ("a", "b"):
        put(root / "colour" / name / "x.png", chance.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    grey = load("ClassFolders('colour', channels=1)", root).images[0, 0]
    wanted = np.asarray(Image.open(root / "colour" / "a" / "x.png").convert("L"))
    np.testing.assert_allclose(grey * 255, wanted, atol=0.51)


def test_a_split_in_folders_is_the_given_split(root: Path) -> None:
    for side in ("train", "val", "test"):
        shutil.copytree(root / "kinds", root / "split" / side)
    cases = load("ClassFolders('split', levels='split/class')", root)
    assert [cases.sides.count(side) for side in ("train", "test")] == [24, 12]
    (root / "split" / "val").rename(root / "split" / "extra")
    with pytest.raises(UserError, match="'extra' is no part of a split; known are train, training, val"):
        load("ClassFolders('split', levels='split/class')", root)


def test_patients_may_have_folders(root: Path) -> None:
    for kind in ("ill", "well"):
        for person in ("anna", "bert"):
            put(root / "people" / kind / person / "1.png", np.eye(5, dtype=np.uint8))
            put(root / "people" / kind / person / "2.png", np.eye(5, dtype=np.uint8))
    cases = load("ClassFolders('people', levels='class/group')", root)
    assert cases.groups == ("anna", "anna", "bert", "bert") * 2


def test_levels_that_are_not_there(root: Path) -> None:
    with pytest.raises(UserError, match=r"holds no images in folders class/group"):
        load("ClassFolders('kinds', levels='class/group')", root)
    with pytest.raises(UserError, match="all cases are of class bright"):
        shutil.copytree(root / "kinds" / "bright", root / "one" / "bright")
        load("ClassFolders('one')", root)


def test_a_store_of_runs_beside_the_data_is_no_class(root: Path) -> None:
    (root / "kinds" / "whichloss-runs" / "runs" / "ab").mkdir(parents=True)
    (root / "kinds" / ".hidden").mkdir()
    assert load("ClassFolders('kinds')", root).task.classes == ("bright", "dark")


# pairs in archives, and with one more word in their names


def test_an_archive_is_read_like_a_folder(root: Path) -> None:
    packed = load("Folder('cells.zip/inside', masks='numbered', above=0)", root)
    unpacked = load("Folder('unpacked/inside', masks='numbered', above=0)", root)
    assert packed.digest == unpacked.digest
    drawn = np.asarray(Image.open(root / "unpacked" / "inside" / "numbered" / "c0.png"))
    assert np.array_equal(packed.labels[0], drawn > 0)
    assert len(load("Folder('cells.zip/inside', masks='numbered')", root).task.classes) == 10  # numbers are classes


def test_archives_that_are_none(root: Path) -> None:
    with pytest.raises(UserError, match=r"holds no 'outside'; it has inside"):
        load("Folder('cells.zip/outside')", root)
    (root / "broken.zip").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"cannot be read as a \.zip archive"):
        load("Folder('broken.zip')", root)


def test_masks_may_have_one_more_word(root: Path) -> None:
    before = load("Folder('cells')", root)
    for file in sorted((root / "cells" / "masks").iterdir()):
        file.rename(file.with_name(f"{file.stem}_segmentation.png"))
    assert load("Folder('cells')", root).digest == before.digest
    min((root / "cells" / "masks").iterdir()).unlink()
    with pytest.raises(UserError, match=r"no mask for p0_0\.png"):
        load("Folder('cells')", root)


def test_soft_edges_are_cut_at_a_value(root: Path) -> None:
    for name in "ab":
        put(root / "soft" / "images" / f"{name}.png", np.zeros((2, 4), np.uint8))
        put(root / "soft" / "masks" / f"{name}.png", np.array([[0, 90, 200, 255]] * 2, np.uint8))
    assert load("Folder('soft', above=127.5)", root).labels[0, 0].tolist() == [0, 0, 1, 1]


# a folder for each case


def test_objects_of_a_case_are_one_foreground(root: Path) -> None:
    for file in (root / "bowl").rglob("*.png"):  # all of one size, to be compared with the files
        Image.open(file).resize((24, 20), Image.Resampling.NEAREST).save(file)
    cases = load("CaseFolders('bowl', channels=3)", root)
    assert cases.ids == ("case0", "case1", "case2", "case3")
    for at, name in enumerate(cases.ids):
        union = sum(np.asarray(Image.open(one)).astype(int) for one in (root / "bowl" / name / "masks").iterdir()) > 0
        assert np.array_equal(cases.labels[at], union)


def test_a_case_without_masks_is_named(root: Path) -> None:
    shutil.rmtree(root / "bowl" / "case2" / "masks")
    with pytest.raises(UserError, match="the case case2 has no images in 'masks'"):
        load("CaseFolders('bowl', size=16, channels=3)", root)


# tables


def test_a_table_of_classes(root: Path) -> None:
    cases = load("Table('cases.csv')", root)
    assert cases.task.classes == ("bright", "dark")
    assert cases.ids[:2] == ("case0", "case1")
    assert cases.groups == ("p0", "p0", "p1", "p1", "p2", "p2", "p3", "p3")
    assert cases.strata == ("site0",) * 4 + ("site1",) * 4
    assert cases.columns["fold"] == ("0", "0", "1", "1") * 2
    assert cases.sides == ()


def test_a_table_of_masks_and_one_of_numbers(root: Path) -> None:
    cases = load("Table('outlines.csv')", root)
    assert cases.task.kind == "segmentation"
    assert np.array_equal(cases.labels[3], blob(np.asarray(Image.open(root / "listed" / "i3.png"))))
    ages = load("Table('ages.csv', quantity='age', unit='years')", root)
    assert (ages.task.kind, ages.task.quantity, ages.task.unit) == ("regression", "age", "years")
    assert ages.labels.tolist() == [30 + 3.5 * i for i in range(8)]


def test_folds_of_a_table_are_given_folds(root: Path) -> None:
    cases = load("Table('cases.csv')", root)
    parts = given("cases.csv", cases, root)
    assert [one.test for one in parts] == [(0, 1, 4, 5), (2, 3, 6, 7)]
    assert [one.train for one in parts] == [(2, 3, 6, 7), (0, 1, 4, 5)]


def test_a_column_fold_of_words_is_a_split(root: Path) -> None:
    text = (root / "outlines.csv").read_text().splitlines()
    sides = ["train", "TRAIN", "val", "test", "test", "train", "Test", "train"]
    (root / "outlines.csv").write_text(
        "\n".join([text[0] + ",fold", *map(",".join, zip(text[1:], sides, strict=True))])
    )
    assert load("Table('outlines.csv')", root).sides.count("test") == 3


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["id,label", "a,b"], r"has no column 'path'; it has 'id', 'label'\n  a table of cases has the columns"),
        ([], "has no column 'path', 'label'; it has nothing"),
        (["path,label"], "has no rows"),
        (["path,label", "listed/i0.png,a,b"], r"table.csv, row 2 has 3 cells; the first row names 2"),
        (["path,label", "listed/i0.png,"], r"row 2: the label is empty; leave out the row"),
        (["path,label", "", "listed/gone.png,a"], r"row 3: there is no .*gone\.png; paths begin at the folder"),
        (["path,label", "listed/i0.png,a", "listed/i0.png,b"], "two cases have the id 'listed/i0.png'"),
    ],
)
def test_a_wrong_table_is_told(root: Path, lines: list[str], says: str) -> None:
    (root / "table.csv").write_text("\n".join(lines))
    with pytest.raises(UserError, match=says):
        load("Table('table.csv')", root)


def test_a_quantity_is_a_number(root: Path) -> None:
    with pytest.raises(UserError, match="row 2: label is 'dark'; quantity='age' needs a number"):
        load("Table('cases.csv', quantity='age')", root)


def test_a_table_without_folds_gives_none(root: Path) -> None:
    cases = load("Table('outlines.csv')", root)
    with pytest.raises(UserError, match=r"must have the columns id \(or path\) and fold"):
        given("outlines.csv", cases, root)
    (root / "f.csv").write_text("id,fold\nlisted/i0.png,0\n")
    with pytest.raises(UserError, match="the column fold holds '0'; each case needs one of two or more"):
        given("f.csv", cases, root)


# nnU-Net and the Decathlon


def test_nnunet(root: Path) -> None:
    cases = load("NnUnet('Dataset001_Heads', size=(9, 14, 16))", root)
    assert cases.task.classes == ("background", "ventricle", "tumour")
    assert cases.ids == ("head_000", "head_001", "head_002", "head_003")
    assert cases.images.shape == (4, 2, 9, 14, 16)
    assert cases.images[0, 0].equal(cases.images[0, 1])  # the same file twice
    assert abs(float(cases.images[0].mean())) < 1e-5 and abs(float(cases.images[0].std()) - 1) < 1e-3


def test_nnunet_in_pictures(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    for i in range(4):
        shown = chance.integers(0, 256, (8, 8), dtype=np.uint8)
        put(tmp_path / "D" / "imagesTr" / f"c{i}_0000.png", shown)
        put(
            tmp_path / "D" / "labelsTr" / f"c{i}.png",
            np.where(shown > 200, 2, (shown > 90).astype(int)).astype(np.uint8),
        )
    facts = {"channel_names": {"0": "grey"}, "labels": {"background": 0, "cell": 1, "ignore": 2}, "file_ending": ".png"}
    (tmp_path / "D" / "dataset.json").write_text(json.dumps(facts))
    cases = load("NnUnet('D')", tmp_path)
    assert cases.task.classes == ("background", "cell")
    assert (cases.labels == -1).any()
    (tmp_path / "D" / "imagesTr" / "c2_0000.png").unlink()
    with pytest.raises(UserError, match=r"case 'c2' has no image c2_0000\.png in imagesTr"):
        load("NnUnet('D')", tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"labels": {"background": 0, "whole": [1, 2]}},
            r"'whole' are regions, made of several labels, which are not read",
        ),
        ({"file_ending": ".mha"}, r"labelsTr has no files that end in '\.mha'"),
        ({"labels": {}}, "names no labels"),
    ],
)
def test_a_wrong_dataset_json_is_told(root: Path, change: dict, says: str) -> None:
    file = root / "Dataset001_Heads" / "dataset.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UserError, match=says):
        load("NnUnet('Dataset001_Heads', size=8)".replace("8", "(8, 8, 8)"), root)


def test_the_decathlon_says_the_same_as_nnunet(root: Path) -> None:
    """The same volumes under two layouts; the second channel is halved, which a standard deviation of 1 takes away."""
    shutil.rmtree(root / "Dataset001_Heads")
    write_nnunet(root / "Dataset001_Heads", np.random.default_rng(8))
    shutil.rmtree(root / "Task99_Heads")
    write_decathlon(root / "Task99_Heads", np.random.default_rng(8))
    one = load("NnUnet('Dataset001_Heads', size=(9, 14, 16))", root)
    other = load("Decathlon('Task99_Heads', size=(9, 14, 16))", root)
    assert one.task.classes == other.task.classes
    assert one.labels.equal(other.labels)
    assert one.images[:, 0].equal(other.images[:, 0])
    assert (one.images[:, 1] - other.images[:, 1]).abs().max() < 0.01


def test_a_wrong_list_of_the_decathlon_is_told(root: Path) -> None:
    file = root / "Task99_Heads" / "dataset.json"
    facts = json.loads(file.read_text())
    for training, says in (
        ([], "has no list 'training'"),
        (["a.nii.gz"], "does not name an image and a label"),
        ([{"image": "./imagesTr/gone.nii.gz", "label": "x"}], "which is not there"),
    ):
        file.write_text(json.dumps(facts | {"training": training}))
        with pytest.raises(UserError, match=says):
            load("Decathlon('Task99_Heads')", root)
    file.write_text("{")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        load("Decathlon('Task99_Heads')", root)


# arrays with a split


def test_medmnist_brings_its_split(root: Path) -> None:
    cases = load("SplitArrays('medmnist.npz')", root)
    assert (cases.images.shape, cases.task.classes) == ((18, 3, 10, 10), ("0", "1", "2"))
    assert cases.sides == ("train",) * 12 + ("test",) * 6
    assert cases.ids[8:10] == ("train/8", "val/0")
    file = np.load(root / "medmnist.npz")
    np.testing.assert_allclose(cases.images[9], np.moveaxis(file["val_images"][0], -1, 0) / 255, atol=1e-6)
    assert cases.labels[12:].tolist() == file["test_labels"].ravel().tolist()


def test_arrays_without_a_known_split(root: Path) -> None:
    with pytest.raises(UserError, match=r"has no train_images and test_images, nor x_train and x_test; it has images"):
        load("SplitArrays('digits.npz')", root)
    file = dict(np.load(root / "medmnist.npz"))
    np.savez(root / "many.npz", **{k: v if "images" in k else np.repeat(v, 14, 1) for k, v in file.items()})
    with pytest.raises(UserError, match=r"several yes/no answers to one image \(ChestMNIST\) are not read"):
        load("SplitArrays('many.npz')", root)
    np.savez(root / "odd.npz", **(file | {"test_images": file["test_images"][:, 1:]}))
    with pytest.raises(UserError, match="train, val and test differ in shape"):
        load("SplitArrays('odd.npz')", root)


# some of the cases


def test_a_subset_keeps_patients_whole_and_classes_in_proportion(root: Path) -> None:
    for kind, count in (("many", 60), ("few", 20)):
        for i in range(count):
            put(
                root / "large" / kind / f"p{i // 2}{kind}_{i}.png",
                np.random.default_rng(i).integers(0, 255, (4, 4), np.uint8),
            )
    data = "ClassFolders('large', group='(p[0-9]+[a-z]+)_')"
    cases = load(f"Subset({data}, cases=40)", root)
    whole = load(data, root)
    assert len(cases) == 40
    assert cases.labels.tolist().count(1) == 30
    assert all(cases.groups.count(one) == whole.groups.count(one) for one in set(cases.groups))
    assert load(f"Subset({data}, cases=40, seed=1)", root).ids != cases.ids
    assert len(folds(cases, k=3, seed=0)) == 3
    with pytest.raises(UserError, match="80 cases of 80 are not fewer; leave out Subset"):
        load(f"Subset({data}, cases=80)", root)


def test_a_subset_reads_no_other_files(root: Path) -> None:
    chosen = load("Subset(ClassFolders('kinds'), cases=6)", root).ids
    for file in (root / "kinds").rglob("*.png"):
        if f"{file.parent.name}/{file.stem}" not in chosen:
            file.write_bytes(b"broken")
    assert load("Subset(ClassFolders('kinds'), cases=6)", root).ids == chosen


def test_a_subset_of_arrays_keeps_both_sides(root: Path) -> None:
    cases = load("Subset(SplitArrays('medmnist.npz'), cases=9)", root)
    assert [cases.sides.count(side) for side in ("train", "test")] == [6, 3]


def test_a_share_has_its_share_of_every_fact() -> None:
    facts = [("ill" if i % 4 == 0 else "well", "north" if i % 2 else "south") for i in range(200)]
    chosen = share_of([f"p{i}" for i in range(200)], facts, 0.3, np.random.default_rng(0))
    assert len(chosen) == 60
    assert sum(facts[i][0] == "ill" for i in chosen) == 15


def test_volumes_are_not_read_out_of_archives(root: Path) -> None:
    with zipfile.ZipFile(root / "heads.zip", "w") as archive:
        for file in (root / "heads").rglob("*.gz"):
            archive.write(file, file.relative_to(root / "heads"))
    with pytest.raises(UserError, match=r"volumes are not read out of a \.zip archive; unpack it"):
        load("Folder('heads.zip')", root)
