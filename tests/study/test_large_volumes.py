"""Volumes larger than memory: the same numbers from files as from memory, and no more memory than a part of them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from torch import Tensor

from small_scans import OBLIQUE, volume, write_meta, write_nifti
from small_studies import cli, execute_here, write_study
from whichloss.core import Task
from whichloss.core.rows import Rows, parts, slabs
from whichloss.data.files.image import normalised
from whichloss.data.folder import Folder
from whichloss.metrics import tune
from whichloss.metrics.segmentation.dice import Dice
from whichloss.metrics.thresholded import count
from whichloss.study import store as stores
from whichloss.study.patches import Patches
from whichloss.study.store import Store

ROOT = Path(__file__).parents[2]
SIDE = 10
TURNED = np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]], float)  # the axes of the file go elsewhere in the body
KINDS = ("a.nii", "b.nii.gz", "c.mha", "d.mhd", "e.npy", "f.nrrd", "g.mha", "h.nii.gz")
SEGMENTATION: dict[str, Any] = {
    "losses": ["CrossEntropy()", "Dice(smooth=0.5)"],
    "baseline": "CrossEntropy()",
    "data": "Folder('d')",
    "network": "UNet(width=2, depth=2, dropout=0.0)",
    "primary": "Dice()",
    "training": {
        "optimizer": "Adam(lr=0.01)",
        "stages": [{"epochs": 2, "batch": 2}],
        "patches": "Patches(size=(6, 4, 12))",  # wider than the volume on one axis
        "device": "cpu",
    },
}


@pytest.fixture(autouse=True)
def here_and_now(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    monkeypatch.setenv("WHICHLOSS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WHICHLOSS_MAP_ABOVE", raising=False)


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is large: a part is smaller than a layer of a volume, and all is kept in files."""
    monkeypatch.setenv("WHICHLOSS_MAP_ABOVE", "0")
    for name in ("core.rows", "metrics.thresholded", "metrics.tune"):
        monkeypatch.setattr(f"whichloss.{name}.PART", 70)
    monkeypatch.setattr("whichloss.study.score.MANY", 70)
    monkeypatch.setattr("whichloss.study.store.LARGE", 70)


def write(folder: Path, kinds: tuple[str, ...] = KINDS, labels: tuple[int, ...] = (0, 1), side: int = SIDE) -> None:
    """Volumes of every kind that is read, in orientations that differ, with masks that can be learned."""
    chance = np.random.default_rng(0)
    for number, name in enumerate(kinds):
        values = chance.integers(-500, 500, (side, side, side)).astype(np.int16)
        drawn = np.array(labels)[(values > 200).astype(int) * (1 + chance.integers(len(labels) - 1, size=values.shape))]
        direction = (np.eye(3), OBLIQUE, TURNED)[number % 3]
        for part, array in (("images", values), ("masks", drawn.astype(np.int16))):
            path, scan = folder / part / name, volume(array, (1, 1, 1), direction=direction)
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".npy"):
                np.save(path, array)
                facts = {"spacing": [1, 1, 1], "origin": scan.origin.tolist(), "direction": direction.tolist()}
                path.with_suffix(".json").write_text(json.dumps(facts))
            elif ".nii" in name:
                write_nifti(path, scan)
            else:
                write_meta(path, scan, compressed=name.startswith("g"))


def ran(folder: Path, store: str) -> bytes:
    answer = cli("run", "tiny.yaml", "--store", store, here=folder)
    assert answer.code == 0, answer.err
    return (folder / store / "studies" / "tiny" / "results.csv").read_bytes()


# the same numbers


@pytest.mark.parametrize("changes", [{}, {"window": (-400.0, 400.0)}, {"above": 0.0}, {"ignore": 2}])
def test_cases_in_files_are_those_in_memory(tmp_path: Path, in_parts: None, changes: dict[str, Any]) -> None:
    write(tmp_path / "d", labels=(0, 1, 2))
    data = Folder(path=str(tmp_path / "d"), **changes)
    os.environ["WHICHLOSS_MAP_ABOVE"] = "1000"
    memory = data.load()
    os.environ["WHICHLOSS_MAP_ABOVE"] = "0"
    files = data.load()
    assert files.in_files and not memory.in_files
    assert torch.equal(files.images, memory.images) and files.images.dtype == torch.float32
    assert torch.equal(files.labels.long(), memory.labels) and files.labels.dtype == torch.int8
    assert files.digest == memory.digest and files.task == memory.task and files.ids == memory.ids


@pytest.mark.parametrize("changes", [{"size": (6, 8, 7)}, {"spacing": (2.0, 1.0, 1.0), "size": (6, 12, 8)}])
def test_a_size_is_met_case_by_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    write(tmp_path / "d")
    data = Folder(path=str(tmp_path / "d"), **changes)
    memory = data.load()
    monkeypatch.setenv("WHICHLOSS_MAP_ABOVE", "0")
    assert data.load().in_files and data.load().digest == memory.digest


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_several_channels_in_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    write(tmp_path / "d", kinds=(f"a{ending}", f"b{ending}"))
    for path in (tmp_path / "d" / "images").iterdir():
        one: Any = nibabel.load(path)
        values = np.asarray(one.dataobj)
        nibabel.save(nibabel.Nifti1Image(np.stack([values, values[::-1] // 2], -1), one.affine), path)
    data = Folder(path=str(tmp_path / "d"))
    memory = data.load()
    assert memory.images.shape[1] == 2
    monkeypatch.setenv("WHICHLOSS_MAP_ABOVE", "0")
    assert data.load().in_files and data.load().digest == memory.digest


@pytest.mark.parametrize("labels", [(0, 1), (0, 1, 2)])
def test_a_study_gives_the_same_bytes(
    tmp_path: Path, in_parts: None, monkeypatch: pytest.MonkeyPatch, labels: tuple[int, ...]
) -> None:
    write(tmp_path / "d", labels=labels)
    write_study(tmp_path, **SEGMENTATION)
    monkeypatch.setenv("WHICHLOSS_MAP_ABOVE", "1000")
    memory = ran(tmp_path, "memory")
    monkeypatch.setenv("WHICHLOSS_MAP_ABOVE", "0")
    assert ran(tmp_path, "files") == memory
    one, other = (Store(tmp_path / name) for name in ("memory", "files"))
    for key in (path.name for path in (tmp_path / "memory" / "runs").glob("*/*")):
        kept, again = one.outputs(key), other.outputs(key)
        assert kept.keys() == again.keys()
        assert all(torch.equal(kept[name], again[name]) and kept[name].dtype == again[name].dtype for name in kept)


def test_channels_last_and_the_best_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "d", kinds=("a.nii", "b.nii", "c.nii", "d.nii"))
    training = SEGMENTATION["training"] | {"memory_format": "channels_last"}
    write_study(tmp_path, **SEGMENTATION | {"training": training, "design": {"folds": 2, "select": "primary"}})
    memory = ran(tmp_path, "memory")
    monkeypatch.setenv("WHICHLOSS_MAP_ABOVE", "0")
    assert ran(tmp_path, "files") == memory


# the parts


def test_normalisation_in_parts(in_parts: None) -> None:
    values = np.random.default_rng(0).normal(300, 40, (2, 7, 9, 11)).astype(np.float32)
    wide = values.astype(np.float64)
    expected = (wide - wide.mean((1, 2, 3), keepdims=True)) / wide.std((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(normalised(values, None), expected, atol=1e-6)
    assert np.array_equal(normalised(np.full((1, 3, 4), 5, np.float32), None), np.zeros((1, 3, 4)))


def test_parts_and_slabs_are_all_there_is(in_parts: None) -> None:
    numbers = torch.arange(1000).reshape(10, 5, 20)
    assert torch.equal(torch.cat(list(parts(numbers))), torch.arange(1000))
    assert [list(range(10))[one] for one in slabs((10, 5, 20))] == [[at] for at in range(10)]
    assert [(one.start, one.stop) for one in slabs((10, 5, 5))] == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]


def test_rows_are_what_indexing_gives() -> None:
    numbers = torch.arange(24).reshape(6, 4) - 5
    rows, expected = Rows(numbers, [4, 1, 3]), numbers[[4, 1, 3]]
    assert torch.equal(torch.stack(list(rows)), expected)
    assert (rows.shape, len(rows), rows.numel(), rows.dtype) == (expected.shape, 3, 12, expected.dtype)
    assert int(rows.min()) == int(expected.min()) and int(rows.max()) == int(expected.max())
    chosen = torch.tensor([2, 0])
    assert torch.equal(torch.stack(list(rows[chosen])), expected[chosen])
    assert torch.equal(torch.stack(list(rows[1:])), expected[1:])
    assert next(iter(rows)).data_ptr() == numbers[4].data_ptr()  # no copy


def test_patches_of_rows_are_patches_of_tensors(in_parts: None) -> None:
    chance = torch.Generator().manual_seed(0)
    images = torch.rand(5, 2, 9, 11, 10, generator=chance)
    masks = torch.randint(-1, 3, (5, 9, 11, 10), generator=chance).to(torch.int8)
    patches, at = Patches(size=(4, 12, 6), foreground=0.7), [3, 0, 2]
    one = patches.sample(images[at], masks[at].long(), torch.Generator().manual_seed(1))
    other = patches.sample(Rows(images, at), Rows(masks, at), torch.Generator().manual_seed(1))  # type: ignore[arg-type]
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(one, other, strict=True))


def test_thresholds_are_tuned_on_every_so_many_voxels(monkeypatch: pytest.MonkeyPatch, in_parts: None) -> None:
    """Of all images in one row, as without parts."""
    monkeypatch.setattr(tune, "SAMPLE", 50)
    logits = torch.randn(4, 1, 7, 11, generator=torch.Generator().manual_seed(0))
    labels = (logits[:, 0] > 0.5).long()
    every = -(-logits.numel() // 50)
    flat, truth = logits.numpy().ravel()[::every], labels.numpy().ravel()[::every]
    ordered, wanted = np.sort(flat)[::-1], np.round(truth.sum() * 2 ** np.linspace(-4, 4, 52)).astype(int)
    grid = [np.log(p / (1 - p)) for p in np.arange(1, 50) / 50]
    expected = np.unique([*grid, *ordered[wanted.clip(max=len(ordered) - 1)].astype(float)])
    np.testing.assert_allclose(tune._candidates(logits, labels).numpy(), expected, rtol=1e-12)


def test_counts_in_parts(in_parts: None) -> None:
    task = Task(kind="segmentation", classes=("a", "b", "c"), size=(7, 30))
    logits = torch.randn(3, 3, 7, 30, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(-1, 3, (3, 7, 30), generator=torch.Generator().manual_seed(1))
    whole = count(logits.argmax(1), labels, range(1, 3))
    expected = (2 * whole.tp / (2 * whole.tp + whole.fp + whole.fn)).mean(1)
    assert torch.equal(Dice().scores(logits, labels, task), expected)


def test_outputs_written_in_parts_are_what_safetensors_reads(tmp_path: Path, in_parts: None) -> None:
    from safetensors.torch import load_file

    kept: dict[str, Tensor] = {
        "test": torch.randn(3, 2, 5, 5).half(), "turned": torch.arange(12.0).reshape(3, 4).T,
        "test_labels": torch.randint(-1, 3, (3, 50)).to(torch.int8), "cases": torch.tensor([4, 7]),
    }  # fmt: skip
    store, key = Store(tmp_path), "ab" + 62 * "c"
    store.write(key, {"outcome": "finished"}, kept)
    assert sum(one.numel() for one in kept.values()) > stores.LARGE
    for found in (load_file(store.path(key) / "outputs.safetensors"), store.outputs(key)):
        assert all(torch.equal(found[name], one) and found[name].dtype == one.dtype for name, one in kept.items())


# ways to go wrong


def refused(folder: Path, **changes: Any) -> str:
    write_study(folder, **SEGMENTATION | changes)
    answer = cli("run", "tiny.yaml", here=folder)
    assert answer.code == 2 and "Traceback" not in answer.err
    return " ".join(answer.err.split())


def test_without_patches(tmp_path: Path, in_parts: None) -> None:
    write(tmp_path / "d")
    said = refused(tmp_path, training={k: v for k, v in SEGMENTATION["training"].items() if k != "patches"})
    assert "trained on by patch only" in said and "Patches(size=(64, 64, 64))" in said


@pytest.mark.parametrize("stress", [{"boundary_noise": [1]}, {"shift": ["TestShift(noise=0.5)"]}])
def test_stress_that_changes_voxels(tmp_path: Path, in_parts: None, stress: dict[str, Any]) -> None:
    write(tmp_path / "d")
    assert "are larger than memory" in refused(tmp_path, stress=stress)


def test_volumes_of_two_sizes(tmp_path: Path, in_parts: None) -> None:
    write(tmp_path / "d", kinds=("a.nii", "b.nii"))
    write(tmp_path / "d", kinds=("c.nii",), side=12)
    said = refused(tmp_path)
    assert "c.nii is 12 x 12 x 12" in said and "size=(D, H, W)" in said


def test_wrong_values_in_a_mask_are_said_as_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "d", labels=(0, 3, 7))
    messages = []
    for above in ("1000", "0"):
        monkeypatch.setenv("WHICHLOSS_MAP_ABOVE", above)
        messages.append(refused(tmp_path))
    assert messages[0] == messages[1].partition("unpacking, 8 of 8 ")[2] and "found 0, 3, 7" in messages[0]


def test_a_limit_that_is_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "d")
    monkeypatch.setenv("WHICHLOSS_MAP_ABOVE", "a lot")
    assert "WHICHLOSS_MAP_ABOVE is 'a lot'" in refused(tmp_path)


def test_without_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_parts: None) -> None:
    write(tmp_path / "d")
    monkeypatch.setenv("WHICHLOSS_CACHE", "off")
    assert "WHICHLOSS_CACHE=DIR" in refused(tmp_path)


def test_unpacking_that_was_broken_off_leaves_nothing(tmp_path: Path, in_parts: None) -> None:
    write(tmp_path / "d")
    (tmp_path / "d" / "masks" / "h.nii.gz").write_bytes(b"no volume")
    assert "h.nii.gz cannot be read" in refused(tmp_path)
    assert list((tmp_path / "cache" / "maps").iterdir()) == []


# memory


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Any]:
    """The benchmark with small volumes, in a process that may hold so much."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs Linux: elsewhere the memory of a process cannot be limited")

    def run(*options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "benchmarks.large_volume", "--folder", str(tmp_path), *options],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")},
            cwd=ROOT, capture_output=True, text=True, timeout=600,
        )  # fmt: skip

    yield run


def test_volumes_of_64_mb_where_memory_is_too_small(limited: Any) -> None:
    """Three of them, with their labels, take 600 MB, and what becomes of them twice as much again."""
    options = ("--shape", "256", "256", "256", "--side", "64", "--steps", "1", "--more", "0.7")
    files = limited(*options)
    assert files.returncode == 0, files.stderr
    assert "Dice(threshold='tuned', empty='one'): 0." in files.stdout
    memory = limited(*options, "--in-memory")
    said = memory.stdout + memory.stderr
    assert memory.returncode != 0 and ("can't allocate memory" in said or "Unable to allocate" in said)
