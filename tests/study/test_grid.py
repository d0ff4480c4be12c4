"""A grid of settings; the length and batch of a training as settings."""

import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest

from small_studies import cli, write_study, write_tiny
from whichloss.study.study import Training, Tune


def test_a_grid_is_every_combination_and_the_default_once(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    tune = {"trials": "grid", "over": {"training.lr": "choice(0.003, 0.01, 0.03)", "training.batch": "choice(4, 8)"}}
    training = {"optimizer": "Adam(lr=0.01)", "stages": [{"epochs": 2, "batch": 5}], "batch": 8}
    file = write_study(tmp_path, tune=tune, training=training)
    plan = cli("run", file, "--plan", "--store", tmp_path / "store", here=tmp_path)
    assert "a grid of 6 trials in each of 2 searches for each loss" in plan.out
    answer = cli("run", file, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 0, answer.err
    tried = defaultdict(list)
    with (tmp_path / "store" / "studies" / "tiny" / "tuning.csv").open() as table:
        for row in csv.DictReader(table):
            tried[row["loss"], row["fold"]].append(json.loads(row["settings"]))
    points = [{"training.lr": lr, "training.batch": batch} for lr in (0.003, 0.01, 0.03) for batch in (4, 8)]
    points.remove({"training.lr": 0.01, "training.batch": 8})
    assert len(tried) == 4 and all(found == [{}, *points] for found in tried.values())


@pytest.mark.parametrize(
    ("over", "says"),
    [({"training.lr": "loguniform(1e-3, 1)"}, "training.lr is loguniform"),
     ({"SmoothHinge.half_width": "choice(0.1, 0.2)"}, "losses would differ in their budget")],
)  # fmt: skip
def test_what_is_no_grid(over: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Tune(trials="grid", over=over)


def test_one_factor_and_one_batch_for_all_stages() -> None:
    stages = [{"epochs": 100, "batch": 64, "share": 0.8}, {"epochs": 20, "batch": 16, "rate": 0.01}]
    assert [(one.epochs, one.batch) for one in Training(stages=stages, length=0.02).plan] == [(2, 64), (1, 16)]
    assert [(one.epochs, one.batch) for one in Training(stages=stages, batch=8).plan] == [(100, 8), (20, 8)]
    assert Training(stages=stages, length=0.02).plan[1].rate == 0.01
