"""Files of scores as other programs write them, made up."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

LOSSES = {"ce": 0.70, "dice": 0.75}  # mean Dice


def quality(loss: str, fold: int, case: int, label: int = 1) -> float:
    """A made-up Dice: a case is easy or hard for all losses alike."""
    chance = np.random.default_rng([fold, case, label])
    shared, own = chance.normal(0, 0.05), chance.normal(0, 0.01, 2)[list(LOSSES).index(loss)]
    return float(np.clip(LOSSES[loss] - 0.1 * (label - 1) + shared + own, 0, 1))


def summary(loss: str, fold: int, cases: int, labels: tuple[str, ...], version: int, **odd: Any) -> dict[str, Any]:
    """A summary.json; odd: case -> its Dice of all labels."""
    entries = []
    for case in range(cases):
        name = f"case_{fold}{case}"
        metrics = {
            label: {"Dice": odd.get(name, quality(loss, fold, case, at + 1)), "TP": 10 + case, "FP": 3}
            for at, label in enumerate(labels)
        }
        entries.append((name, metrics))
    if version == 1:
        every = [
            {"0": {"Dice": 0.99}, **metrics, "test": f"/out/{name}.nii.gz", "reference": f"/gt/{name}.nii.gz"}
            for name, metrics in entries
        ]
        return {"name": "n", "author": "Fabian", "results": {"all": every, "mean": {}}}
    every = [
        {"metrics": metrics, "prediction_file": f"/out/{name}.nii.gz", "reference_file": f"/gt/{name}.nii.gz"}
        for name, metrics in entries
    ]
    return {"metric_per_case": every, "mean": {}, "foreground_mean": {}}


@pytest.fixture
def nnunet(tmp_path: Path) -> Callable[..., Path]:
    """LOSS/fold_K/validation/summary.json for two losses and four folds; the folder that holds them."""

    def make(cases: int = 5, labels: tuple[str, ...] = ("1",), version: int = 2, **odd: dict[str, Any]) -> Path:
        for loss in LOSSES:
            for fold in range(4):
                folder = tmp_path / loss / f"fold_{fold}" / "validation"
                folder.mkdir(parents=True, exist_ok=True)
                content = summary(loss, fold, cases, labels, version, **odd.get(loss, {}))
                (folder / "summary.json").write_text(json.dumps(content))
        return tmp_path

    return make


@pytest.fixture
def mist(tmp_path: Path) -> Path:
    """ce/results.csv and dice/results.csv of 12 patients with the statistics below, and train_paths.csv."""
    for loss in LOSSES:
        lines = ["id,tumor_dice,edema_dice,tumor_haus95"]
        for at in range(12):
            lines.append(f"P{at:02},{quality(loss, at % 4, at)},{quality(loss, at % 4, at, 2)},{3 + at / 10}")
        lines += [f"{name},0.5,0.5,9" for name in ("Mean", "Std", "25th Percentile", "Median", "75th Percentile")]
        (tmp_path / loss).mkdir()
        (tmp_path / loss / "results.csv").write_text("\n".join(lines) + "\n")
    rows = ["id,fold,mask,image", *(f"P{at:02},{at % 4},m.nii.gz,i.nii.gz" for at in range(12))]
    (tmp_path / "train_paths.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.fixture
def luna16(tmp_path: Path) -> Path:
    """ce.csv and dice.csv with candidates in 16 scans, annotations.csv, annotations_excluded.csv and scans.csv."""
    chance = np.random.default_rng(7)
    scans = [f"1.3.6.{at}" for at in range(16)]
    lesions = [(scan, *chance.uniform(0, 200, 3), chance.uniform(4, 20)) for scan in scans[:-2] for _ in range(2)]
    others = [(scan, *chance.uniform(0, 200, 3), -1.0) for scan in scans]
    for loss, skill in (("ce", 1.0), ("dice", 2.0)):
        rows = []
        for scan in scans[:-1]:  # nothing was found in the last one
            for _, x, y, z, _ in (one for one in lesions if one[0] == scan):
                rows.append((scan, x + 1, y, z, round(chance.normal(skill, 1), 1)))
            rows += [(scan, *chance.uniform(0, 200, 3), round(chance.normal(0, 1), 1)) for _ in range(8)]
            rows += [(one[0], *one[1:4], 3.0) for one in others if one[0] == scan]
        _write(tmp_path / f"{loss}.csv", "seriesuid,coordX,coordY,coordZ,probability", rows)
    _write(tmp_path / "annotations.csv", "seriesuid,coordX,coordY,coordZ,diameter_mm", lesions)
    _write(tmp_path / "annotations_excluded.csv", "seriesuid,coordX,coordY,coordZ,diameter_mm", others)
    _write(tmp_path / "scans.csv", "seriesuid,fold", [(scan, at % 4) for at, scan in enumerate(scans)])
    return tmp_path


def _write(path: Path, header: str, rows: list[tuple[Any, ...]]) -> None:
    lines = [",".join(str(float(x)) if isinstance(x, np.floating) else str(x) for x in row) for row in rows]
    path.write_text("\n".join([header, *lines]) + "\n")


@pytest.fixture
def tidy(tmp_path: Path) -> Callable[..., Path]:
    """scores.csv: ce and dice on five folds."""

    def make(
        *extra: str, header: str = "loss,fold,dice,n_train,n_test", names: tuple[str, ...] = ("ce", "dice")
    ) -> Path:
        rows = [
            f"{name},{fold},{0.7 + 0.05 * at + 0.01 * fold + 0.002 * at * (fold % 2)},80,20"
            for at, name in enumerate(names)
            for fold in range(5)
        ]
        path = tmp_path / "scores.csv"
        path.write_text("\n".join([header, *rows, *extra]) + "\n")
        return path

    return make
