"""A run that hangs, dies or eats memory costs itself and no other; what it changes, the next one finds as it was."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from small_studies import cli, tiny_study, write_code, write_study, write_tiny
from whichloss.study.conduct import Listener, conduct
from whichloss.study.execute import Ended
from whichloss.study.worker import _as_before

# each is a loss, and misbehaves in a worker alone: what the parent tries first must pass
CODE = """
import os, signal, sys, time
import torch

def plain(logits, target):
    return (logits - target).square().mean()

def worse(what):
    def loss(logits, target):
        if sys.argv[0].endswith("worker.py"):
            what()
        return plain(logits, target)
    return loss

def _talk():
    print('{"outcome": "error", "message": "not from here"}', flush=True)
    os.write(1, b'{"half of')
    sys.stdout.write("no end of line")
    sys.stderr.write("and more")

def _starve():
    raise MemoryError("there is none")

def _change():
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_default_dtype(torch.float64)
    os.chdir("/")

def hangs(logits, target):
    return worse(lambda: time.sleep(1000))(logits, target)

def exits(logits, target):
    return worse(lambda: os._exit(0))(logits, target)

def killed(logits, target):
    return worse(lambda: os.kill(os.getpid(), signal.SIGKILL))(logits, target)

def starves(logits, target):
    return worse(_starve)(logits, target)

def takes(logits, target):
    return worse(lambda: torch.empty(20_000_000_000, dtype=torch.uint8))(logits, target)

def talks(logits, target):
    return worse(_talk)(logits, target)

def changes(logits, target):
    return worse(_change)(logits, target)
"""


class Heard(Listener):
    """A listener that remembers."""

    def __init__(self) -> None:
        self.all: list[Ended] = []

    def ended(self, one: Ended) -> None:
        self.all.append(one)


def test_each_misdeed_costs_its_own_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    module = write_code(tmp_path, CODE)
    expected = {
        "changes": "finished", "talks": "finished", "starves": "out_of_memory", "takes": "out_of_memory",
        "hangs": "hung", "exits": "died", "killed": "died", "plain": "finished",
    }  # fmt: skip
    write_tiny(tmp_path)
    patients = [f"case{at:02}" for at in range(24)]
    (tmp_path / "one.json").write_text(json.dumps([{"train": patients[:16], "val": patients[16:]}]))
    study = tiny_study(
        losses=[f"{module}:{name}" for name in expected],
        baseline=f"{module}:plain",
        design={"splits": "one.json", "inner": 0.25},
    )
    heard = Heard()
    done = conduct(study, "runs here", roots=[tmp_path], workers=1, limit=0.1, memory=12, listener=heard)
    assert {one.run.loss.label.removesuffix("()"): one.outcome for one in heard.all} == expected
    assert done.failed == 5
    messages = {one.outcome: one.message for one in heard.all}
    assert "0.1 min" in messages["hung"] and "worker-0.log" in messages["hung"]
    assert "SIGKILL" in messages["died"]
    kept = [json.loads(one.read_text()) for one in tmp_path.glob("runs here/runs/*/*/record.json")]
    assert sorted(one["outcome"] for one in kept) == sorted(expected.values())
    computed = [one["beside"] for one in kept if one["outcome"] not in ("hung", "died")]
    assert all(one == computed[0] for one in computed), "a run was computed with what another had changed"


def test_what_a_run_changes_of_torch_is_put_back() -> None:
    def state() -> tuple[Any, ...]:
        return torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()

    before = state()
    with _as_before():
        torch.set_num_threads(before[0] + 1)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        assert state() != before
    assert state() == before


def test_limits_are_options_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("whichloss.study.conduct.execute", lambda work, ended: asked.update(vars(work)))
    write_tiny(tmp_path)
    study = write_study(tmp_path)
    cli("run", study, "--limit", "30", "--memory", "6.5", "--retries", "2", "--workers", "1", here=tmp_path)
    assert (asked["limit"], asked["memory"], asked["workers"]) == (30, 6.5, 1)


@pytest.mark.parametrize("option", ["--limit", "--memory"])
@pytest.mark.parametrize("value", ["0", "-1", "nan"])
def test_a_limit_is_above_nothing(tmp_path: Path, option: str, value: str) -> None:
    write_tiny(tmp_path)
    answer = cli("run", write_study(tmp_path), option, value, here=tmp_path)
    assert answer.code == 2 and option in answer.err and "above 0" in answer.err
