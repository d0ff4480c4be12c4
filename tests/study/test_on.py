"""Where runs are computed, as a person says it; and what a machine of a cluster refuses to compute."""

import json
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from small_studies import cli, tiny_study, write_study, write_tiny
from whichloss.core import UserError
from whichloss.study import facts
from whichloss.study.conduct import Listener, conduct, prepare, run_missing
from whichloss.study.on import Place, engine, settings
from whichloss.study.on.engine import Answer, Site, perform
from whichloss.study.on.ray import _slots
from whichloss.study.on.slurm import _named


@pytest.fixture(autouse=True)
def data(tmp_path: Path) -> None:
    write_tiny(tmp_path)


# what a person says


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--on", "dask"], "say local, ray,"),
        (["--on", "slurm:head"], "say local, ray,"),
        (["--on", "local:2"], "say local, ray,"),
        (["--gpus-per-run", "0.5"], "are for --on ray or slurm"),
        (["--cpus-per-run", "2"], "say --workers"),
        (["--slurm", "time=10"], "--slurm is for --on slurm"),
        (["--on", "ray", "--slurm", "time=10"], "not for --on ray"),
        (["--on", "ray", "--gpus-per-run", "1.5"], "a part of one GPU"),
        (["--on", "ray", "--gpus-per-run", "-1"], "a part of one GPU"),
        (["--on", "ray", "--gpus-per-run", "nan"], "a part of one GPU"),
        (["--on", "slurm:local", "--gpus-per-run", "0.5"], "whole GPUs"),
        (["--on", "slurm:local", "--slurm", "partition"], "say key=value"),
        (["--on", "slurm:local", "--slurm", "time=1:00:00"], "say minutes"),
        (["--on", "slurm:local", "--slurm", "nodes=2"], "a run is one process"),
        (["--on", "slurm:local", "--slurm", "partitoin=gpu"], "partitoin"),
        (["--on", "slurm:local", "--slurm", "mem_gb=much"], "mem_gb"),
        (["--on", "slurm:local", "--set", "training.device=cuda"], "no run gets a GPU"),
        (["--on", "ray", "--plan"], "leave out --on"),
    ],
)
def test_a_mistake_is_one_message(tmp_path: Path, options: list[str], said: str) -> None:
    answer = cli("run", write_study(tmp_path), *options, here=tmp_path)
    assert answer.code == 2, answer
    assert said in answer.err and "Traceback" not in answer.err
    assert not list(tmp_path.glob("whichloss-runs/runs/*/*"))


def test_slurm_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = cli("run", write_study(tmp_path), "--on", "slurm", here=tmp_path)
    assert answer.code == 2
    assert "srun" in answer.err


def test_settings_are_what_json_has_and_text() -> None:
    texts = ["time=60", "partition=gpu", "exclusive=true", "mem_gb=7.5", 'setup=["module load cuda"]', "qos=a=b"]
    found = settings(texts)
    assert found == {
        "time": 60, "partition": "gpu", "exclusive": True, "mem_gb": 7.5, "setup": ["module load cuda"], "qos": "a=b",
    }  # fmt: skip
    assert list(_named(found)) == [
        "slurm_time", "slurm_partition", "slurm_exclusive", "mem_gb", "slurm_setup", "slurm_qos",
    ]  # fmt: skip


def test_a_run_gets_a_gpu_where_it_is_given_one() -> None:
    assert Place(on="ray").share("auto") == ("cpu", 1)
    assert Place(on="ray", gpus=0.25, cpus=4).share("auto") == ("cuda", 4)
    assert Place(on="ray", gpus=0.25).share("cpu") == ("cpu", 1)
    assert Place(on="slurm", gpus=2, cpus=8).share("cuda", 2) == ("cuda", 4)
    assert Place(on="slurm", slurm={"gres": "gpu:a100:1"}).share("auto") == ("cuda", 1)
    with pytest.raises(UserError, match="say --gpus-per-run 2"):
        Place(on="ray", gpus=1).share("auto", 2)


def test_how_many_runs_a_cluster_takes_at_a_time() -> None:
    assert _slots({"CPU": 16.0, "GPU": 2.0}, engine.Share(2, 0.25, None)) == 8
    assert _slots({"CPU": 16.0, "GPU": 2.0}, engine.Share(4, 0.25, None)) == 4
    assert _slots({"CPU": 16.0}, engine.Share(1, 1, None)) == 0
    assert _slots({"CPU": 16.0}, engine.Share(1, 0, None)) == 16


# what a machine refuses


class Strange:
    """An engine whose machine answers as it is told to, and computes nothing."""

    room = slots = 2

    def __init__(self, answer: Answer) -> None:
        self.answer, self.orders = answer, list[dict[str, Any]]()

    def submit(self, site: Site, orders: Sequence[dict[str, Any]]) -> Sequence[Hashable]:
        self.site, self.orders = site, list(orders)
        return [one["key"] for one in orders]

    def wait(self) -> Iterable[tuple[Hashable, Answer]]:
        for one in self.orders:
            yield one["key"], self.answer

    def stop(self) -> None: ...


def on(strange: Strange, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a tiny study there."""
    monkeypatch.setattr("whichloss.study.on.slurm.OnSlurm", lambda *_: strange)
    run_missing(prepare(tiny_study(), folder / "store", [folder]), None, Listener(), place=Place(on="slurm"))


def test_a_store_that_is_not_shared_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.0)
    with pytest.raises(UserError, match=r"does not appear in .*all machines share"):
        on(Strange(Answer("finished", "", recorded=True)), tmp_path, monkeypatch)


def test_what_no_run_can_do_ends_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no disk"):
        on(Strange(Answer("error", "no disk", hopeless=True)), tmp_path, monkeypatch)


def test_what_was_lost_is_recorded_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on(Strange(Answer("died", "its machine burnt down")), tmp_path, monkeypatch)
    found = [json.loads(one.read_text()) for one in (tmp_path / "store").glob("runs/??/*/record.json")]
    assert [(one["outcome"], one["message"]) for one in found] == [("died", "its machine burnt down")] * 4


def test_a_machine_with_another_store_or_other_code_computes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = Strange(Answer("died", ""))
    on(strange, tmp_path, monkeypatch)
    elsewhere = replace(strange.site, store=str(tmp_path / "nowhere"), study=str(tmp_path / "nowhere" / "tiny"))
    answer = perform(elsewhere, strange.orders[0])
    assert answer.hopeless and "does not see the store" in answer.message
    assert not (tmp_path / "nowhere").exists(), "it makes no store of its own"
    answer = perform(replace(strange.site, source="another"), strange.orders[0])
    assert answer.hopeless and "install the same version" in answer.message


# what is recorded


def test_machines_of_one_kind_are_alike(tmp_path: Path) -> None:
    """Where a run was computed is told, and is no difference between runs; what it was computed with is one."""
    study = tiny_study(training={"stages": [{"epochs": 1, "batch": 8}], "device": "cpu"})
    done = conduct(study, tmp_path / "store", roots=[tmp_path], workers=1)
    assert not done.failed
    prepared = prepare(study, tmp_path / "store", [tmp_path])
    found = facts.ended(prepared.final, prepared.store)
    for at, (_, record) in enumerate(found):
        assert record["host"] and record["host"] not in record["beside"].values()
        record["host"] = f"node{at}"
    facts.check_alike(found, study)
    hosts = {line.rpartition(",")[2] for line in facts.costs(found).splitlines()[1:]}
    assert hosts == {"node0", "node1", "node2", "node3"}
    found[0][1]["beside"]["device"] = "another"
    with pytest.raises(UserError, match="--allow-mixed"):
        facts.check_alike(found, study)
