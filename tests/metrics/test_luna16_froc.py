"""Real detectors on LUNA16: the tables and scores that the official script has printed for them.

The script drops collinear points, as scikit-learn's roc_curve does, and ends at the lowest score of a detection; the
nodules that were never detected, listed with the score -1e9, lie beyond it.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_curve

from whichloss.metrics.detection.froc import CPM_RATES, Froc
from whichloss.metrics.detection.matching import Marks, Matches, Spheres, match

HERE = Path(__file__)
SCANS, NODULES = 888, 1186
READINGS = pytest.mark.parametrize("by", ["steps", "lines"])


@pytest.fixture(scope="module")
def luna16() -> Path:
    """The folder with the detections, where there is one."""
    folder = Path(os.environ.get("WHICHLOSS_SHARED", HERE.parents[2].parent / "shared")) / "data" / "luna16_froc"
    if not folder.is_dir():
        pytest.skip("no detections of LUNA16 here; WHICHLOSS_SHARED names the folder that holds data/luna16_froc/")
    return folder


@pytest.fixture(scope="module")
def listed(luna16: Path) -> dict[str, np.ndarray]:
    with np.load(luna16 / "yolov4_froc_oracle.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def yolo(listed: dict[str, np.ndarray]) -> Froc:
    """From the list that the script makes: a row for each nodule, with its best score, and for each false positive."""
    nodule = listed["gt"] == 1
    known = listed["prob"] > -1e9
    lesion = np.where(nodule, nodule.cumsum() - 1, -1)
    return Froc.of(listed["prob"][known], lesion[known], volumes=SCANS, missed=int((~known).sum()))


@pytest.fixture(scope="module")
def dpn(luna16: Path) -> Matches:
    """From the raw detections."""
    with np.load(luna16 / "dpn26_detections.npz") as file:
        marks = Marks(file["scan"], file["xyz"], file["prob"])
    with np.load(luna16 / "luna16_annotations.npz") as file:
        lesions = Spheres(file["scan"], file["xyz"], file["diameter_mm"])
        others = Spheres(file["excl_scan"], file["excl_xyz"], file["excl_diameter_mm"])
    return match(marks, lesions, others)


def sensitivities(froc: Froc, by: str) -> list[float]:
    return [round(froc.sensitivity_at(rate, by), 4) for rate in CPM_RATES]


@READINGS
def test_the_score_of_yolo(yolo: Froc, by: str) -> None:
    assert (yolo.lesions, len(yolo.found)) == (NODULES, NODULES - 70)
    assert yolo.cpm(by) == pytest.approx(0.863768, abs=5e-7)
    assert sensitivities(yolo, by) == [0.7352, 0.7926, 0.8508, 0.8870, 0.9157, 0.9258, 0.9393]


def test_the_table_of_the_official_script(yolo: Froc, listed: dict[str, np.ndarray]) -> None:
    """All 697 points, and no other once collinear ones are dropped."""
    fp, sensitivity = yolo.fp_per_volume.numpy(), yolo.sensitivity.numpy()
    bends = (np.diff(np.rint(fp * SCANS), 2) != 0) | (np.diff(np.rint(sensitivity * NODULES), 2) != 0)
    kept = np.r_[True, bends, True]
    np.testing.assert_allclose(fp[kept], listed["fps"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(sensitivity[kept], listed["sens"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(yolo.thresholds.numpy()[kept][1:], listed["threshold"][1:], rtol=0, atol=1e-8)


def test_every_point_is_that_of_scikit_learn(yolo: Froc, listed: dict[str, np.ndarray]) -> None:
    """And the end point of the whole list, at which nodules that were never detected are found, is not there."""
    false, true, bars = roc_curve(listed["gt"], listed["prob"], drop_intermediate=False)
    assert (true[-1], bars[-1]) == (1, -1e9)
    wrong = int((listed["gt"] == 0).sum())
    np.testing.assert_allclose(yolo.fp_per_volume, false[:-1] * wrong / SCANS, rtol=0, atol=1e-12)
    np.testing.assert_allclose(yolo.sensitivity, true[:-1], rtol=0, atol=1e-12)
    assert yolo.thresholds.tolist() == bars[:-1].tolist()
    assert yolo.sensitivity_at(1e6) == (NODULES - 70) / NODULES


@READINGS
def test_the_score_of_dpn(dpn: Matches, by: str) -> None:
    froc = dpn.froc(volumes=SCANS)
    assert len(dpn.missed) == 50
    assert froc.lesions == NODULES
    assert sensitivities(froc, by) == [0.6922, 0.7690, 0.8238, 0.8651, 0.8929, 0.9174, 0.9334]
    assert froc.cpm(by) == pytest.approx(0.8420, abs=5e-5)


def test_what_is_counted_matters(dpn: Matches) -> None:
    """Nodules that no detection hits cost sensitivity; among those hit, it is higher by exactly their share."""
    annotated, reached = dpn.froc(volumes=SCANS), dpn.froc(volumes=SCANS, count="reached")
    assert reached.cpm() == pytest.approx(annotated.cpm() * NODULES / (NODULES - 50))
    assert int((~dpn.false & ~dpn.ignored).sum()) == dpn.froc(volumes=SCANS, count="candidate").lesions
    assert torch.equal(annotated.false, dpn.froc(volumes=SCANS, count="candidate").false)
