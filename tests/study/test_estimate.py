"""--plan: the whole grid and budget, what of it is left, and figures that follow from what was measured."""

from pathlib import Path
from typing import Any

import pytest
import torch

from small_studies import TINY, cli, execute_here, tiny_study, write_study, write_tiny
from whichloss.study.conduct import prepare
from whichloss.study.estimate import Pace, _pace, _some, estimate
from whichloss.study.study import Stage


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    monkeypatch.setattr("whichloss.study.estimate.Worker._alive", lambda self: None)
    monkeypatch.setattr("whichloss.study.estimate.ENOUGH", 0.01)
    write_tiny(tmp_path)


def plan(tmp_path: Path, **changes: Any) -> str:
    answer = cli("run", write_study(tmp_path, **changes), "--plan", here=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    return answer.out


def test_every_axis_of_the_grid_is_counted(tmp_path: Path) -> None:
    said = plan(tmp_path, stress={"label_noise": [0.0, 0.2, 0.4]}, design={"folds": 2, "seeds": 2, "inner": 0.25})
    assert "2 losses x 1 data x 1 networks x 3 levels of stress x 2 folds x 2 seeds = 24 runs, 0 finished" in said
    assert "left to train: 24\n" in said
    drawn = plan(tmp_path, name="drawn", data="Nodules(cases=40, size=26)", design={"draws": 3, "inner": 0.25})
    assert "2 losses x 1 data x 1 networks x 3 draws = 6 runs" in drawn


def test_the_budget_counts_trials_and_runs(tmp_path: Path) -> None:
    tune = {"trials": 3, "over": {"training.lr": "loguniform(1e-4, 1e-1)"}}
    said = plan(tmp_path, tune=tune)
    assert "budget: 3 trials in each of 2 searches for each loss" in said
    assert "= 4 runs, 0 finished" in said and "left to train: 12, of which 12 trials" in said
    assert cli("run", write_study(tmp_path, tune=tune), here=tmp_path).code == 0
    said = plan(tmp_path, tune=tune)
    assert "= 4 runs, 4 finished" in said and "left to train: 0\n" in said and "min" not in said
    more = plan(tmp_path, tune=tune, losses=[*TINY["losses"], "Hinge()"])
    assert "= 6 runs, 4 finished" in more and "left to train: 6, of which 6 trials" in more
    assert "no tuning" in plan(tmp_path, name="another")


def test_a_plan_says_time_memory_and_disk(tmp_path: Path) -> None:
    study = tiny_study()
    said = estimate(prepare(study, tmp_path / "store", [tmp_path]), workers=2)
    assert "about 0." in said and " min left, of which " in said and "1 MiB on disk" in said
    each, _, every = said.splitlines()[-1].partition(" of memory for each worker, ")
    assert "MiB" in each and "in all" in every
    assert not (tmp_path / "store" / "studies").exists()


def test_seconds_follow_from_stages() -> None:
    pace = Pace(step=0.5, epoch=3.0, rest=7.0, memory=None, disk=0)
    one = (Stage(epochs=2, batch=10),)
    assert pace.seconds(one, 95) == 7 + 2 * (10 * 0.5 + 3)
    assert pace.seconds((*one, Stage(epochs=1, batch=20, share=0.4)), 100) == 7 + 2 * 8 + (2 * 1.0 + 3)


def test_the_pace_is_that_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that counts batches and looks at cases instead of seconds: 5 a step, 2 an epoch, 11 a run."""
    ready = prepare(tiny_study(), tmp_path / "store", [tmp_path])
    run, cases = ready.runs[0], ready.shelf.of(ready.runs[0])
    clock = [0.0]

    def train(run: Any, cases: Any, split: Any, device: Any) -> None:
        (stage,) = run.training.stages
        clock[0] += 11 + stage.epochs * (5 * (len(split.fit) // stage.batch) + 2)

    monkeypatch.setattr("whichloss.study.estimate.train", train)
    monkeypatch.setattr("whichloss.study.estimate.time.perf_counter", lambda: clock[0])
    pace = _pace(run, cases, run.split(cases), (), torch.device("cpu"))
    assert (pace.step, pace.epoch, pace.rest) == pytest.approx((5 * 8 / 4, 2, 11))


def test_some_are_from_all_over() -> None:
    assert _some(tuple(range(10)), 3) == (0, 3, 6)
    assert _some((4, 5), 9) == (4, 5) and _some((), 3) == ()
