"""`report --predictions`: the files say what the results say, and lie where the inputs lie."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from layouts import blob, grey, put, write_classes
from small_scans import OBLIQUE, noise, volume, write_nifti
from small_studies import Answer, cli, execute_here, write_study, write_tiny


@pytest.fixture(autouse=True)
def here_and_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    monkeypatch.delenv("WHICHLOSS_DATA", raising=False)


def study(folder: Path, **changes: Any) -> None:
    write_study(folder, **changes)
    assert cli("run", "tiny.yaml", here=folder).code == 0


def predicted(folder: Path) -> Answer:
    return cli("report", "tiny.yaml", "--predictions", "out", here=folder)


def results(folder: Path, metric: str) -> dict[tuple[str, str], float]:
    """By loss and fold, at the tuned threshold."""
    with (folder / "whichloss-runs" / "studies" / "tiny" / "results.csv").open() as file:
        return {
            (row["loss"], row["fold"]): float(row["value"])
            for row in csv.DictReader(file)
            if row["split"] == "test" and row["metric"].startswith(metric) and "natural" not in row["metric"]
        }


def dice(one: np.ndarray, other: np.ndarray) -> float:
    size = one.sum() + other.sum()
    return 2 * (one & other).sum() / size if size else 1.0


SEGMENTATION = {
    "losses": ["CrossEntropy()", "Dice(smooth=0.5)"],
    "baseline": "CrossEntropy()",
    "network": "UNet(width=2, depth=2, dropout=0.0)",
    "primary": "Dice()",
}


def test_masks_of_pictures_score_what_the_results_say(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    for i in range(10):
        pixels = grey(chance, 12, 16)
        put(tmp_path / "d" / "images" / f"c{i}.png", pixels)
        put(tmp_path / "d" / "masks" / f"c{i}.png", blob(pixels) * 255)
    study(tmp_path, data="Folder('d')", **SEGMENTATION)
    answer = predicted(tmp_path)
    assert answer.code == 0 and "predictions: 20 files in out" in answer.out
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["CrossEntropy", "Dice_smooth=0.5"]
    for loss, label in (("CrossEntropy", "CrossEntropy"), ("Dice", "Dice_smooth=0.5")):
        scores = {}
        for file in (tmp_path / "out" / label / "seed0").iterdir():
            drawn, true = (np.asarray(Image.open(one)) > 0 for one in (file, tmp_path / "d" / "masks" / file.name))
            scores[file.stem] = dice(drawn, true)
        wanted = [value for (name, _), value in results(tmp_path, "Dice").items() if name.startswith(loss)]
        assert len(scores) == 10
        assert np.mean(list(scores.values())) == pytest.approx(np.mean(wanted), abs=1e-9)  # two folds of five


def test_masks_of_volumes_lie_where_the_inputs_lie(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "d" / folder).mkdir(parents=True)
    for i in range(6):
        direction = OBLIQUE if i % 2 else np.diag([-1.0, 1.0, -1.0])
        scan = volume(noise((6, 10 + i, 12), seed=i), spacing=(1.0, 0.9, 2.0), direction=direction)
        write_nifti(tmp_path / "d" / "images" / f"h{i}.nii.gz", scan)
        write_nifti(
            tmp_path / "d" / "masks" / f"h{i}.nii.gz",
            volume((scan.values > 500).astype(np.int16), (1.0, 0.9, 2.0), direction=direction),
        )
    study(tmp_path, data="Folder('d', spacing=(2, 1.5, 1.5))", **SEGMENTATION)
    assert predicted(tmp_path).code == 0
    for i in range(6):
        mask = sitk.ReadImage(str(tmp_path / "out" / "CrossEntropy" / "seed0" / f"h{i}.nii.gz"))
        image = sitk.ReadImage(str(tmp_path / "d" / "images" / f"h{i}.nii.gz"))
        assert mask.GetSize() == image.GetSize()
        np.testing.assert_allclose(mask.GetOrigin(), image.GetOrigin(), atol=1e-4)
        np.testing.assert_allclose(mask.GetDirection(), image.GetDirection(), atol=1e-5)
        np.testing.assert_allclose(mask.GetSpacing(), image.GetSpacing(), atol=1e-5)


def test_answers_of_classification_are_a_table(tmp_path: Path) -> None:
    write_classes(tmp_path / "d", np.random.default_rng(0), 16)
    study(tmp_path, data="Subset(ClassFolders('d'), cases=24)", primary="Accuracy()")
    assert "predictions: 1 files in out" in predicted(tmp_path).out
    with (tmp_path / "out" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 24
    for (loss, fold), value in results(tmp_path, "Accuracy").items():
        mine = [row for row in rows if loss.startswith(row["loss"] + "(") and row["fold"] == fold]
        assert np.mean([row["truth"] == row["answer"] for row in mine]) == pytest.approx(value)
    assert all(row["case"].startswith(row["truth"] + "/") for row in rows)


def test_answers_of_regression_are_numbers(tmp_path: Path) -> None:
    write_tiny(tmp_path, ages=np.linspace(20, 80, 24))
    study(
        tmp_path,
        data="Arrays('tiny.npz', target='ages', quantity='age', unit='years')",
        primary="MeanAbsoluteError()",
        losses=["SquaredError()", "AbsoluteError()"],
        baseline="SquaredError()",
    )
    assert predicted(tmp_path).code == 0
    with (tmp_path / "out" / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["loss"] == "AbsoluteError"]
    wrong = {(row["fold"], row["case"]): abs(float(row["truth"]) - float(row["answer"])) for row in rows}
    away = {fold: np.mean([one for (where, _), one in wrong.items() if where == fold]) for fold in "01"}
    wanted = {fold: value for (loss, fold), value in results(tmp_path, "MeanAbsoluteError").items() if "Abs" in loss}
    assert away == pytest.approx(wanted, rel=1e-5)


def test_arrays_have_no_space_to_write_masks_in(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    study(tmp_path, data="Arrays('tiny.npz', target='masks')", **SEGMENTATION)
    answer = predicted(tmp_path)
    assert answer.code == 2
    assert "is no data set of files, in whose space masks could be written" in answer.err
    assert "outputs.safetensors" in answer.err


def test_several_studies_have_no_predictions(tmp_path: Path) -> None:
    answer = cli("report", "a.yaml", "b.yaml", "--predictions", "out", here=tmp_path)
    assert answer.code == 2 and "are for one study" in answer.err
