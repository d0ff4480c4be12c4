"""Curves of the page against what the tables and formulas say."""

import csv
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest

from small_studies import cli, write_study, write_tiny
from whichloss import parse
from whichloss.study.conduct import prepare
from whichloss.study.curves import formulas, searched, under_stress
from whichloss.study.facts import ended, rows
from whichloss.study.read import read_study


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("curves")
    write_tiny(folder, cases=40)
    tune = {"trials": 3, "over": {"training.lr": "loguniform(1e-4, 1)"}}
    file = write_study(folder, stress={"label_noise": [0.0, 0.2, 0.4], "size": [0.5]}, tune=tune)
    answer = cli("run", file, "--store", folder / "store", here=folder)
    assert answer.code == 0, answer.err
    return folder


def test_curves_under_stress_and_of_searches(home: Path) -> None:
    study = read_study(str(home / "tiny.yaml"))
    prepared = prepare(study, home / "store", [home])
    found = ended(prepared.final, prepared.store)
    table = list(rows(study, found, prepared.store, prepared.shelf))
    values = defaultdict(list)
    with (home / "store" / "studies" / "tiny" / "results.csv").open() as file:
        for row in csv.DictReader(file):
            if row["split"] == "test" and row["metric"] == "RocAuc()":
                values[row["loss"], row["stress"]].append(float(row["value"]))
    curves = under_stress(study, table)
    assert [curve.loss for curve in curves] == ["Logistic", "Lorenz"]  # one level of size is no curve
    for curve, loss in zip(curves, study.losses, strict=True):
        assert curve.x == (0.0, 0.2, 0.4)
        for level, mean, low in zip(curve.x, curve.mean, curve.low, strict=True):
            runs = values[repr(loss), f"LabelNoise(share={level})" if level else ""]
            assert len(runs) == 2 and (mean, low) == pytest.approx((fmean(runs), fmean(runs) - stdev(runs)))
    trials = defaultdict(list)
    with (home / "store" / "studies" / "tiny" / "tuning.csv").open() as file:
        for row in csv.DictReader(file):
            trials[row["loss"], row["stress"], row["fold"]].append(float(row["inner"] or "nan"))
    tuned = searched(prepared.tuning.searches(prepared.runs), study.labels, study.primary)
    for curve, loss in zip(tuned, study.losses, strict=True):
        best = [np.fmax.accumulate(one) for key, one in trials.items() if key[0] == repr(loss)]
        assert len(best) == 8 and curve.mean == pytest.approx(np.nanmean(best, axis=0))
    page = (home / "store" / "studies" / "tiny" / "report.html").read_text()
    assert all(told in page for told in ("Under label noise", "Tuning", "Their slopes by margin"))


def test_formulas_are_those_of_the_losses() -> None:
    losses = [parse(text) for text in ("Lorenz()", "Dice()", "2 * Hinge() + Logistic()", "SupervisedContrastive()")]
    curves = formulas(losses, {repr(loss): str(at) for at, loss in enumerate(losses)})
    value, slope = curves[0], curves[1]
    margin = np.array(value.x)
    expected = np.where(margin < 1, np.log1p((margin - 1) ** 2), 0)
    assert value.mean == pytest.approx(expected)
    assert slope.mean == pytest.approx(np.where(margin < 1, 2 * (margin - 1) / (1 + (margin - 1) ** 2), 0))
    mixed = next(curve for curve in curves if curve.loss == "2")
    assert mixed.mean == pytest.approx(2 * np.maximum(0, 1 - margin) + np.log1p(np.exp(-margin)))
