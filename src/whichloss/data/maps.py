"""Maps: tensors that lie in a file, of which only the pages in use are in memory, and the system may drop these.

In the folder of the cache (see `views/cache.py`), which must have the room, and must not itself be in memory.
"""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from whichloss.core import UserError

from .views.cache import cache_folder

SHARE = 0.25  # of the memory of the machine, which the cases of one data set may take


def most_in_memory() -> float:
    """Bytes of cases beyond which they are mapped: WHICHLOSS_MAP_ABOVE in GB, else a quarter of the machine's memory.

    Not of the memory that is free: all processes of a study must come to the same answer.
    """
    said = os.environ.get("WHICHLOSS_MAP_ABOVE")
    if said:
        try:
            return float(said) * 1e9
        except ValueError:
            raise UserError(f"WHICHLOSS_MAP_ABOVE is {said!r}; it must be a number of GB, such as 4 or 0.5") from None
    try:
        return SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not every system tells
        return float("inf")


def scratch(shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Zeros in a file without a name, which goes when the tensor does."""
    folder = _folder()
    numbers = torch.empty(0, dtype=dtype).numpy().dtype
    with _room(folder), tempfile.TemporaryFile(dir=folder) as file:
        size = numbers.itemsize * max(1, torch.Size(shape).numel())
        _allocate(file.fileno(), size)
        return torch.from_numpy(np.memmap(file, numbers, "r+", shape=tuple(shape)))


def made_once(key: str, make: Callable[[Path], None]) -> Path:
    """The folder of a key, which `make` fills, unless it was filled before; nobody sees half of it."""
    folder = _folder() / key
    if folder.is_dir():
        return folder
    aside = folder.with_name(f".{key}-{os.getpid()}-{uuid4().hex}")
    try:
        with _room(folder):
            aside.mkdir(parents=True)
            make(aside)
            if not folder.is_dir():
                aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def new_map(path: Path, shape: Sequence[int], dtype: type) -> np.ndarray:
    """Zeros in a .npy file, to be written."""
    made = np.lib.format.open_memmap(path, "w+", dtype, tuple(shape))
    with path.open("r+b") as file:
        _allocate(file.fileno(), path.stat().st_size)
    return made


def mapped(path: Path) -> Tensor:
    """A .npy file that nobody may write to."""
    return unwritable(np.load(path, mmap_mode="r"))


def unwritable(array: np.ndarray) -> Tensor:
    """The same memory as a tensor; whoever writes to it is ended by the system."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _folder() -> Path:
    folder = cache_folder()
    if folder is None:
        raise UserError(
            "WHICHLOSS_CACHE is off, and cases larger than memory are kept in files there\n"
            "  remedy: WHICHLOSS_CACHE=DIR, on a disk with room, or WHICHLOSS_MAP_ABOVE=GB to hold more in memory"
        )
    with _room(folder):
        (folder / "maps").mkdir(parents=True, exist_ok=True)
    return folder / "maps"


def _allocate(file: int, size: int) -> None:
    """Take the room now: where a map meets a full disk later, the system ends the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cases larger than memory are kept in files in {folder}, which failed: {error.strerror or error}\n"
            "  remedy: WHICHLOSS_CACHE=DIR, on a disk with room"
        ) from error
