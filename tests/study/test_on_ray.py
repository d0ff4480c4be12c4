"""A study on a Ray cluster: the same tables to the last byte, though a machine is lost in the middle of it."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from clusters import finish, nobody_works_on, records, start, tables, until, write
from small_studies import cli, write_study, write_tiny
from whichloss.study.on import ray as on_ray

SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two machines of one core each, as far as Ray can tell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Cluster(initialize_head=True, head_node_args=SMALL | {"include_dashboard": False})
        try:
            made.add_node(**SMALL)
            yield made
        finally:
            made.shutdown()


def test_an_interrupt_cancels_what_was_handed_over(study: Path, cluster: Cluster, tmp_path: Path) -> None:
    caught, doomed = study.with_name("caught"), study.with_name("doomed")
    doomed.write_text("all")
    command = start(study, tmp_path, "--on", f"ray:{cluster.address}")
    until(caught.exists, command)
    os.killpg(command.pid, signal.SIGINT)
    code, said = finish(command)
    doomed.unlink(), caught.unlink()
    assert code == 130, said
    assert "resumes" in said and "Traceback" not in said
    until(lambda: nobody_works_on(tmp_path))
    assert not records(tmp_path)


def test_a_lost_machine_changes_no_byte(study: Path, cluster: Cluster, tmp_path: Path) -> None:
    code, said = finish(start(study, tmp_path / "here", "--workers", "2"))
    assert code == 1, said
    lost = next(node for node in cluster.list_all_nodes() if not node.head)
    processes = lost.all_processes["raylet"]
    caught = study.with_name("caught")
    study.with_name("doomed").write_text(str(processes[0].process.pid))
    command = start(study, tmp_path / "ray", "--on", f"ray:{cluster.address}")
    until(caught.exists, command)
    cluster.remove_node(lost, allow_graceful=False)
    code, said = finish(command)
    assert code == 1, said
    assert "2 at a time" in said
    assert tables(tmp_path / "ray") == tables(tmp_path / "here")
    found = records(tmp_path / "ray")
    assert sorted(one["outcome"] for one in found) == ["died"] * 2 + ["finished"] * 2
    assert all("SIGKILL" in one["message"] for one in found if one["outcome"] == "died")
    assert {one["beside"]["threads"] for one in found if one["outcome"] == "finished"} == {"1"}
    until(lambda: nobody_works_on(tmp_path / "ray"))


def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write_tiny(tmp_path)
    answer = cli("run", write_study(tmp_path), "--on", "ray", here=tmp_path)
    assert answer.code == 2
    assert "pip install 'whichloss[ray]'" in answer.err


@pytest.mark.parametrize("scheme", ["ray:", "ray://"])
def test_nobody_at_the_address(tmp_path: Path, scheme: str) -> None:
    write_tiny(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and nobody listens
        answer = cli("run", write_study(tmp_path), "--on", f"{scheme}127.0.0.1:{free.getsockname()[1]}", here=tmp_path)
    assert answer.code == 2
    assert answer.err.startswith("whichloss: no Ray cluster answers at") and "6379" in answer.err
    assert not list(tmp_path.glob("whichloss-runs/studies/*")), "nothing has begun"


def test_somebody_else_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "ANSWERS", 3)
    write_tiny(tmp_path)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        answer = cli("run", write_study(tmp_path), "--on", f"ray:127.0.0.1:{silent.getsockname()[1]}", here=tmp_path)
    assert answer.code == 2
    assert "does not answer as a Ray cluster" in answer.err
    assert not ray.is_initialized()
