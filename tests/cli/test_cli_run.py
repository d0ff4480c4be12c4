"""`run` and `report`: what they print, what they leave, and how they end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from small_studies import TINY, Answer, cli, execute_here, write_code, write_study, write_tiny

Run = Callable[..., Answer]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`whichloss run tiny.yaml ...` in a folder with data, without worker processes."""
    monkeypatch.delenv("WHICHLOSS_DATA", raising=False)
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    write_tiny(tmp_path)

    def run(*arguments: Any, verb: str = "run", **changes: Any) -> Answer:
        return cli(verb, write_study(tmp_path, **changes), *arguments, here=tmp_path)

    return run


def records(folder: Path) -> int:
    return len(list(folder.rglob("record.json")))


# --plan


def test_the_plan_shows_the_grid_and_trains_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any, **named: Any) -> None:
        raise AssertionError("something was run")

    monkeypatch.setattr("whichloss.study.conduct.execute", never)
    answer = run(
        "--plan",
        "--workers",
        "2",
        losses=["Logistic()", "Lorenz()", "Tangent()"],
        network=[TINY["network"], "SmallConvNet()"],
        design={"folds": 4, "seeds": 5},
    )
    assert (answer.code, answer.err) == (0, "")
    assert "3 losses x 1 data x 2 networks x 4 folds x 5 seeds = 120 runs, 0 finished" in answer.out
    assert "2 workers" in answer.out and "min left" in answer.out and "MiB" in answer.out
    assert records(tmp_path) == 0
    assert not list(tmp_path.rglob("results.csv"))


def test_a_plan_binds_nobody(run: Run) -> None:
    assert run("--plan").code == 0
    assert run(training=TINY["training"] | {"schedule": "cosine"}).code == 0


def test_the_plan_counts_what_is_finished(run: Run, tmp_path: Path) -> None:
    assert run().code == 0
    assert "= 4 runs, 4 finished" in run("--plan").out
    assert "= 8 runs, 4 finished" in run("--plan", design=TINY["design"] | {"seeds": 2}).out
    assert "= 6 runs, 4 finished" in run("--plan", losses=["Logistic()", "Lorenz()", "Hinge()"]).out
    assert "= 4 runs, 0 finished" in run("--plan", "--store", tmp_path / "other").out


# what is printed and left


def test_question_and_verdict_are_printed_and_the_rest_is_left_in_the_store(run: Run, tmp_path: Path) -> None:
    answer = run("--store", tmp_path / "runs here")
    home = tmp_path / "runs here" / "studies" / "tiny"
    verdict = json.loads((home / "verdict.json").read_text())
    assert answer.code == 0
    assert answer.out.splitlines()[1] == TINY["question"]
    for sentence in (*verdict["sentences"], *verdict["warnings"]):
        assert sentence in answer.out
    assert answer.out.splitlines()[-1] == f"report: {home / 'report.html'}"
    assert {one.name for one in home.iterdir()} >= {"results.csv", "costs.csv", "verdict.json", "report.html"}
    assert "4 runs to do" in answer.err and "4 of 4 runs, 0 failed" in answer.err
    assert records(tmp_path) == 4


def test_progress_does_not_tell_who_is_ahead(run: Run) -> None:
    progress = run().err
    assert not any(word in progress for word in ("Logistic", "Lorenz", "ROC", "0."))


def test_running_again_computes_nothing(run: Run) -> None:
    first, again = run(), run()
    assert again.code == 0
    assert again.out == first.out
    assert again.err == "4 runs are finished already\n"


# where data and code are found


def test_data_are_found_where_it_is_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "tiny.npz").rename(elsewhere / "tiny.npz")
    assert run("--plan").code == 2
    assert run("--plan", "--data-root", elsewhere).code == 0
    monkeypatch.setenv("WHICHLOSS_DATA", str(elsewhere))
    assert run("--plan").code == 0


def test_a_study_finds_data_and_code_beside_itself(run: Run, tmp_path: Path) -> None:
    beside, here = tmp_path / "studies", tmp_path / "here"
    beside.mkdir()
    here.mkdir()
    (tmp_path / "tiny.npz").rename(beside / "tiny.npz")
    code = "def loss(logits, target):\n    return (logits - target).square().mean()\n"
    losses = ["Logistic()", f"{write_code(beside, code)}:loss", f"{write_code(here, code)}:loss"]
    path = write_study(beside, losses=losses)
    answer = cli("run", path.relative_to(tmp_path), "--plan", here=tmp_path)
    assert answer.code == 2 and "is its folder on the Python path?" in answer.err
    answer = cli("run", f"../studies/{path.name}", "--plan", here=here)
    assert (answer.code, answer.err) == (0, "")


# how it ends


def test_a_failed_run_ends_with_1(run: Run) -> None:
    diverging = TINY["training"] | {"optimizer": "SGD(lr=1e6)", "stages": [{"epochs": 8, "batch": 2}]}
    answer = run(training=diverging, network="SmallConvNet(normalize=false)")
    assert answer.code == 1
    assert "2 of 4 runs failed; the report names them" in answer.out, "Lorenz is bounded, and so are its steps"


def test_nothing_to_report_before_the_first_run(run: Run, tmp_path: Path) -> None:
    answer = run(verb="report")
    assert (answer.code, answer.out) == (2, "")
    assert "no run of tiny has ended" in answer.err and "whichloss run" in answer.err
    assert not list(tmp_path.rglob("report.html"))


def test_a_report_from_half_of_the_runs_says_so(run: Run, tmp_path: Path) -> None:
    assert run().code == 0
    answer = run(verb="report", design=TINY["design"] | {"seeds": 2})
    assert answer.code == 0
    assert "(Interim)" in answer.out and "Lorenz 2 of 4" in answer.out
    assert "whichloss run" in answer.err or "runs" in answer.out
    assert records(tmp_path) == 4


@pytest.mark.parametrize("required", [True, False])
def test_a_winner_can_be_required(run: Run, tmp_path: Path, required: bool) -> None:
    option = ["--require-winner"] * required
    assert run(*option).code == (3 if required else 0), "two folds show nothing"
    code = write_code(
        tmp_path,
        "import torch.nn.functional as F\n\n"
        "def backwards(logits, target):\n"
        "    return F.binary_cross_entropy_with_logits(logits, 1 - target)\n",
    )
    labels = np.arange(48) // 2 % 2
    images = np.random.default_rng(0).normal(labels[:, None, None], 1.0, (48, 8, 8)).astype(np.float32)
    write_tiny(tmp_path, cases=48, images=images, labels=labels)
    clear = {
        "losses": ["Logistic()", f"{code}:backwards"],
        "design": {"folds": 4, "seeds": 2},
        "training": TINY["training"] | {"stages": [{"epochs": 6, "batch": 8}]},
    }
    answer = run(*option, "--name", "clear", **clear)
    assert answer.code == 0
    assert "Cannot be told from the best: Logistic alone" in answer.out


def test_an_interruption_is_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("whichloss.study.conduct.execute", interrupted)
    answer = run()
    assert answer.code == 130
    assert answer.err.splitlines()[-1].startswith("interrupted; ") and "resumes" in answer.err


def test_what_is_not_the_users_mistake_is_not_hidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **named: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("whichloss.study.conduct.execute", broken)
    with pytest.raises(ZeroDivisionError):
        run()
