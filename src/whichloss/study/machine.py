"""The machine a run was computed on: recorded beside its results, since it may touch their last digits."""

import os
import platform
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

import whichloss
from whichloss.core import UserError
from whichloss.core.prepare import in_effect


def choose_device(name: str) -> torch.device:
    """Raises UserError where torch knows no such device, or this machine has none."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"training.device: {name!r} cannot be used here ({why}); say auto, cpu or cuda:0") from None
    return device


def facts(device: torch.device, devices: int = 1) -> dict[str, str]:
    """What must agree within a pair of runs that are compared."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {platform.machine()}"
    return {
        "whichloss": whichloss.__version__,
        "source": source(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": name if devices == 1 else f"{devices} x {name}",
        "threads": str(torch.get_num_threads()),
        "kernels": in_effect(),
    }


@cache
def source() -> str:
    """A digest of the code that makes results: everything below statistics and pages."""
    total = sha256()
    home = Path(str(files("whichloss")))
    for package in ("core", "losses", "kernels", "data", "metrics", "networks", "study"):
        for file in sorted(file for kind in ("*.py", "*.c", "*.inc") for file in (home / package).rglob(kind)):
            total.update(f"{file.relative_to(home)}\n".encode() + file.read_bytes())
    return total.hexdigest()[:16]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_peak(device: torch.device) -> None:
    """Forget the highest memory use so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):  # Linux only
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> float | None:
    """The highest memory use since `start_peak`, in MiB: of the device, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    return None


def out_of_memory(error: BaseException) -> bool:
    said: Any = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in said
