"""Cache: views that were computed before, kept by what they depend on.

In the folder WHICHLOSS_CACHE, else in the cache folder of the user; WHICHLOSS_CACHE=off keeps nothing. Anything in it
may be removed at any time; what is damaged, or cannot be written, is computed again.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

VERSION = 1  # raised when the same frames begin to mean other pixels
_SETTLED = 5.0  # seconds: a file that changed later than that may change again within one tick of the clock


def cache_folder() -> Path | None:
    if named := os.environ.get("WHICHLOSS_CACHE"):
        return None if named == "off" else Path(named).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "whichloss" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "whichloss"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whichloss"


def digest(facts: Any) -> str:
    """SHA-256 of what JSON can say."""
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Cache:
    """Arrays of grey levels by key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """The array of this shape, uint8; None where there is none, or not what was written."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        with suppress(OSError, SafetensorError, KeyError):
            kept = load_file(self._path(key))
            if kept["views"].shape == shape and kept["sha256"].tobytes() == _sum(kept["views"]):
                return kept["views"]
        return None

    def keep(self, key: str, views: np.ndarray) -> None:
        """Written aside and renamed, so that nobody reads half of it."""
        from safetensors.numpy import save

        total = np.frombuffer(_sum(views), dtype=np.uint8)
        _write(self._path(key), save({"views": np.ascontiguousarray(views), "sha256": total}))

    def files_digest(self, files: Sequence[Path]) -> str:
        """SHA-256 of the contents of files.

        Remembered by path, size and time of change, as the volumes of a study are many gigabytes.
        """
        facts = [(str(file.absolute()), (about := file.stat()).st_size, about.st_mtime_ns) for file in files]
        note = self.folder / "files" / digest(facts)
        with suppress(OSError):
            if len(known := note.read_text(encoding="ascii")) == 64:
                return known
        total = sha256()
        for file in files:
            with file.open("rb") as handle:
                total.update(file_digest(handle, "sha256").digest())
        if time.time() - max(changed for _, _, changed in facts) / 1e9 > _SETTLED:
            _write(note, total.hexdigest().encode("ascii"))
        return total.hexdigest()

    def _path(self, key: str) -> Path:
        return self.folder / "views" / key[:2] / f"{key}.safetensors"


def _sum(views: np.ndarray) -> bytes:
    return sha256(np.ascontiguousarray(views).data).digest()


def _write(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}-{os.getpid()}-{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(content)
        os.replace(aside, path)
    except OSError:  # no room, or not ours: go on without
        with suppress(OSError):
            aside.unlink()
