"""A study may end at any step of its writing, of any cause: the same command finishes it as if nothing had happened."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from crashes import DIED, Fault, Laboratory, Ran
from small_studies import write_study, write_tiny
from whichloss.study.store import Store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="paths of open files are read from /proc")

EVERY_EPOCH = {"WHICHLOSS_CHECKPOINT_SECONDS": "0"}
TABLES = ("results.csv", "tuning.csv")


class Whole:
    """A study, and a run of it that nobody disturbed."""

    def __init__(self, laboratory: Laboratory, folder: Path, **changes: object) -> None:
        self.laboratory, self.folder = laboratory, folder
        write_tiny(folder)
        self.study = write_study(folder, **changes)
        laboratory.run(self.study, folder / "warm", warm=True, **EVERY_EPOCH)
        self.ran = self.run("whole")
        assert self.ran.code == 0, self.ran.err
        self.keys = set(self.ran.trained)
        assert len(self.keys) == len(self.ran.trained)
        self.tables = self.tables_of("whole")

    def run(self, store: str, fault: Fault | None = None, **options: int) -> Ran:
        return self.laboratory.run(self.study, self.folder / store, fault, **options, **EVERY_EPOCH)

    def tables_of(self, store: str) -> dict[str, bytes]:
        home = self.folder / store / "studies" / "tiny"
        return {name: (home / name).read_bytes() for name in TABLES if (home / name).exists()}

    def kept(self, store: str) -> set[str]:
        found = Store(self.folder / store)
        return {key for key in self.keys if found.finished(key)}

    def check_resumed(self, store: str, kept: set[str]) -> None:
        """The same command again: the same tables, what was kept is not computed, and nothing lies about."""
        ran = self.run(store)
        assert ran.code == 0, ran.err
        assert sorted(ran.trained) == sorted(self.keys - kept)
        assert self.tables_of(store) == self.tables
        assert self.kept(store) == self.keys
        assert not list((self.folder / store).rglob(".*"))
        assert not list((self.folder / store / "checkpoints").glob("*"))


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    with Laboratory() as found:
        yield found


@pytest.fixture(scope="module")
def whole(laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(laboratory, tmp_path_factory.mktemp("whole"))


def moments(steps: list[str]) -> list[tuple[str, int]]:
    """Each kind of step, the second of it where there is one: then something is finished, and something is not."""
    return [(name, min(2, count)) for name, count in Counter(steps).items()]


def test_the_steps_are_those_of_every_file(whole: Whole) -> None:
    """Otherwise the tests below would pass for want of anything to fail."""
    steps = set(whole.ran.steps)
    for file in ("study.yaml", "protocol.json", "results.csv", "costs.csv", "verdict.json", "report.html"):
        assert {f"{call} studies/tiny/{file}~" for call in ("open", "write", "fsync", "replace")} <= steps
    for file in ("outputs.safetensors", "record.json"):
        assert {f"{call} runs/??/RUN~/{file}" for call in ("open", "write", "fsync")} <= steps
    assert {"mkdir runs/??/RUN~", "rename runs/??/RUN~", "fsync runs/??", "open probe~", "unlink probe~"} <= steps
    assert {f"{call} checkpoints/RUN/state.safetensors~" for call in ("open", "write", "fsync", "replace")} <= steps
    assert "rmdir checkpoints/RUN" in steps


def test_what_is_shown_has_reached_the_disk(whole: Whole) -> None:
    """A power cut must not leave an empty file under a good name: each is flushed before it gets one."""
    dirty: set[str] = set()
    for step in whole.ran.steps:
        call, path = step.split(" ", 1)
        if call == "write":
            dirty.add(path)
        elif call == "fsync":
            dirty.discard(path)
        elif call in ("rename", "replace"):
            assert not [one for one in dirty if one.startswith(path)], step


def test_dying_at_any_step_loses_no_run_and_computes_none_twice(whole: Whole) -> None:
    for at, (step, time) in enumerate(moments(whole.ran.steps)):
        store = f"dying-{at}"
        assert whole.run(store, Fault("die", step, time)).code == DIED, step
        whole.check_resumed(store, whole.kept(store))


def test_dying_while_a_failed_outcome_gives_way_leaves_no_doubt(whole: Whole) -> None:
    def prepare(store: str) -> None:
        for key in whole.keys:
            Store(whole.folder / store).write(key, {"key": key, "outcome": "died", "message": "earlier"}, {})

    prepare("failed")
    again = whole.run("failed")
    concerned = [moment for moment in moments(again.steps) if moment[0].split()[0] in ("rename", "unlink", "rmdir")]
    assert ("rename runs/??/RUN", 2) in concerned and ("unlink runs/??/RUN~/record.json", 2) in concerned
    for at, (step, time) in enumerate(concerned):
        store = f"failed-{at}"
        prepare(store)
        assert whole.run(store, Fault("die", step, time)).code == DIED, step
        whole.check_resumed(store, whole.kept(store))


def test_dying_in_a_search_spends_no_trial_twice(laboratory: Laboratory, tmp_path: Path) -> None:
    tune = {"trials": 3, "over": {"training.lr": "loguniform(1e-4, 1e-1)"}}
    whole = Whole(laboratory, tmp_path, tune=tune)
    assert set(whole.tables) == set(TABLES)
    for at, step in enumerate(("write runs/??/RUN~/record.json", "fsync runs/??", "replace studies/tiny/tuning.csv~")):
        time = max(1, whole.ran.steps.count(step) // 2)
        assert whole.run(f"search-{at}", Fault("die", step, time)).code == DIED
        whole.check_resumed(f"search-{at}", whole.kept(f"search-{at}"))


@pytest.mark.parametrize(("kind", "every"), [("ENOSPC", 3), ("EROFS", 7)])
def test_a_disk_that_takes_no_more_ends_with_one_message(whole: Whole, kind: str, every: int) -> None:
    said = "No space left on device" if kind == "ENOSPC" else "Read-only file system"
    for at, (step, time) in list(enumerate(moments(whole.ran.steps)))[::every]:
        if kind == "ENOSPC" and step.split()[0] in ("unlink", "rmdir"):
            continue  # a full disk takes these
        store = f"{kind}-{at}"
        ran = whole.run(store, Fault(kind, step, time))
        kept = whole.kept(store)
        assert_one_message(ran, said)
        assert len(ran.trained) <= len(kept) + 1, "it went on although nothing could be kept"
        whole.check_resumed(store, kept)


def assert_one_message(ran: Ran, said: str) -> None:
    assert ran.code == 2, ran
    lines = [line for line in ran.err.splitlines() if line.startswith("whichloss: ")]
    assert len(lines) == 1 and said in lines[0] and "Traceback" not in ran.err, ran.err


def test_files_that_grow_too_large_end_with_one_message(whole: Whole) -> None:
    """The limit of the system on the size of a file, as a quota would set it: real errors, at each file in turn."""
    sizes = {file.name: file.stat().st_size for file in (whole.folder / "whole").rglob("*") if file.is_file()}
    for name, size in sizes.items():
        store = f"small-{name}"
        ran = whole.run(store, largest=size * 9 // 10)
        kept = whole.kept(store)
        assert_one_message(ran, "File too large")
        whole.check_resumed(store, kept)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_made_read_only_says_so(whole: Whole) -> None:
    whole.run("locked")
    store = whole.folder / "locked"
    store.chmod(0o500)
    try:
        assert_one_message(whole.run("locked"), "Permission denied")
    finally:
        store.chmod(0o700)


def test_a_damaged_record_is_as_good_as_none(whole: Whole) -> None:
    whole.run("damaged")
    store = Store(whole.folder / "damaged")
    empty, cut, *_ = sorted(whole.keys)
    (store.path(empty) / "record.json").write_bytes(b"")
    (store.path(cut) / "record.json").write_bytes((store.path(cut) / "record.json").read_bytes()[:-20])
    whole.check_resumed("damaged", whole.keys - {empty, cut})


def test_lost_outputs_are_named(whole: Whole) -> None:
    whole.run("lost")
    store = Store(whole.folder / "lost")
    key = min(whole.keys)
    for damage in (lambda path: path.write_bytes(path.read_bytes()[:-1]), Path.unlink):
        damage(store.path(key) / "outputs.safetensors")
        ran = whole.run("lost")
        assert_one_message(ran, f"the outputs of run {key[:12]} cannot be read")
        assert str(store.path(key)) in ran.err


DYING = """
import os, sys
from pathlib import Path
from whichloss.networks.small_conv_net import SmallConvNet

def network(task, outputs):
    if sys.argv[0].endswith("worker.py") and os.environ.get("DYING_MARK"):
        rename = os.rename

        def dying(source, target):
            try:
                Path(os.environ["DYING_MARK"]).touch(exist_ok=False)
            except FileExistsError:
                return rename(source, target)
            os._exit(0)

        os.rename = dying
    return SmallConvNet(width=2, depth=1, features=4).build(task, outputs)
"""


def test_a_worker_that_dies_before_its_run_appears_costs_that_run(laboratory: Laboratory, tmp_path: Path) -> None:
    """In processes of their own, as they are."""
    (tmp_path / "dying.py").write_text(DYING)
    whole = Whole(laboratory, tmp_path, network="dying:network")
    ended = subprocess.run(
        [sys.executable, "-m", "whichloss", "run", whole.study, "--store", tmp_path / "died", "--workers", "1",
         "--retries", "1"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "DYING_MARK": str(tmp_path / "mark")},
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0
    assert "died: its worker process ended with exit status 0" in ended.stderr
    assert "4 of 4 runs, 0 failed" in ended.stderr
    assert whole.tables_of("died") == whole.tables
    assert not list(tmp_path.rglob("runs/*/.*"))
