"""Small made-up cases, and a folder with the files that the examples of each reader name."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from layouts import write_layouts
from whichloss.core import Task
from whichloss.data import Cases

HERE = Path(__file__)


@pytest.fixture
def shared() -> Path:
    """The folder with real data, where there is one."""
    folder = Path(os.environ.get("WHICHLOSS_SHARED", HERE.parents[2].parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip("no real data here; WHICHLOSS_SHARED names the folder that holds data/")
    return folder


@pytest.fixture
def make() -> Callable[..., Cases]:
    """Cases with the given class of each; the images are noise."""

    def make(truth: list[int], groups: list[str] | None = None, strata: list[str] | None = None, **other) -> Cases:
        n, k = len(truth), max(2, max(truth) + 1)
        images = torch.from_numpy(np.random.default_rng(0).random((n, 1, 4, 4), dtype=np.float32))
        given = {
            "images": images,
            "labels": torch.tensor(truth),
            "ids": tuple(f"case{i}" for i in range(n)),
            "task": Task(kind="classification", classes=tuple("abcdefgh"[:k]), channels=1, size=(4, 4)),
            "groups": tuple(groups or ()),
            "strata": tuple(strata) if strata else None,
        }
        return Cases(**{**given, **other})

    return make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Holds cells.npz, digits.npz, hearts.npz, cells/, scans/ and lists, as the examples of readers name them."""
    chance = np.random.default_rng(1)
    pixels = chance.integers(0, 256, (8, 10, 14, 3), dtype=np.uint8)
    masks = (pixels[..., 0] > 127).astype(np.uint8)
    np.savez(
        tmp_path / "cells.npz",
        images=pixels,
        masks=masks,
        patient=np.arange(8) // 2,
        ids=np.array([f"cell{i}" for i in range(8)]),
        stain=np.array(["dark", "bright"] * 4),
    )
    np.savez(tmp_path / "digits.npz", images=pixels[..., 0], labels=np.arange(8)[:, None] % 3)
    np.savez(tmp_path / "hearts.npz", images=pixels[..., 0], ef=np.linspace(30.0, 65.0, 8))
    np.savez(
        tmp_path / "patches.npz",
        images=pixels[..., 0],
        hit=np.array([1, 1, 1, 0, 0, 1, 1, 0]),
        scan=np.array(["s0", "s0", "s0", "s0", "s1", "s1", "s2", "s2"]),
        mark=np.array([0, 0, 1, 2, 0, 1, 0, 1]),
        nodule=np.array([7, 7, 7, -1, -1, 8, 7, -1]),
        patient=np.array(["p0", "p0", "p0", "p0", "p0", "p0", "p1", "p1"]),
    )
    for name in ("images", "masks"):
        (tmp_path / "cells" / name).mkdir(parents=True)
    for i in range(8):
        Image.fromarray(pixels[i]).save(tmp_path / "cells" / "images" / f"p{i // 2}_{i}.png")
        Image.fromarray(masks[i] * 255).save(tmp_path / "cells" / "masks" / f"p{i // 2}_{i}.png")
    _scans(tmp_path, chance)
    write_layouts(tmp_path, chance)
    return tmp_path


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What data sets keep goes into a folder of each test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("WHICHLOSS_CACHE", str(folder))
    return folder


def _scans(folder: Path, chance: np.random.Generator) -> None:
    """Two volumes, candidates and annotations in them, as for CandidateViews."""
    (folder / "scans").mkdir()
    rows = ["seriesuid,coordX,coordY,coordZ,class"]
    for name in ("scan1", "scan2"):
        values = chance.integers(-200, 300, (10, 12, 14), dtype=np.int16)
        np.savez(folder / "scans" / f"{name}.npz", volume=values, spacing=[2.0, 2.0, 3.0])
        rows += [f"{name},{x},10,12,{x % 2}" for x in (7, 8, 13, 14, 18)]
    (folder / "candidates.csv").write_text("\n".join(rows))
    marks = ["seriesuid,coordX,coordY,coordZ,diameter_mm"]
    marks += ["scan1,7,11,12,4", "scan1,14,10,13,6", "scan2,10,10,12,8", "scan2,4,4,4,5"]
    (folder / "annotations.csv").write_text("\n".join(marks))
