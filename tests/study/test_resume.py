"""A study may be killed at any moment: nothing is lost, nothing is doubled, nobody is left behind."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

STUDY = """
question: Does the loss matter?
losses: [Logistic(), Hinge(), Lorenz()]
baseline: Logistic()
data: Nodules(cases=80, size=26)
network: SmallConvNet(width=4, depth=2)
design: {folds: 4, seeds: 3}
training: {optimizer: Adam(lr=0.003), stages: [{epochs: 20, batch: 16}]}
primary: RocAuc()
rope: 0.02
secondary: [Accuracy()]
"""
RUNS = 3 * 4 * 3


class Command:
    """`whichloss run` as a process group of its own, as a shell would start it."""

    def __init__(self, study: Path, store: Path, **environment: str) -> None:
        self.store = store
        self.process = subprocess.Popen(
            [sys.executable, "-m", "whichloss", "run", str(study), "--store", str(store), "--workers", "2"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(study.parent), *sys.path])} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self) -> tuple[int, str]:
        said, _ = self.process.communicate(timeout=300)
        return self.process.returncode, said

    def kill_group(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait_for_runs(self, count: int) -> None:
        while len(records(self.store)) < count:
            assert self.process.poll() is None, self.process.communicate()[0]
            time.sleep(0.005)


def records(store: Path) -> list[Path]:
    return list(store.glob("runs/??/*/record.json"))


def results(store: Path) -> bytes:
    return next(store.glob("studies/*/results.csv")).read_bytes()


def processes_of(store: Path) -> list[psutil.Process]:
    """Processes that work on a store: its path is on their command line."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(store) in word for word in process.info["cmdline"] or []):
            found.append(process)
    return found


def all_gone(store: Path, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while processes_of(store):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("study") / "small.yaml"
    file.write_text(STUDY)
    return file


@pytest.fixture(scope="module")
def uninterrupted(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("whole")
    code, said = Command(study, store).finish()
    assert code == 0, said
    assert len(records(store)) == RUNS
    return store


def test_five_kills_of_the_process_group_change_no_byte(study: Path, uninterrupted: Path, tmp_path: Path):
    moments = random.Random(20180212)
    finished_before = []
    for kill in range(5):
        command = Command(study, tmp_path)
        if kill < 2:  # any moment, mostly before the first finished run
            moment = time.monotonic() + moments.uniform(0.2, 4)
            while time.monotonic() < moment and len(records(tmp_path)) < 6 * (kill + 1):  # on a fast machine, sooner
                time.sleep(0.005)
        else:
            command.wait_for_runs(max(1, len(records(tmp_path))) + moments.randrange(3))
            time.sleep(moments.uniform(0, 0.3))
        assert command.process.poll() is None, "the study ended before it could be killed: make it longer"
        command.kill_group()
        finished_before.append(len(records(tmp_path)))
        assert all_gone(tmp_path), "a process outlived its group"
    assert sum(count >= 1 for count in finished_before) >= 3
    assert finished_before[-1] < RUNS
    code, said = Command(study, tmp_path).finish()
    assert code == 0, said
    assert f"{finished_before[-1]} runs are finished already" in said
    assert results(tmp_path) == results(uninterrupted)
    assert not list(tmp_path.glob("runs/*/.*")), "something half-written was left behind"


def test_workers_end_with_their_parent(study: Path, tmp_path: Path):
    command = Command(study, tmp_path)
    command.wait_for_runs(1)
    assert len(processes_of(tmp_path)) == 3
    command.process.kill()  # the parent alone, so that it cannot say goodbye
    command.process.wait()
    assert all_gone(tmp_path), "orphans survive their parent"


def test_an_interrupt_ends_with_its_own_exit_code_and_no_orphan(study: Path, tmp_path: Path):
    command = Command(study, tmp_path)
    command.wait_for_runs(1)
    os.killpg(command.process.pid, signal.SIGINT)
    code, said = command.finish()
    assert code == 130, said
    assert "resumes" in said
    assert "Traceback" not in said
    assert all_gone(tmp_path)


def test_a_killed_worker_costs_its_own_run_and_no_other(uninterrupted: Path, tmp_path: Path):
    """The network of one run kills its worker, once; the others, and the same run tried again, go through."""
    (tmp_path / "fragile.py").write_text(
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from whichloss.networks.small_conv_net import SmallConvNet\n\n"
        "def network(task, outputs):\n"
        "    mark = Path(os.environ['FRAGILE_MARK'])\n"
        "    if sys.argv[0].endswith('worker.py'):\n"
        "        try:\n"
        "            mark.touch(exist_ok=False)  # in one step: two workers may come at once\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        except FileExistsError:\n"
        "            pass\n"
        "    return SmallConvNet(width=4, depth=2).build(task, outputs)\n"
    )
    study, store = tmp_path / "fragile_study.yaml", tmp_path / "store"
    study.write_text(STUDY.replace("SmallConvNet(width=4, depth=2)", "fragile:network").replace("seeds: 3", "seeds: 1"))
    mark = str(tmp_path / "mark")

    code, said = Command(study, store, FRAGILE_MARK=mark).finish()
    assert code == 1, said
    outcomes = [json.loads(one.read_text())["outcome"] for one in records(store)]
    assert sorted(outcomes) == ["died", *["finished"] * 11]
    assert "SIGKILL" in said
    rows = results(store).decode().splitlines()
    assert sum(",test,RocAuc()," in row and ",,,," not in row for row in rows) == 12
    assert sum(row.split(",")[-3] == "" for row in rows if ",test,RocAuc()" in row) == 1

    code, said = Command(study, store, FRAGILE_MARK=mark).finish()
    assert code == 0, said
    assert "11 runs are finished already" in said
    values = {row.split(",")[-3] for row in results(store).decode().splitlines() if ",test,RocAuc()" in row}
    whole = results(uninterrupted).decode().splitlines()
    expected = {row.split(",")[-3] for row in whole if ",test,RocAuc()" in row and ",0,,test," in row}
    assert values == expected  # the same network under another name gives the same scores
