"""`whichloss init`: what it finds in each layout, what it says looks wrong, and that what it writes runs as it is."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from layouts import (
    blob,
    grey,
    put,
    write_bowl,
    write_classes,
    write_decathlon,
    write_domains,
    write_heads,
    write_nnunet,
    write_splits,
    write_tables,
)
from small_scans import noise, volume, write_dicom, write_nifti
from small_studies import Answer, cli, execute_here
from whichloss.core import Task, UserError, parse
from whichloss.data import DataSet
from whichloss.data.folder import Folder
from whichloss.init import as_study, guess, look, recognise
from whichloss.init.budget import EPOCHS, FEWEST, SECONDS, budget
from whichloss.init.copies import near
from whichloss.init.patients import pattern_of
from whichloss.networks import Network
from whichloss.study.read import read_study

Init = Callable[..., Answer]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step takes no time, so that clocks decide nothing here; and runs need no workers."""
    monkeypatch.setattr("whichloss.init.budget._pace", lambda *asked: (1e-6, 1e-6))
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    monkeypatch.delenv("WHICHLOSS_DATA", raising=False)


@pytest.fixture
def init(tmp_path: Path) -> Init:
    return lambda *arguments: cli("init", *arguments, here=tmp_path)


def pairs(folder: Path, count: int = 12, masks: str = "masks", **changes: Any) -> Path:
    """Bright discs on a dark ground, one patient each two; `changes` replace masks by name."""
    chance = np.random.default_rng(0)
    for i in range(count):
        rows, columns = np.mgrid[:24, :28]
        disc = (rows - 12) ** 2 + (columns - chance.integers(8, 20)) ** 2 < 25 + i
        put(
            folder / "images" / f"patient{i // 2}_slice{i}.png",
            (disc * 150 + chance.integers(0, 80, disc.shape)).astype(np.uint8),
        )
        mask = changes.get(f"m{i}", disc.astype(np.uint8) * 255)
        put(folder / masks / f"patient{i // 2}_slice{i}.png", mask)
    return folder


def written(folder: Path) -> str:
    return (folder / "study.yaml").read_text(encoding="utf-8")


def run(folder: Path, *arguments: Any) -> Answer:
    short = "training.stages=[{epochs: 1, batch: 8}]"
    return cli("run", "study.yaml", "--set", short, *arguments, here=folder)


# every layout: recognised, written in at most 25 lines, and run

LAYOUTS: dict[str, tuple[Callable[[Path, np.random.Generator], Any], str, str, str]] = {
    "pairs": (lambda f, c: pairs(f / "d"), "d", "Folder", "segmentation"),
    "numbered objects in a zip": (lambda f, c: _objects(f), "d.zip", "Folder", "segmentation"),
    "classes": (lambda f, c: write_classes(f / "d", c, 12), "d", "ClassFolders", "classification"),
    "domains": (lambda f, c: write_domains(f / "d", c, 8), "d", "ClassFolders", "classification"),
    "bowl": (lambda f, c: write_bowl(f / "d", c, 8), "d", "CaseFolders", "segmentation"),
    "table": (lambda f, c: write_tables(f, c, 16), "cases.csv", "Table", "classification"),
    "table of masks": (lambda f, c: write_tables(f, c, 16), "outlines.csv", "Table", "segmentation"),
    "table of numbers": (lambda f, c: write_tables(f, c, 16), "ages.csv", "Table", "regression"),
    "nnU-Net": (lambda f, c: write_nnunet(f / "Dataset007_D", c, 8), "Dataset007_D", "NnUnet", "segmentation"),
    "Decathlon": (lambda f, c: write_decathlon(f / "Task01_D", c, 8), "Task01_D", "Decathlon", "segmentation"),
    "volumes": (lambda f, c: write_heads(f / "d", c, 8), "d", "Folder", "segmentation"),
    "series": (lambda f, c: _series(f / "d"), "d", "ClassFolders", "classification"),
    "medmnist": (lambda f, c: write_splits(f, c, 3), "medmnist.npz", "SplitArrays", "classification"),
    "keras": (lambda f, c: write_splits(f, c, 3), "keras.npz", "SplitArrays", "classification"),
    "arrays": (lambda f, c: _arrays(f), "d.npz", "Arrays", "segmentation"),
    "arrays of numbers": (lambda f, c: _numbers(f), "d.npz", "Arrays", "regression"),
    "a folder around it": (lambda f, c: pairs(f / "outer" / "inner"), "outer", "Folder", "segmentation"),
}


def _objects(folder: Path) -> None:
    """Twelve objects an image, numbered one by one, as nuclei are."""
    chance, work = np.random.default_rng(1), folder / "work"
    for i in range(8):
        mask = np.kron(np.arange(1, 13, dtype=np.uint16).reshape(3, 4), np.pad(np.ones((5, 5), np.uint16), 3))
        put(work / "images" / f"{i}.png", np.where(mask > 0, 200, chance.integers(0, 90, mask.shape)).astype(np.uint8))
        put(work / "labels" / f"{i}.png", mask)
    shutil.make_archive(str(folder / "d"), "zip", work)


def _series(folder: Path) -> None:
    for kind, shift in (("ill", 0), ("well", 900)):
        for i in range(8):
            write_dicom(
                folder / kind / f"p{i}{kind}", volume(noise((6, 8, 8), seed=i) + np.int16(shift), direction=np.eye(3))
            )


def _arrays(folder: Path) -> None:
    chance = np.random.default_rng(2)
    images = chance.integers(0, 256, (16, 24, 24, 3), dtype=np.uint8)
    np.savez(folder / "d.npz", images=images, masks=blob(images[..., 0]), patient_id=np.arange(16) // 2,
             ids=np.array([f"c{i}" for i in range(16)]))  # fmt: skip


def _numbers(folder: Path) -> None:
    images = np.random.default_rng(3).integers(0, 256, (30, 16, 16), dtype=np.uint8)
    np.savez(folder / "d.npz", images=images, labels=images.mean((1, 2)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_study_of_every_layout_runs_as_it_is(layout: str, init: Init, tmp_path: Path) -> None:
    write, path, reader, kind = LAYOUTS[layout]
    write(tmp_path, np.random.default_rng(7))
    answer = init(path)
    assert (answer.code, answer.err) == (0, "")
    text = written(tmp_path)
    assert len(text.splitlines()) <= 25
    study = read_study(tmp_path / "study.yaml")
    assert reader in repr(study.data[0]) and kind in answer.out
    ended = run(tmp_path)
    assert ended.code == 0, ended.err
    assert "report.html" in ended.out


def test_what_was_found_is_printed_and_commented(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "d")
    out = init("d").out
    for said in ("12", "6, by their names: 'patient0_slice0' is of 'patient0'", "24 x 28, 1 channels", "UNet", "Dice()",
                 "of all", "3 folds", "wrote study.yaml; next: whichloss run study.yaml"):  # fmt: skip
        assert said in out, said
    text = written(tmp_path)
    assert "# 12 cases of 6 patients, segmentation" in text
    assert "all foreground: a Dice of 0." in text
    assert "data: Folder('d', group=" in text


def test_as_json(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "d")
    told = json.loads(init("d", "--json").out)
    assert told["guessed"]["kind"] == "segmentation"
    assert told["found"]["cases"] == "12"
    assert told["wrong"] == []
    assert told["written"] == "study.yaml"
    assert parse(told["guessed"]["data"], DataSet).load(tmp_path).groups[:3] == ("patient0", "patient0", "patient1")


# where files lie


def test_nothing_is_overwritten(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "d")
    assert init("d").code == 0
    before = written(tmp_path)
    again = init("d")
    assert again.code == 2
    assert "study.yaml is there already, and is not overwritten; choose another with --out FILE" in again.err
    assert written(tmp_path) == before
    assert init("d", "--out", "other.yaml").code == 0


def test_paths_with_spaces_and_other_letters(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "Köpfe, 2. Teil #1" / 'it\'s: "mine"')
    assert init('Köpfe, 2. Teil #1/it\'s: "mine"').code == 0
    assert run(tmp_path).code == 0
    assert str(tmp_path) not in written(tmp_path)


def test_a_study_with_an_odd_name_of_its_file(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "d")
    assert init("d", "--out", "my stüdy.yaml").code == 0
    assert read_study(tmp_path / "my stüdy.yaml").name == "study"


def test_paths_are_relative_to_the_study_or_the_data_root(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "lake" / "d")
    assert init("lake/d").code == 0
    assert "Folder('lake/d'" in written(tmp_path)
    (tmp_path / "study.yaml").unlink()
    assert init("d", "--data-root", "lake").code == 0
    assert "Folder('d'" in written(tmp_path)
    assert run(tmp_path, "--data-root", "lake").code == 0
    assert "--data-root lake" in written(tmp_path)
    assert init(tmp_path / "lake" / "d", "--out", "deep/er/s.yaml").code == 0
    elsewhere = read_study(tmp_path / "deep" / "er" / "s.yaml").data[0]
    assert str(tmp_path) in repr(elsewhere)
    assert len(elsewhere.load()) == 12


def test_a_link_to_the_data_stays_a_link(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "far" / "away")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "d").symlink_to(tmp_path / "far" / "away")
    assert init("here/d", "--out", "here/study.yaml").code == 0
    assert "Folder('d'" in (tmp_path / "here" / "study.yaml").read_text()


def test_the_folder_of_the_data_is_a_good_place_for_a_study(tmp_path: Path) -> None:
    write_classes(tmp_path, np.random.default_rng(0), 12)
    assert cli("init", ".", here=tmp_path).code == 0
    assert run(tmp_path).code == 0
    assert run(tmp_path).code == 0  # again, with the store beside the classes


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda f: (f / "d").mkdir(), "d holds no images"),
        (lambda f: put(f / "d" / "a.png", np.eye(4, dtype=np.uint8)), "d holds 1 images without labels"),
        (lambda f: put(f / "d" / "ill" / "a.png", np.eye(4, dtype=np.uint8)), "images of one class, 'ill'"),
        (lambda f: (f / "d").write_text("x"), "is no data set that is known"),
        (lambda f: None, "there is no 'd'"),
        (lambda f: _two(f / "d"), r"holds several data sets; name one: d/a\.npz, d/b\.npz"),
        (lambda f: pairs(f / "d", 4), "2 patients are too few for a study"),
        (lambda f: _unnamed(f / "d"), r"has no array of labels or masks, one for each of 8 images; it has pixels"),
    ],
)  # fmt: skip
def test_what_is_no_data_set_is_told(make: Callable[[Path], Any], says: str, init: Init, tmp_path: Path) -> None:
    make(tmp_path)
    answer = init("d")
    assert answer.code == 2
    assert answer.err.startswith("whichloss: ") and "Traceback" not in answer.err
    assert re.search(says, answer.err), answer.err
    assert not (tmp_path / "study.yaml").exists()


def _two(folder: Path) -> None:
    folder.mkdir()
    for name in "ab":
        np.savez(folder / f"{name}.npz", images=np.zeros((4, 4, 4)), labels=np.arange(4) % 2)


def _unnamed(folder: Path) -> None:
    folder.mkdir()
    np.savez(folder / "a.npz", pixels=np.zeros((8, 4, 4)), other=np.zeros(3))


# what looks wrong


def wrong(answer: Answer) -> str:
    assert "Traceback" not in answer.err
    return answer.out[answer.out.find("looks wrong") :]


def test_masks_of_two_forms(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "d", m3=np.eye(24, 28, dtype=np.uint8))
    assert "1 masks hold 0 and 1, 11 hold 0 and 255; all above 0 is foreground" in wrong(init("d"))
    assert "above=0" in written(tmp_path)
    assert run(tmp_path).code == 0


def test_soft_edges_and_odd_values(init: Init, tmp_path: Path) -> None:
    soft = np.pad(np.full((12, 14), 255, np.uint8), ((6, 6), (7, 7)))
    soft[6:18, (6, 21)] = (64, 192)
    pairs(tmp_path / "d", **{f"m{i}": soft for i in range(12)})
    assert "masks have soft edges" in init("d").out
    assert "above=127.5" in written(tmp_path)
    pairs(
        tmp_path / "e",
        **{f"m{i}": np.array([[0, 2, 7] * 8] * 24, np.uint8)[:, :24].repeat(2, 1)[:, :28] for i in range(12)},
    )
    assert "masks hold 0, 2, 7, which are no classes" in init("e", "--out", "e.yaml").out


def test_empty_and_full_masks(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "d", m3=np.zeros((24, 28), np.uint8), m5=np.full((24, 28), 255, np.uint8))
    said = wrong(init("d"))
    assert "1 masks are empty, such as patient1_slice3" in said
    assert "1 masks have no background, such as patient2_slice5" in said


def test_all_masks_empty_stop(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "d", **{f"m{i}": np.zeros((24, 28), np.uint8) for i in range(12)})
    answer = init("d")
    assert answer.code == 2 and "all masks are empty" in wrong(answer)
    assert "nothing is written: mend the data first" in answer.out
    assert not (tmp_path / "study.yaml").exists()


def test_what_cannot_be_read_or_does_not_fit_stops_and_is_named(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "d", m4=np.zeros((20, 20), np.uint8))
    (tmp_path / "d" / "images" / "patient0_slice1.png").write_bytes(b"broken")
    answer = init("d")
    assert answer.code == 2
    assert "2 cases cannot be read, or do not fit" in wrong(answer)
    assert "patient0_slice1.png cannot be read as a picture" in answer.out
    assert "patient2_slice4.png is 24 x 28 (height x width), its mask patient2_slice4.png is 20 x 20" in answer.out


def test_a_missing_mask_is_a_mistake(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "d")
    (tmp_path / "d" / "masks" / "patient0_slice1.png").unlink()
    answer = init("d")
    assert answer.code == 2 and "no mask for patient0_slice1.png" in answer.err


def test_blank_and_coloured_images(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "d")
    put(tmp_path / "d" / "images" / "patient0_slice0.png", np.full((24, 28), 9, np.uint8))
    put(tmp_path / "d" / "images" / "patient4_slice9.png", np.dstack([grey(np.random.default_rng(0), 24, 28)] * 3))
    said = wrong(init("d"))
    assert "1 images are blank, one grey value all over: patient0_slice0" in said
    assert "images differ in channels: 11 with 1, 1 with 3; all become 3" in said
    assert "channels=3" in written(tmp_path)


def test_copies_across_patients_stop_where_there_are_many(init: Init, tmp_path: Path) -> None:
    write_classes(tmp_path / "d", np.random.default_rng(0), 40)
    shutil.copy(tmp_path / "d" / "bright" / "p0a_0.png", tmp_path / "d" / "bright" / "p91a_1.png")
    few = init("d")
    assert few.code == 0
    assert "1 images stand there twice, to the last bit: 'bright/p0a_0' is 'bright/p91a_1'; leave out" in wrong(few)
    for i in range(4):
        shutil.copy(tmp_path / "d" / "bright" / f"p{i}a_{2 * i}.png", tmp_path / "d" / "dark" / f"p9{i}c_1.png")
    many = init("d", "--out", "m.yaml")
    assert many.code == 2 and "STOP       5 images stand there twice" in many.out
    assert "4 images have two labels" in many.out


def test_copies_of_one_patient_do_no_harm(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "d")
    for i in (0, 2, 4):
        for folder in ("images", "masks"):
            names = [tmp_path / "d" / folder / f"patient{i // 2}_slice{k}.png" for k in (i, i + 1)]
            shutil.copy(*names)
    answer = init("d")
    assert answer.code == 0
    assert "3 images stand there twice" in wrong(answer) and "leave out" not in wrong(answer)


def test_nearly_the_same_image_is_shown(init: Init, tmp_path: Path) -> None:
    write_classes(tmp_path / "d", np.random.default_rng(0), 12)
    smooth = ndimage.gaussian_filter(np.random.default_rng(4).random((48, 56)), 4)
    picture = Image.fromarray((255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8))
    picture.save(tmp_path / "d" / "dark" / "p3b_7.png")
    picture.resize((40, 36), Image.Resampling.BICUBIC).save(tmp_path / "d" / "dark" / "p77b_1.png")
    assert "1 pairs of images look nearly the same: 'dark/p3b_7' and 'dark/p77b_1'" in wrong(init("d"))


def test_noise_looks_like_no_other_noise() -> None:
    chance = np.random.default_rng(0)
    table = chance.normal(size=(300, 1024)).astype(np.float32)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    marks = [str(i).encode() for i in range(300)]
    assert near(list(table), marks) == []
    twice = [*table, table[7] * np.float32(0.9999)]
    assert near(twice, [*marks, b"other"]) == [(7, 300)]
    assert near(twice, [*marks, marks[7]]) == []  # the same to the last bit is told elsewhere


def test_a_patient_in_train_and_in_test(init: Init, tmp_path: Path) -> None:
    write_tables(tmp_path, np.random.default_rng(0), 40)
    lines = (tmp_path / "cases.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    for i, row in enumerate(rows):
        row[4] = "train" if i < 21 else "test"  # patient 10 has the cases 20 and 21
    (tmp_path / "cases.csv").write_text("\n".join([lines[0], *map(",".join, rows)]))
    answer = init("cases.csv")
    assert answer.code == 0
    assert "1 patients are in train and in test: p10; the split that the data bring leaks" in wrong(answer)
    assert "design: {folds: 3" in written(tmp_path)
    for row in rows[20:22]:
        row[4] = "test"
    (tmp_path / "cases.csv").write_text("\n".join([lines[0], *map(",".join, rows)]))
    assert init("cases.csv", "--out", "b.yaml").code == 0
    assert "design: {split: given, seeds: 2}" in (tmp_path / "b.yaml").read_text()


def test_a_class_of_too_few_patients_stops(init: Init, tmp_path: Path) -> None:
    write_classes(tmp_path / "d", np.random.default_rng(0), 12)
    put(tmp_path / "d" / "rare" / "p55_0.png", grey(np.random.default_rng(1)))
    answer = init("d")
    assert answer.code == 2
    assert "class 'rare' has 1 patient, and each of 3 folds needs one to test" in wrong(answer)


def test_imbalance_and_spacing_are_mentioned(init: Init, tmp_path: Path) -> None:
    write_classes(tmp_path / "d", np.random.default_rng(0), 100)
    for file in sorted((tmp_path / "d" / "dark").iterdir())[4:]:
        file.unlink()
    for i in range(4):
        put(tmp_path / "d" / "dark" / f"p6{i}b_0.png", grey(np.random.default_rng(i)) // 2)
    init("d")
    for file in sorted((tmp_path / "d" / "dark").iterdir())[4:]:
        file.unlink()
    assert "100 cases of 'bright' and 4 of 'dark': accuracy says little here" in init("d", "--out", "x.yaml").out
    write_heads(tmp_path / "h", np.random.default_rng(0), 8)
    thick = volume(noise((9, 14, 16)), spacing=(1.0, 1.2, 20.0), direction=np.eye(3))
    write_nifti(tmp_path / "h" / "images" / "head0.nii.gz", thick)
    write_nifti(
        tmp_path / "h" / "masks" / "head0_seg.nii.gz",
        volume((noise((9, 14, 16)) > 0).astype(np.int16), thick.spacing, direction=np.eye(3)),
    )
    assert "spacings differ by more than 3 times" in init("h", "--out", "h.yaml").out


# the parts


@pytest.mark.parametrize(
    ("names", "patient"),
    [
        ([f"patient{i // 3}_slice{i}" for i in range(20)], "patient0"),
        ([f"ill/person{i // 2}_virus_{i}" for i in range(20)], "person0"),
        ([f"TCGA-AB-{i // 2:04d}-01A_{i}" for i in range(20)], "TCGA-AB-0000"),
        ([f"sub-{i // 2:02d}_ses-{i}" for i in range(20)], "sub-00"),
        ([f"{i // 4:03d}_{i}" for i in range(20)], "000"),
        ([f"ISIC_{i:07d}" for i in range(20)], None),
        ([f"patient{i}" for i in range(20)], None),  # one image each
        ([f"patient{i % 2}_{i}" for i in range(20)], "patient0"),
        ([f"img{i % 2}_{i}" for i in range(20)], None),  # two of what may be anything
        ([f"{i * 7919:016x}" for i in range(20)], None),
    ],
)
def test_patients_by_their_names(names: list[str], patient: str | None) -> None:
    pattern = pattern_of(names)
    found = None if pattern is None else re.search(pattern, names[0])
    assert (found[1] if found else None) == patient


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ap_-/0123456789tientsub", min_size=1, max_size=14), min_size=1, max_size=30, unique=True))
def test_a_pattern_finds_somebody_in_every_name(names: list[str]) -> None:
    pattern = pattern_of(names)
    if pattern is not None:
        data = Folder(path="x", group=pattern)
        patients = {data.patient(one) for one in names}
        assert 1 <= len(patients) < len(names)


@settings(max_examples=150, deadline=None)
@given(
    path=st.text(
        st.characters(exclude_categories=("Cs", "Cc", "Co"), exclude_characters="\x85\u2028\u2029"),
        min_size=1,
        max_size=40,
    ),
    stem=st.text(min_size=1, max_size=12),
)
def test_any_path_comes_back_from_the_file(tmp_path_factory: pytest.TempPathFactory, path: str, stem: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    found, seen = _guessed(folder)
    found = replace(found, data=Folder(path=path, group=r"^(p\d+)[-_']"))
    text = as_study(found, seen, path, stem, "whichloss run study.yaml")
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    assert read_study(folder / "study.yaml").data == (found.data,)
    assert len(text.splitlines()) <= 25


def _guessed(folder: Path):
    pairs(folder / "d", 12)
    seen = look(recognise(str(folder / "d")))
    return guess(seen), seen


def test_a_budget_is_kept_by_fewer_epochs_and_then_fewer_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    network = parse("SmallConvNet(width=2)", Network)
    task = Task(kind="classification", classes=("a", "b"), size=(8, 8))

    def at(pace: float):
        monkeypatch.setattr("whichloss.init.budget._pace", lambda *asked: (pace, pace / 3))
        return budget(network, task, 1, 8, cases=1000, runs=12, share=0.5, reading=0.0)

    free, tight, dear, endless = at(1e-9), at(0.0015), at(0.02), at(10.0)
    assert (free.cases, free.epochs) == (None, EPOCHS[1])
    assert tight.cases is None and EPOCHS[0] < tight.epochs < EPOCHS[1] and tight.seconds <= SECONDS
    assert dear.cases is not None and FEWEST < dear.cases < 1000 and dear.epochs == EPOCHS[0]
    assert dear.seconds <= SECONDS
    assert endless.cases == FEWEST


def test_a_subset_is_written_where_all_would_take_too_long(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whichloss.init.budget._pace", lambda *asked: (10.0, 1.0))
    write_classes(tmp_path / "d", np.random.default_rng(0), 80)
    answer = init("d")
    assert "60 of the cases, 12 epochs" in answer.out
    assert "data: Subset(ClassFolders('d'" in written(tmp_path) and "cases=60)" in written(tmp_path)
    assert "# 60 of the cases, for a first look in minutes; take Subset(...) away for all." in written(tmp_path)
    assert run(tmp_path).code == 0


def test_volumes_are_brought_to_a_size_that_a_small_machine_can_train(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for i in range(6):
        scan = volume(noise((30, 90, 100), seed=i), spacing=(0.8, 0.8, 3.0), direction=np.eye(3))
        write_nifti(tmp_path / "images" / f"h{i}.nii.gz", scan)
        write_nifti(
            tmp_path / "masks" / f"h{i}.nii.gz",
            volume((scan.values > 900).astype(np.int16), scan.spacing, direction=np.eye(3)),
        )
    found = guess(look(recognise(str(tmp_path))))
    assert np.prod(found.size) <= 64_000
    assert found.data.load().task.size == found.size
    spacing = found.data.spacing  # type: ignore[attr-defined]
    assert spacing[0] == 3.0 and spacing[1] == spacing[2] > 0.8  # thick slices stay, fine planes are thinned
    assert found.data.window[0] < found.data.window[1] <= 1500  # type: ignore[attr-defined]


def test_a_folder_that_may_not_be_written_is_told(init: Init, tmp_path: Path) -> None:
    pairs(tmp_path / "d")
    (tmp_path / "file").touch()
    answer = init("d", "--out", "file/study.yaml")
    assert answer.code == 2 and "cannot be written" in answer.err


def test_patients_in_folders_are_no_classes(tmp_path: Path) -> None:
    for kind in ("ill", "well"):
        for i in range(4):
            put(tmp_path / kind / f"{kind}{i}" / "a.png", grey(np.random.default_rng(i)))
    assert recognise(str(tmp_path)) == parse(f"ClassFolders({str(tmp_path)!r}, levels='class/group')", DataSet)
    write_domains(tmp_path / "sites", np.random.default_rng(0))
    assert recognise(str(tmp_path / "sites")).levels == "domain/class"  # type: ignore[attr-defined]


def test_recognising_a_wrong_archive(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no")
    with pytest.raises(UserError, match=r"cannot be read as a \.zip archive"):
        recognise(str(tmp_path / "a.zip"))
    (tmp_path / "a.npz").write_bytes(b"no")
    with pytest.raises(UserError, match=r"cannot be read as a \.npz file"):
        recognise(str(tmp_path / "a.npz"))


def test_the_guide_names_readers_and_fields_that_there_are() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")
    readers = re.findall(r"`([A-Z]\w+\(.*?\))`", guide)
    assert len(readers) >= 9
    for text in readers:
        parse(text, DataSet)
    fields = re.findall(r"^    (\w+=.*?)  ", guide, re.MULTILINE)
    assert {one.partition("=")[0] for one in fields} >= {
        "group",
        "size",
        "spacing",
        "window",
        "channels",
        "above",
        "ignore",
    }
    for text in fields:
        parse(f"Folder('x', {text})", DataSet)
