"""One run on several devices: the weights of one, but for rounding; if one process dies, all end, and none hangs."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from small_studies import TINY, cli, double_precision, tiny_study, write_code, write_study, write_tiny
from whichloss.core import UserError
from whichloss.study import execute, machine
from whichloss.study.checkpoint import SECONDS
from whichloss.study.conduct import Listener, conduct
from whichloss.study.execute import Ended, plan_workers
from whichloss.study.facts import check_alike
from whichloss.study.passes import check_layers
from whichloss.study.runs import Run, runs_of
from whichloss.study.shelf import Shelf
from whichloss.study.store import Store
from whichloss.study.study import Training
from whichloss.study.team import Team, device_of, meeting_of

SCRIPT = Path(__file__).with_name("one_of_team.py")
PLAIN = "SmallConvNet(width=2, depth=1, features=4, normalize=False)"
LONG = 300  # seconds: far more than it takes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path)
    return tmp_path


@pytest.fixture
def in_double() -> Iterator[None]:
    with double_precision():
        yield


def one_of_team() -> Any:
    spec = importlib.util.spec_from_file_location("one_of_team", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# the same weights


@pytest.mark.parametrize(("size", "first"), [(2, 99), (3, 2)])
def test_several_processes_train_the_weights_of_one(tmp_path: Path, in_double: None, size: int, first: int) -> None:
    """In float64, to 1e-9: batch sums, pairs, ignored voxels, dropout, augmentation, and a process without a case."""
    chance = np.random.default_rng(3)
    write_tiny(tmp_path, masks=np.where(chance.random((24, 8, 8)) < 0.1, 255, chance.random((24, 8, 8)) < 0.3))
    meeting = meeting_of(size)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    plans = one_of_team()
    losses = list(plans.PLANS)[:first]
    asked = [[str(rank), str(size), str(meeting.port), str(tmp_path), *losses] for rank in range(size)]
    team = [
        subprocess.Popen([sys.executable, str(SCRIPT), *one], env=environment, stderr=subprocess.PIPE, text=True)
        for one in asked
    ]
    try:
        said = [one.communicate(timeout=LONG)[1] for one in team]
    finally:
        for one in team:
            one.kill()
    assert [one.returncode for one in team] == [0] * size, "\n".join(said)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(size)]
    for loss in losses:
        expected = plans.weights(loss, tmp_path)
        for one in found:
            assert one[loss].keys() == expected.keys()
            for name, value in expected.items():
                torch.testing.assert_close(one[loss][name], value, rtol=1e-9, atol=1e-9, msg=f"{loss} {name}")
    assert first < 99 or found[0]["Hinge()"]["curve"][:, 2].min() < 0.5, "easy cases were skipped, too"


@pytest.mark.parametrize("count", range(9))
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_shares_are_the_batch(count: int, size: int) -> None:
    shares = [list(range(count))[Team(size, rank).rows(count)] for rank in range(size)]
    assert [one for share in shares for one in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


class Heard(Listener):
    def __init__(self) -> None:
        self.all: list[Ended] = []

    def ended(self, one: Ended) -> None:
        self.all.append(one)


def one_fold(folder: Path) -> dict[str, Any]:
    """The design of a single run for each loss."""
    cases = [f"case{at:02}" for at in range(24)]
    (folder / "one.json").write_text(json.dumps([{"train": cases[:16], "val": cases[16:]}]))
    return {"splits": "one.json", "inner": 0.25}


def run_on(devices: int, folder: Path, **changes: Any) -> tuple[Store, list[Ended]]:
    options = {name: changes.pop(name) for name in ("limit", "memory") if name in changes}
    training = TINY["training"] | {"devices": devices} | changes.pop("training", {})
    heard, store = Heard(), folder / f"store-{devices}"
    study = tiny_study(**{"network": PLAIN} | changes, training=training)
    conduct(study, str(store), roots=[folder], workers=1, listener=heard, **options)
    return Store(store), heard.all


def records(store: Store) -> dict[str, dict[str, Any]]:
    return {path.parent.name: json.loads(path.read_text()) for path in store.folder.glob("runs/*/*/record.json")}


def left_over(folder: Path) -> list[psutil.Process]:
    """Processes that were told about this folder, and have not ended."""
    found = []
    for one in psutil.process_iter():
        try:
            if one.pid != os.getpid() and any(str(folder) in word for word in one.cmdline()):
                found.append(one)
        except psutil.Error:
            continue
    return psutil.wait_procs(found, timeout=20)[1]


def test_a_study_on_two_devices(folder: Path) -> None:
    design = one_fold(folder) | {"select": "primary"}
    training = {"stages": [{"epochs": 3, "batch": 5}]}
    one, _ = run_on(1, folder, design=design, training=training)
    two, heard = run_on(2, folder, design=design, training=training)
    assert [ended.outcome for ended in heard] == ["finished"] * 2
    alone, together = records(one), records(two)
    assert alone.keys() == together.keys(), "where a run is computed is no part of its key"
    ran, other = (ended.run for ended in heard)
    with pytest.raises(UserError, match=r"not computed alike: device.* differ .device: 2 x"):
        check_alike([(ran, together[ran.key]), (other, alone[other.key])], tiny_study())
    for key, record in together.items():
        assert record["beside"]["device"] == f"2 x {alone[key]['beside']['device']}"
        assert not list((two.folder / "checkpoints").glob("*"))
        for name, answers in one.outputs(key).items():
            torch.testing.assert_close(two.outputs(key)[name], answers, rtol=1e-4, atol=1e-5)
    assert not left_over(folder)


# who dies

CODE = """
import os, signal, sys, time
import torch

def plain(logits, target):
    return (logits - target).square().mean()

def worse(what, where):
    def loss(logits, target):
        if any(sys.argv[0].endswith(one) for one in where):
            what()
        return plain(logits, target)
    return loss

def _raise():
    raise ValueError("it cannot be")

def other_killed(logits, target):
    return worse(lambda: os.kill(os.getpid(), signal.SIGKILL), ["rank.py"])(logits, target)

def other_raises(logits, target):
    return worse(_raise, ["rank.py"])(logits, target)

def other_hangs(logits, target):
    return worse(lambda: time.sleep(1000), ["rank.py"])(logits, target)

def both_raise(logits, target):
    return worse(_raise, ["rank.py", "worker.py"])(logits, target)

def diverges(logits, target):
    return plain(logits, target) * (float("nan") if sys.argv[0].endswith(("rank.py", "worker.py")) else 1)
"""


def test_each_misdeed_costs_its_own_run_and_nobody_is_left(folder: Path) -> None:
    module = write_code(folder, CODE)
    expected = {
        "other_killed": "died", "other_raises": "died", "other_hangs": "hung",
        "both_raise": "error", "diverges": "diverged", "plain": "finished",
    }  # fmt: skip
    losses = [f"{module}:{name}" for name in expected]
    store, heard = run_on(2, folder, losses=losses, baseline=losses[-1], design=one_fold(folder), limit=0.5)
    assert {one.run.loss.label.removesuffix("()"): one.outcome for one in heard} == expected
    assert sorted(one["outcome"] for one in records(store).values()) == sorted(expected.values())
    assert next(one.message for one in heard if one.outcome == "error") == "ValueError: it cannot be"
    assert not left_over(folder)
    log = next((store.folder / "studies").glob("*/worker-0.log")).read_text()
    assert "process 1 of a run on 2 devices ended" in log


def test_a_run_goes_on_from_its_checkpoint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS, "0")
    code = (
        CODE
        + """
def cut(logits, target):
    \"\"\"The worker is killed in the third epoch, once.\"\"\"
    if sys.argv[0].endswith("worker.py"):
        with open("calls", "a") as file:
            file.write("x")
        if len(open("calls").read()) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
    return plain(logits, target)
"""
    )
    module = write_code(folder, code)
    changes: dict[str, Any] = {
        "losses": [f"{module}:cut", "Logistic()"], "baseline": "Logistic()",
        "design": one_fold(folder), "training": {"stages": [{"epochs": 4, "batch": 6}]},
    }  # fmt: skip
    _, heard = run_on(2, folder, **changes)
    assert sorted(one.outcome for one in heard) == ["died", "finished"]
    store, heard = run_on(2, folder, **changes)
    (ended,) = heard
    assert (ended.outcome, records(store)[ended.run.key]["continued"]) == ("finished", 1)
    expected, _ = run_on(1, folder, **changes)
    for name, answers in expected.outputs(ended.run.key).items():
        torch.testing.assert_close(store.outputs(ended.run.key)[name], answers, rtol=1e-4, atol=1e-5)
    assert not left_over(folder)


# what is said before


def test_batch_normalisation_on_a_cpu_is_refused_by_name(folder: Path) -> None:
    training = TINY["training"] | {"devices": 2}
    answer = cli("run", write_study(folder, training=training), here=folder)
    said = " ".join(answer.err.split())
    assert answer.code == 2 and "layer body.0.1 (BatchNorm2d)" in said
    assert "training.devices" in said and "normalize=False" in said and "devices: 1" in said
    assert not list(folder.glob("whichloss-runs/runs/*/*"))


def test_gpus_share_batch_statistics_but_no_chance_of_their_own() -> None:
    """Found on the CPU, where a study is looked at before it may be trained elsewhere."""
    training = Training.model_validate({"stages": [{"epochs": 1, "batch": 6}], "devices": 2})
    images = torch.rand(6, 1, 8, 8)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout2d(0.5))
    check_layers(training, network, images, 2, gpus=True)
    with pytest.raises(UserError, match=r"layer 1 \(BatchNorm2d\)"):
        check_layers(training, network, images, 2, gpus=False)
    with pytest.raises(UserError, match=r"layer 3 \(AlphaDropout\)"):
        check_layers(training, network.append(nn.AlphaDropout(0.5)), images, 2, gpus=True)


@pytest.mark.parametrize("devices", [0, -1, 1.5, "many"])
def test_devices_are_counted(folder: Path, devices: Any) -> None:
    answer = cli("run", write_study(folder, training=TINY["training"] | {"devices": devices}), here=folder)
    assert answer.code == 2 and "training.devices" in answer.err


def test_a_plan_says_devices(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whichloss.study.estimate.Worker._alive", lambda self: None)
    monkeypatch.setattr("whichloss.study.estimate.ENOUGH", 0.01)
    study = write_study(folder, network=PLAIN, training=TINY["training"] | {"devices": 2})
    answer = cli("run", study, "--plan", here=folder)
    assert answer.code == 0 and "each run on 2 devices, and measured on one" in answer.out


def test_gpus_are_dealt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 16)
    monkeypatch.setattr(machine, "choose_device", lambda name: torch.device("cuda" if name == "auto" else name))
    monkeypatch.setattr(execute.torch.cuda, "device_count", lambda: 5)
    assert plan_workers("auto", None) == (5, 3, [f"cuda:{at}" for at in range(5)])
    assert plan_workers("auto", None, 2) == (2, 4, ["cuda:0", "cuda:2"])
    assert plan_workers("cuda", 3, 2) == (3, 2, ["cuda:0", "cuda:2", "cuda:0"])
    assert plan_workers("auto", None, 5) == (1, 3, ["cuda:0"])
    assert plan_workers("cpu", None, 4) == (4, 1, ["cpu"] * 4)
    assert plan_workers("cpu", None, 40) == (1, 1, ["cpu"])
    assert [str(device_of(rank, torch.device("cuda:2"))) for rank in range(2)] == ["cuda:2", "cuda:3"]
    for name, offered in (("auto", 5), ("cuda:1", 1)):
        with pytest.raises(UserError, match=f"training.devices: 6 with device: {name}, which offers {offered};.*fewer"):
            plan_workers(name, None, 6)


def test_keys_do_not_know_devices(folder: Path) -> None:
    def run(**training: Any) -> Run:
        study = tiny_study(training=TINY["training"] | training)
        assert study.fixed()["training"] == study.training.protocol()
        return next(iter(runs_of(study, Shelf([folder]))))

    assert run().key == run(devices=1).key == run(devices=4).key
    assert "devices" not in run(devices=4).spec["training"]
