"""Store: a folder of finished runs by key, shared by all studies. Nothing in it is ever half written.

runs/ab/abcdef.../record.json, outputs.safetensors     written aside and renamed together
studies/NAME/                                          the study, results.csv, costs.csv, verdict.json, report.html
"""

import errno
import json
import os
import platform
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from whichloss.core import UserError

FINAL = ("finished", "diverged")  # outcomes that would come out the same again


class Store:
    """Runs by key. Reading never needs more than the files of one run."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            (self.folder / "runs").mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".write-{os.getpid()}-{uuid4().hex[:8]}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise UserError(
                f"cannot write to the store {self.folder}: {error.strerror}; choose another with --store DIR"
            ) from None

    def path(self, key: str) -> Path:
        return self.folder / "runs" / key[:2] / key

    def record(self, key: str) -> dict[str, Any] | None:
        """What is known of a run, or None where it has not ended."""
        try:
            return json.loads((self.path(key) / "record.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def outputs(self, key: str) -> dict[str, Tensor]:
        return load_file(self.path(key) / "outputs.safetensors")

    def finished(self, key: str) -> bool:
        """Whether a run has an outcome that need not be tried again."""
        record = self.record(key)
        return record is not None and record["outcome"] in FINAL

    def known(self, key: str) -> bool:
        """Whether a run has ended, however: a search counts what failed, too."""
        return (self.path(key) / "record.json").exists()

    def write(self, key: str, record: dict[str, Any], outputs: dict[str, Tensor]) -> None:
        """Keep a run: both files are written aside, flushed, and appear together by one rename."""
        try:
            self._write(key, record, outputs)
        except OSError as error:
            raise UserError(
                f"cannot keep a run in the store {self.folder}: {error.strerror};"
                " what is finished is safe, and the same command resumes"
            ) from error

    def _write(self, key: str, record: dict[str, Any], outputs: dict[str, Tensor]) -> None:
        final = self.path(key)
        aside = _aside(final)
        aside.mkdir(parents=True)
        text = json.dumps(record, indent=1, sort_keys=True)
        _write(aside / "outputs.safetensors", save({name: one.contiguous() for name, one in outputs.items()}))
        _write(aside / "record.json", text.encode())
        while aside.exists():
            if self.finished(key):  # somebody else finished the same run first, with the same result
                shutil.rmtree(aside)
                break
            _retire(final)
            try:
                aside.rename(final)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        _flush_folder(final.parent)

    def clean(self) -> None:
        """Remove what dead processes of this machine left aside; the folder may be shared with other machines."""
        for aside in (self.folder / "runs").glob(f"*/.*-{_host()}-*-*"):
            with suppress(ValueError):
                if not _alive(int(aside.name.rsplit("-", 2)[1])):
                    shutil.rmtree(aside, ignore_errors=True)

    def study(self, name: str) -> Path:
        """The folder of a study; made by whoever first writes into it."""
        return self.folder / "studies" / name


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path)
    _write(aside, text.encode())
    aside.replace(path)


def compact(logits: Tensor) -> Tensor:
    """Logits as they are kept: half precision for masks, where there are many and a threshold is a rough thing."""
    if logits.ndim == 2:
        return logits
    largest = torch.finfo(torch.float16).max
    return logits.clamp(-largest, largest).half()


def _aside(path: Path) -> Path:
    """A name beside a path that nobody else uses, and that tells who does."""
    return path.with_name(f".{path.name}-{_host()}-{os.getpid()}-{uuid4().hex[:8]}")


def _host() -> str:
    return re.sub(r"\W", "", platform.node()) or "host"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's, and alive
        return True
    return True


def _retire(final: Path) -> None:
    """Take away an outcome that was worth another try, in one step: others may do the same at the same moment."""
    old = _aside(final)
    with suppress(FileNotFoundError):
        final.rename(old)
        shutil.rmtree(old)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
