"""Crashes and full disks from outside: a study runs in a forked process, in which calls of the operating system fail.

The code under test has no hooks for this. Whatever changes the disk below the store is a step with a name, such as
`rename runs/RUN~`, where ~ marks a file aside; the same study takes the same steps. A fault comes at one of them.

    with Laboratory() as laboratory:
        whole = laboratory.run(study, store)
        died = laboratory.run(study, other, Fault("die", whole.steps[-1]))
"""

import errno
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

DIED = 77  # exit code of a process that ended at a step
CALLS = ("mkdir", "rename", "replace", "unlink", "rmdir", "fsync")
SPACE = ("mkdir", "rename", "replace", "fsync", "open", "write")  # what a full disk may refuse


@dataclass(frozen=True)
class Fault:
    """die: the process ends before that step, or in the middle of it where it writes. Otherwise an errno, ENOSPC or
    EROFS: that step and all after it fail, as far as they would on a full or a read-only disk."""

    kind: str
    step: str
    time: int = 1  # at which of the steps of this name


@dataclass(frozen=True)
class Ran:
    """What became of a run of the command line."""

    code: int
    out: str
    err: str
    steps: list[str]
    trained: list[str]  # keys


class Laboratory:
    """A process with everything imported, which forks itself for each run: that saves seconds every time."""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def run(
        self,
        study: Path,
        store: Path,
        fault: Fault | None = None,
        *,
        largest: int | None = None,  # bytes that a file may have
        warm: bool = False,  # without a fork, so that all forks to come find everything at hand
        **environment: str,
    ) -> Ran:
        order = {"study": str(study), "store": str(store), "fault": fault and asdict(fault), "largest": largest,
                 "warm": warm, "environment": environment}  # fmt: skip
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return Ran(**json.loads(self.process.stdout.readline()))


class Disk:
    """Calls of the operating system that change what lies below a folder, counted, and failing from some step on."""

    def __init__(self, folder: Path, fault: Fault | None) -> None:
        self.folder, self.fault = str(folder), fault
        self.steps: list[str] = []
        self.broken = False

    def patch(self) -> None:
        for call in CALLS:
            setattr(os, call, self._stepping(call, getattr(os, call)))
        io.open = self._opening(io.open)  # type: ignore[assignment]

    def step(self, call: str, path: str, half: Callable[[], Any] | None = None) -> None:
        if not path.startswith(self.folder):
            return
        name = f"{call} {_shape(os.path.relpath(path, self.folder))}"
        self.steps.append(name)
        fault = self.fault
        if fault is None:
            return
        self.broken |= fault.step == name and Counter(self.steps)[name] == fault.time
        if not self.broken or (fault.kind == "ENOSPC" and call not in SPACE):
            return
        if half is not None:
            half()
        if fault.kind == "die":
            os._exit(DIED)
        number = getattr(errno, fault.kind)
        raise OSError(number, os.strerror(number), path)

    def _stepping(self, call: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def patched(what: Any, *arguments: Any, **named: Any) -> Any:
            self.step(call, _where(what, named.get("dir_fd")))
            return original(what, *arguments, **named)

        return patched

    def _opening(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def patched(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            if isinstance(file, int) or not set(mode) & set("wax+"):
                return original(file, mode, *arguments, **named)
            path = _where(file)
            self.step("open", path)
            return _File(original(file, mode, *arguments, **named), path, self)

        return patched


class _File:
    """An open file whose writing is a step: a fault leaves half of it on the disk."""

    def __init__(self, file: Any, path: str, disk: Disk) -> None:
        self._file, self._path, self._disk = file, path, disk

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, content: Any) -> int:
        def half() -> None:
            self._file.write(content[: len(content) // 2])
            self._file.flush()

        self._disk.step("write", self._path, half)
        return self._file.write(content)


def _where(what: Any, folder: int | None = None) -> str:
    """The path that a call is about."""
    if isinstance(what, int):
        return os.readlink(f"/proc/self/fd/{what}")
    path = os.fspath(what)
    return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path) if folder is not None else os.path.abspath(path)


def _shape(path: str) -> str:
    """A path without what differs from run to run and from process to process."""
    path = re.sub(r"\.([\w.]+)-\w+-\d+-[0-9a-f]{8}", r"\1~", path)
    return re.sub(r"[0-9a-f]{64}", "RUN", re.sub(r"runs/[0-9a-f]{2}\b", "runs/??", path))


# in the laboratory's own process


def serve() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        order = json.loads(line)
        if order["warm"]:
            answer = _run(order)
        else:
            reader, writer = os.pipe()
            child = os.fork()
            if not child:
                os.write(writer, json.dumps(_run(order)).encode())
                os._exit(0)
            os.close(writer)
            with open(reader) as pipe:
                text = pipe.read()
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            answer = json.loads(text or "{}") or {"code": status, "out": "", "err": "", "steps": [], "trained": []}
        print(json.dumps(answer), file=answers)


def _run(order: dict[str, Any]) -> dict[str, Any]:
    """The command line on a broken disk, with its workers in this process."""
    from small_studies import cli

    os.environ |= order["environment"]
    folder = Path(order["store"])
    disk = Disk(folder, Fault(**order["fault"]) if order["fault"] else None)
    with suppress(FileExistsError):
        folder.mkdir()
    trained = _workers_here()
    if not order["warm"]:
        disk.patch()
    if order["largest"] is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest"], resource.RLIM_INFINITY))
    study = Path(order["study"])
    try:
        answer = cli("run", study, "--store", folder, "--workers", 1, here=study.parent)
        code, out, err = answer.code, answer.out, answer.err
    except Exception as error:
        code, out, err = 1, "", f"Traceback: {type(error).__name__}: {error}"
    return {"code": code, "out": out, "err": err, "steps": disk.steps, "trained": trained}


def _workers_here() -> list[str]:
    """Workers answer without a process of their own. Where the keys of what they train are noted."""
    from whichloss.study import execute, worker
    from whichloss.study.shelf import Shelf
    from whichloss.study.store import Store

    trained: list[str] = []
    compute = getattr(worker.compute, "original", worker.compute)

    def noted(run: Any, *arguments: Any, **named: Any) -> Any:
        trained.append(run.key)
        return compute(run, *arguments, **named)

    def ask(asked: Any, message: dict[str, Any]) -> str:
        store, *roots = map(Path, asked.command[3:])
        return json.dumps(worker.fulfil(json.loads(json.dumps(message)), Store(store), Shelf(roots)))

    noted.original = compute  # type: ignore[attr-defined]
    worker.compute = noted  # type: ignore[assignment]
    execute.Worker._alive = lambda self: self  # type: ignore[assignment,method-assign,return-value]
    execute._ask = ask
    return trained


if __name__ == "__main__":
    serve()
