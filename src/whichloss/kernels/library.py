"""The compiled kernels: found beside this file, chosen for this CPU, and run by torch's own threads."""

import ctypes
import os
import platform
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ctypes import Structure, addressof, byref, c_double, c_int64, c_void_p, cast, sizeof
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

HOME = Path(__file__).parent / "compiled"
LEVELS = {"AVX512": ("v4", "v3", "v2"), "AVX2": ("v3", "v2")}  # of torch; any other: v2
ENDINGS = {"linux": "so", "darwin": "dylib", "win32": "dll"}
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
VERSION = 2  # as in lift.c: raised when the meaning of a job changes, but not its size
TILE = 256  # voxels, as in lift.c
ROWS = 6  # of sums, likewise
HUGE_PAGE, ADVISED = 2 << 20, 14  # bytes; MADV_HUGEPAGE of Linux

Strides = c_int64 * 5  # of image, class, outer rows, rows, voxels


class Job(Structure):
    """As in lift.c."""

    _fields_ = (
        [(name, c_int64) for name in ("images", "classes", "rows", "row", "between", "blocks", "per_image", "span",
                                      "next", "thread", "softmax", "indexed", "region", "likelihood", "logits_as",
                                      "target_as", "weight_as", "ignored", "ignoring", "bad")]
        + [(f"{name}_at", Strides) for name in ("logits", "target", "weight", "each", "upstream", "gradient")]
        + [("focus", c_double), ("hit", c_double * 2), ("error", c_double * 2)]
        + [(name, c_void_p) for name in ("logits", "target", "weight", "sums", "totals", "cost")]
        + [("divisor", c_double)]
        + [(name, c_void_p) for name in ("each", "gradient", "upstream")]
        + [("of_totals", c_void_p * ROWS), ("of_totals_at", c_int64 * 2 * ROWS)]
        + [(name, c_void_p) for name in ("of_cost", "of_sums", "room")]
    )  # fmt: skip


def names() -> list[str]:
    """The files that would do on this machine, the fastest first."""
    machine = MACHINES.get(platform.machine().lower(), "")
    levels = ("",) if machine == "aarch64" else LEVELS.get(torch.backends.cpu.get_cpu_capability(), ("v2",))
    ending = ENDINGS.get(sys.platform, "so")
    return [f"lift-{sys.platform}-{machine}{level and '-'}{level}.{ending}" for level in levels]


@cache
def library() -> ctypes.CDLL | None:
    """None where there is no file for this machine, or it cannot be loaded."""
    return next((made for name in names() if (made := _load(HOME / name)) is not None), None)


def found() -> str:
    """The name of the library's file, without its ending; empty where there is none."""
    made = library()
    return "" if made is None else Path(made._name).stem


def _load(file: Path) -> ctypes.CDLL | None:
    if not file.is_file():
        return None
    try:
        made = ctypes.CDLL(str(file))
        made.lift_job.restype = c_int64
        return made if made.lift_job() == sizeof(Job) * 1000 + VERSION else None  # else it was compiled from other text
    except (OSError, AttributeError):
        return None


def run(function: str, job: Job, threads: int) -> None:
    """By so many threads."""
    work = getattr(library(), function)
    if threads == 1:
        work(byref(job))
    elif (team := _team()) is not None:
        team(cast(work, c_void_p), c_void_p(addressof(job)), threads, 0)
    else:
        with ThreadPoolExecutor(threads) as pool:  # ctypes lets go of the interpreter
            list(pool.map(work, [byref(job)] * threads))


def threads_of(job: Job) -> int:
    return 1 if _forked else max(1, min(torch.get_num_threads(), job.blocks))


_forked = False  # OpenMP's threads stay behind in the parent, and a team that waits for them waits for ever


def _remember() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember)


@cache
def _team() -> Callable[..., None] | None:
    """What starts a team of the OpenMP library that torch runs on. Other packages bring others: two would compete."""
    if sys.platform != "linux":
        return None
    try:  # what is looked up in a library is looked up in those that it needs, too
        start = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")).GOMP_parallel
    except (OSError, AttributeError):
        return None
    start.argtypes, start.restype = [c_void_p, c_void_p, ctypes.c_uint, ctypes.c_uint], None
    return start


def in_huge_pages(x: Tensor) -> Tensor:
    """Asks Linux for large pages behind a new tensor: the faults of small ones take longer than the arithmetic."""
    first = -(-x.data_ptr() // HUGE_PAGE) * HUGE_PAGE
    room = x.data_ptr() + x.nbytes - first
    if sys.platform == "linux" and room >= HUGE_PAGE and (advise := _madvise()) is not None:
        advise(first, room, ADVISED)
    return x


@cache
def _madvise() -> Callable[..., int] | None:
    try:
        advise = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
    advise.argtypes = [c_void_p, ctypes.c_size_t, ctypes.c_int]
    return advise
