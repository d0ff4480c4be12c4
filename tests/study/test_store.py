"""Nothing in a store is ever half written, whoever dies at whatever moment; and nothing in it is pickle."""

import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import whichloss.study
from small_studies import cli, execute_here, tiny_study, write_study, write_tiny
from whichloss.core import UserError
from whichloss.study.conduct import prepare
from whichloss.study.store import Store, compact, write_text

KEY = "ab" + 62 * "c"
OUTPUTS = {"inner": torch.tensor([[1.5], [-2.0]]), "test": torch.arange(24.0).reshape(2, 3, 4).half()}


def record(outcome: str = "finished", **more: Any) -> dict[str, Any]:
    return {"key": KEY, "outcome": outcome, "message": "", **more}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def whole(store: Store, expected: dict[str, Any]) -> bool:
    """Whether the store holds this record, with its outputs."""
    found = store.record(KEY)
    if found is None or found != expected:
        return False
    assert {name: one.tolist() for name, one in store.outputs(KEY).items()} == {
        name: one.tolist() for name, one in OUTPUTS.items()
    }
    return True


# what is kept


def test_outputs_come_back_as_they_were(store: Store) -> None:
    columns = torch.arange(12.0).reshape(3, 4)
    kept = OUTPUTS | {"labels": torch.tensor([-1, 0, 1], dtype=torch.int8), "turned": columns.T, "none": torch.empty(0)}
    store.write(KEY, record(), kept)
    found = store.outputs(KEY)
    assert found.keys() == kept.keys()
    for name, one in kept.items():
        assert found[name].dtype == one.dtype and torch.equal(found[name], one)


def test_a_run_is_two_files_in_a_folder_of_its_key(store: Store) -> None:
    store.write(KEY, record(score=0.5), OUTPUTS)
    folder = store.folder / "runs" / "ab" / KEY
    assert sorted(one.name for one in folder.iterdir()) == ["outputs.safetensors", "record.json"]
    assert sorted(one.name for one in folder.parent.iterdir()) == [KEY]
    assert json.loads((folder / "record.json").read_text()) == record(score=0.5) == store.record(KEY)


def test_outputs_are_read_by_whoever_knows_the_format(store: Store) -> None:
    """Safetensors by hand: eight bytes of length, a JSON header, the numbers."""
    store.write(KEY, record(), OUTPUTS)
    content = (store.path(KEY) / "outputs.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    start, end = header["test"]["data_offsets"]
    assert (header["test"]["dtype"], header["test"]["shape"]) == ("F16", [2, 3, 4])
    numbers = np.frombuffer(content[8 + length + start : 8 + length + end], np.float16)
    assert np.array_equal(numbers, np.arange(24))


def test_an_unknown_run_is_none(store: Store) -> None:
    assert store.record(KEY) is None
    assert not store.finished(KEY)


def test_logits_of_masks_are_kept_short_and_finite() -> None:
    scores = torch.tensor([[1e30], [-1e-30]])
    assert compact(scores) is scores, "one number a case is kept as it is"
    masks = torch.tensor([1e30, -1e30, 3.14159, 0.0, 65504.0, -1e-3]).reshape(1, 1, 2, 3)
    short = compact(masks)
    assert short.dtype == torch.float16
    assert short.flatten().tolist() == pytest.approx([65504, -65504, 3.14159, 0, 65504, -1e-3], rel=1e-3)
    assert compact(short).equal(short)


# outcomes


@pytest.mark.parametrize(
    ("outcome", "final"),
    [("finished", True), ("diverged", True), ("error", False), ("out_of_memory", False), ("died", False)],
)
def test_what_might_come_out_otherwise_is_tried_again(tmp_path: Path, outcome: str, final: bool) -> None:
    write_tiny(tmp_path)
    ready = prepare(tiny_study(), tmp_path / "store", [tmp_path])
    first, *others = ready.runs
    ready.store.write(first.key, record(outcome), {})
    assert ready.store.finished(first.key) == final
    assert ready.missing == (others if final else [first, *others])


@pytest.mark.parametrize("before", ["error", "out_of_memory", "died"])
@pytest.mark.parametrize("after", ["finished", "diverged", "error"])
def test_a_new_try_takes_the_place_of_a_failed_one(store: Store, before: str, after: str) -> None:
    store.write(KEY, record(before, message="first"), {})
    store.write(KEY, record(after, message="second"), OUTPUTS)
    assert whole(store, record(after, message="second"))
    assert [one.name for one in store.path(KEY).parent.iterdir()] == [KEY]


@pytest.mark.parametrize("before", ["finished", "diverged"])
@pytest.mark.parametrize("after", ["finished", "error", "died"])
def test_what_is_final_is_never_changed(store: Store, before: str, after: str) -> None:
    store.write(KEY, record(before, message="first"), OUTPUTS)
    store.write(KEY, record(after, message="second"), {})
    assert whole(store, record(before, message="first"))
    assert [one.name for one in store.path(KEY).parent.iterdir()] == [KEY]


# death at any moment


class Death(BaseException):
    """Not an Exception: nothing tidies up after a killed process."""


STEPS = ("os.fsync", "os.open", "os.close", "os.rename", "os.replace", "os.mkdir", "os.unlink", "os.rmdir",
         "shutil.rmtree", "pathlib.Path.open", "pathlib.Path.mkdir", "pathlib.Path.rename",
         "pathlib.Path.replace")  # fmt: skip


def dying(monkeypatch: pytest.MonkeyPatch, at: int, error: type[BaseException], work: Callable[[], Any]) -> bool:
    """Does the work, which ends with an error at its step `at` of those that touch the disk. Whether it did."""
    taken = 0

    def patched(original: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            nonlocal taken
            taken += 1
            if taken == at:
                raise error("this is the end")
            return original(*arguments, **named)

        return step

    with monkeypatch.context() as patch:
        for name in STEPS:
            home, _, last = name.rpartition(".")
            owner: Any = Path if home == "pathlib.Path" else {"os": os, "shutil": shutil}[home]
            patch.setattr(owner, last, patched(getattr(owner, last)))
        try:
            work()
        except (error, UserError):
            return True
    return False


@pytest.mark.parametrize("error", [Death, OSError])
@pytest.mark.parametrize("before", [None, "error", "finished"])
def test_dying_at_any_step_leaves_the_old_the_new_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None, error: type[BaseException]
) -> None:
    new = record("finished", message="new")
    for at in range(1, 60):
        store = Store(tmp_path / str(at))
        old = None if before is None else record(before, message="old")
        if old is not None:
            store.write(KEY, old, OUTPUTS)
        ended = dying(monkeypatch, at, error, lambda store=store: store.write(KEY, new, OUTPUTS))
        found = store.record(KEY)
        if before == "finished":
            assert whole(store, old or {})
        elif found == new:
            assert whole(store, new)
        else:
            assert found in (None, old) and not store.finished(KEY)
        # whoever comes next finds the way free
        store.write(KEY, new, OUTPUTS)
        assert whole(store, old or {} if before == "finished" else new)
        if not ended:
            assert at > 5, "the steps were not met"
            return
    raise AssertionError("it never came to its end")


def test_a_half_written_record_is_never_seen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at from outside after every step that touches the disk."""
    seen = []
    fsync = os.fsync

    def look(handle: int) -> None:
        fsync(handle)
        seen.append((store.record(KEY), store.finished(KEY)))

    monkeypatch.setattr(os, "fsync", look)
    store.write(KEY, record(), OUTPUTS)
    assert seen[:-1] == [(None, False)] * (len(seen) - 1) and len(seen) == 3
    assert seen[-1] == (record(), True)


def test_a_text_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "verdict.json"
    write_text(path, "old")
    for at in range(1, 20):
        ended = dying(monkeypatch, at, Death, lambda: write_text(path, "new"))
        assert path.read_text() in (("old", "new") if ended else ("new",))
        if not ended:
            return
        write_text(path, "old")
    raise AssertionError("it never came to its end")


def test_whoever_reads_a_text_while_it_is_replaced_reads_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    write_text(path, "old")
    with path.open() as reader:
        write_text(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


# two at once


@pytest.mark.parametrize("before", [None, "error"])
def test_two_that_finish_the_same_run_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    if before is not None:
        store.write(KEY, record(before), {})
    rename, other = Path.rename, Store(store.folder)
    others = [record(message="other")]

    def late(self: Path, target: Path) -> Path:
        if others:  # between the last look and the rename somebody else finishes
            other.write(KEY, others.pop(), OUTPUTS)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    store.write(KEY, record(message="mine"), OUTPUTS)
    assert not others
    assert whole(store, record(message="other")) or whole(store, record(message="mine"))
    assert [one.name for one in store.path(KEY).parent.iterdir()] == [KEY], "nothing is left aside"


@pytest.mark.parametrize("before", [None, "error"])
def test_many_that_finish_the_same_run_at_once(tmp_path: Path, before: str | None) -> None:
    for attempt in range(10):
        store = Store(tmp_path / str(attempt))
        if before is not None:
            store.write(KEY, record(before), OUTPUTS)
        failures: list[BaseException] = []
        start = threading.Barrier(6)

        def finish(store: Store = store, start: Any = start, failures: list[BaseException] = failures) -> None:
            try:
                start.wait()
                store.write(KEY, record(), OUTPUTS)
            except BaseException as error:
                failures.append(error)

        crew = [threading.Thread(target=finish) for _ in range(6)]
        for one in crew:
            one.start()
        for one in crew:
            one.join()
        assert not failures
        assert whole(store, record())
        assert [one.name for one in store.path(KEY).parent.iterdir()] == [KEY]


# what the dead leave behind


def leave_behind(store: Store, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What this process leaves of a write if it is killed before the end."""

    def killed(*arguments: Any) -> None:
        raise Death

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        patch.setattr(os, "rename", killed)
        with pytest.raises(Death):
            store.write(KEY, record(), OUTPUTS)
    (left,) = store.path(KEY).parent.iterdir()
    return left


def test_what_the_dead_left_is_removed_and_what_the_living_write_is_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = leave_behind(store, monkeypatch)
    assert str(os.getpid()) in mine.name
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    alive = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        theirs = [shutil.copytree(mine, mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{other.pid}-")))
                  for other in (dead, alive)]  # fmt: skip
        store.write("ab" + 62 * "d", record(), OUTPUTS)
        store.clean()
        assert [one.exists() for one in (mine, *theirs)] == [True, False, True]
        assert store.finished("ab" + 62 * "d")
        assert not store.finished(KEY)
    finally:
        alive.communicate(b"\n")
    store.clean()
    assert [one.exists() for one in theirs] == [False, False]


@pytest.mark.parametrize(
    "others", [("node-1", "pid:[4026531836]"), ("node1", "pid:[4026532180]"), ("node11", "pid:[4026531836]")]
)
def test_what_another_machine_writes_is_not_touched(
    others: tuple[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that machines share: a number of a process means something on one machine, in one name space, alone."""

    def on(name: str, space: str) -> None:
        monkeypatch.setattr(platform, "node", lambda: name)
        monkeypatch.setattr(os, "readlink", lambda path: space)

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = []
    (store.folder / "studies" / "one").mkdir(parents=True)
    for machine in (others, ("node1", "pid:[4026531836]")):
        on(*machine)
        mine = leave_behind(store, monkeypatch)
        gone = mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-"))
        left.append(mine.rename(store.folder / "studies" / "one" / gone.name))
    store.clean()
    assert [one.exists() for one in left] == [True, False]
    on(*others)
    store.clean()
    assert not left[0].exists(), "it is its own machine's to remove"


def test_preparing_a_study_cleans_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny(tmp_path)
    left = leave_behind(Store(tmp_path / "store"), monkeypatch)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = left.rename(left.with_name(left.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")))
    prepare(tiny_study(), tmp_path / "store", [tmp_path])
    assert not left.exists()


# no pickle


def test_nothing_in_a_store_is_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    write_tiny(tmp_path)
    assert cli("run", write_study(tmp_path), "--store", tmp_path / "store", here=tmp_path).code == 0
    files = [one for one in (tmp_path / "store").rglob("*") if one.is_file()]
    assert {one.name for one in files} == {
        "record.json", "outputs.safetensors", "study.yaml", "protocol.json", "results.csv", "costs.csv",
        "verdict.json", "report.html",
    }  # fmt: skip
    for one in files:
        content = one.read_bytes()
        if one.suffix == ".safetensors":
            assert content[8:9] == b"{"
        else:
            content.decode("utf-8")
        if one.suffix == ".json":
            json.loads(content)


def test_the_study_package_knows_no_pickle() -> None:
    for file in Path(whichloss.study.__path__[0]).rglob("*.py"):
        code = file.read_text()
        assert not any(word in code for word in ("import pickle", "torch.save", "torch.load", "joblib", "cloudpickle"))
