"""Small made-up cases, and a folder with the files that the examples of each reader name."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

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
    """Holds cells.npz, digits.npz, hearts.npz and cells/, as in the examples of Arrays and Folder."""
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
    for name in ("images", "masks"):
        (tmp_path / "cells" / name).mkdir(parents=True)
    for i in range(8):
        Image.fromarray(pixels[i]).save(tmp_path / "cells" / "images" / f"p{i // 2}_{i}.png")
        Image.fromarray(masks[i] * 255).save(tmp_path / "cells" / "masks" / f"p{i // 2}_{i}.png")
    return tmp_path
