"""Store: a folder of finished runs by key, shared by all studies. Nothing in it is ever half written.

runs/ab/abcdef.../record.json, outputs.safetensors     written aside and renamed together
studies/NAME/                                          the study, results.csv, costs.csv, verdict.json, report.html
checkpoints/KEY/                                       how far a run has come that has not ended
"""

import errno
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from whichloss.core import UserError
from whichloss.core.rows import Rows, parts
from whichloss.data.maps import scratch, unwritable

LARGE = 1 << 26  # bytes of outputs: beyond that they are written and read part by part
_DTYPES = {
    torch.float32: "F32", torch.float16: "F16", torch.int64: "I64", torch.int32: "I32", torch.int8: "I8",
}  # fmt: skip
FINAL = ("finished", "diverged")  # outcomes that would come out the same again


class StoreError(UserError):
    """A store that cannot be written to, or has been damaged: no run after this one would fare better."""


class Store:
    """Runs by key. Reading never needs more than the files of one run."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            (self.folder / "runs").mkdir(parents=True, exist_ok=True)
            probe = _aside(self.folder / "probe")
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise StoreError(
                f"cannot write to the store {self.folder}: {error.strerror}; choose another with --store DIR"
            ) from None

    def path(self, key: str) -> Path:
        return self.folder / "runs" / key[:2] / key

    def record(self, key: str) -> dict[str, Any] | None:
        """What is known of a run, or None where it has not ended. A damaged record tells nothing, either."""
        try:
            return json.loads((self.path(key) / "record.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def outputs(self, key: str) -> dict[str, Tensor]:
        path = self.path(key)
        try:
            return _load(path / "outputs.safetensors")
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"the outputs of run {key[:12]} cannot be read: {error}; remove {path} and run the study again"
            ) from error

    def finished(self, key: str) -> bool:
        """Whether a run has an outcome that need not be tried again."""
        record = self.record(key)
        return record is not None and record["outcome"] in FINAL

    def known(self, key: str) -> bool:
        """Whether a run has ended, however: a search counts what failed, too."""
        return (self.path(key) / "record.json").exists()

    def write(self, key: str, record: dict[str, Any], outputs: Mapping[str, Tensor]) -> None:
        """Keep a run: both files are written aside, flushed, and appear together by one rename."""
        aside = _aside(self.path(key))
        try:
            self._write(key, aside, record, outputs)
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)  # a full disk, most likely: give back what was taken
            raise self._unwritable("a run", error) from error

    def keep(self, study: str, file: str, text: str) -> Path:
        """Replace a file of a study in one step."""
        path = self.study(study) / file
        try:
            write_text(path, text)
        except OSError as error:
            raise self._unwritable(file, error) from error
        return path

    def _unwritable(self, what: str, error: OSError) -> StoreError:
        return StoreError(
            f"cannot keep {what} in the store {self.folder}: {error.strerror};"
            " what is finished is safe, and the same command resumes"
        )

    def _write(self, key: str, aside: Path, record: dict[str, Any], outputs: Mapping[str, Tensor]) -> None:
        final = self.path(key)
        text = json.dumps(record, indent=1, sort_keys=True)
        large = sum(one.numel() * one.element_size() for one in outputs.values()) > LARGE
        large |= any(isinstance(one, Rows) for one in outputs.values())
        content = [] if large else [save({name: one.contiguous() for name, one in outputs.items()})]
        aside.mkdir(parents=True)
        _write(aside / "outputs.safetensors", *(content or _as_saved(outputs)))
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
        """Remove what dead processes of this machine left aside; the folder may be shared with other machines.

        And the checkpoints of finished runs, whose process died before it could.
        """
        asides = f".*-{_host()}-*-*"
        shelves = [shelf for name in ("runs", "studies", "checkpoints") for shelf in (self.folder / name).glob("*")]
        for aside in (one for folder in (self.folder, *shelves) for one in folder.glob(asides)):
            with suppress(ValueError):
                if not _alive(int(aside.name.rsplit("-", 2)[1])):
                    _remove(aside)
        for folder in (self.folder / "checkpoints").glob("*"):
            if self.finished(folder.name):
                _remove(folder)

    def checkpoint(self, key: str) -> Path:
        """The folder for the checkpoint of a run; made by whoever writes one."""
        return self.folder / "checkpoints" / key

    def study(self, name: str) -> Path:
        """The folder of a study; made by whoever first writes into it."""
        return self.folder / "studies" / name


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path)
    try:
        _write(aside, content)
        aside.replace(path)
    except OSError:  # a full disk, most likely: give back what was taken
        with suppress(OSError):
            aside.unlink()
        raise


def compact(logits: Tensor) -> Tensor:
    """Logits as they are kept: half precision for masks, where there are many and a threshold is a rough thing."""
    if logits.ndim == 2:
        return logits
    largest = torch.finfo(torch.float16).max
    return logits.clamp(-largest, largest).half()


def compact_in_file(logits: Tensor) -> Tensor:
    """`compact` of logits that may be larger than memory, in a file."""
    kept = scratch(logits.shape, torch.float16)
    for before, after in zip(parts(logits.contiguous()), parts(kept), strict=True):
        after.copy_(compact(before.reshape(-1, 1, 1)).flatten())
    return kept


def _as_saved(outputs: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """What `save` gives, part by part: the length of the header, the header, and the tensors one after the other."""
    header, at = {}, 0
    for name, one in outputs.items():
        size = one.numel() * one.element_size()
        header[name] = {"dtype": _DTYPES[one.dtype], "shape": list(one.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little")
    yield text
    for tensor in outputs.values():
        for one in tensor if isinstance(tensor, Rows) else [tensor]:
            yield from (part.numpy().data.cast("B") for part in parts(one.contiguous()))


def _load(path: Path) -> dict[str, Tensor]:
    """A tensor larger than memory stays in the file."""
    if path.stat().st_size <= LARGE:
        return load_file(path)
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(start - 8))
    header.pop("__metadata__", None)
    whole = np.memmap(path, np.uint8, "r")
    names = {name: dtype for dtype, name in _DTYPES.items()}

    def tensor(facts: dict[str, Any]) -> Tensor:
        first, last = facts["data_offsets"]
        flat = whole[start + first : start + last].view(torch.empty(0, dtype=names[facts["dtype"]]).numpy().dtype)
        return unwritable(flat.reshape(facts["shape"]))

    return {name: tensor(facts) for name, facts in header.items()}


def _aside(path: Path) -> Path:
    """A name beside a path that nobody else uses, and that tells who does."""
    return path.with_name(f".{path.name}-{_host()}-{os.getpid()}-{uuid4().hex[:8]}")


def _host() -> str:
    """This machine among those that share the folder. The digest tells node-1 from node1, and one container from
    another: a number of a process means something in its name space alone."""
    name, space = platform.node(), ""
    with suppress(OSError):  # Linux only
        space = os.readlink("/proc/self/ns/pid")
    return (re.sub(r"\W", "", name) or "host") + sha256(f"{name} {space}".encode()).hexdigest()[:8]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's, and alive
        return True
    return True


def _remove(path: Path) -> None:
    """A file, or a folder with all in it, if that is possible; somebody else may do the same."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _retire(final: Path) -> None:
    """Take away an outcome that was worth another try, in one step: others may do the same at the same moment."""
    old = _aside(final)
    with suppress(FileNotFoundError):
        final.rename(old)
        shutil.rmtree(old, ignore_errors=True)


def _write(path: Path, *content: bytes | memoryview) -> None:
    with path.open("wb") as file:
        for part in content:
            file.write(part)
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
