"""Value and gradient of several candidates, step by step in turn: seconds, memory, and whether they are the same."""

import ctypes
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil
import torch
from torch import Tensor

import whichloss
from benchmarks.pairs import Pair, Shape, Value, batch, ours, theirs

ALIKE, SAME = 1e-3, 1e-5  # beyond the first two are not the same loss and not timed; beyond the second the page says so
MOST = 51  # rounds
NOT_THE_SAME = "is not the same"
COMPARED = (("peer", "ours"), ("peer compiled", "ours compiled"), ("peer compiled", "ours"))
RESIDENT = Path("/proc/self/clear_refs")


def candidates(pair: Pair, shape: Shape, compiled: bool) -> dict[str, Value]:
    found = {"ours": ours(pair)}
    if pair.peer:
        found["peer"] = theirs(pair, shape[1])
    if compiled and pair.compiled:
        torch._dynamo.reset()
        found |= {f"{name} compiled": torch.compile(value) for name, value in found.items()}
    return found


def step(value: Value, logits: Tensor, target: Tensor) -> Tensor:
    logits.grad = None
    loss = value(logits, target)
    loss.backward()
    return loss.detach()


def measure(pair: Pair, shape: Shape, compiled: bool, seconds: float, rounds: int) -> dict[str, Any]:
    """Milliseconds of each candidate and ratios within rounds: first quartile, median, third.

    Goes on for about so many seconds; longer, until there are so many rounds, but not eight times as long.
    """
    logits, target = batch(pair.form, shape)
    every = candidates(pair, shape, compiled)
    first, differs, failed = _first(every, logits, target)
    alike = [name for name in every if name not in failed]
    eager = {name: every[name] for name in alike if name in ("ours", "peer")}
    far = any(apart > SAME for name in eager for apart in differs[name])
    for name in alike:  # a second time: what was compiled, allocated, or looked up is there
        step(every[name], logits, target)
    taken: dict[str, list[float]] = {name: [] for name in alike}
    start = time.perf_counter()
    for at in range(MOST if alike else 0):
        passed = time.perf_counter() - start
        if (at >= rounds and passed > seconds) or (at > 1 and passed > 8 * seconds):
            break
        for name in alike:
            before = time.perf_counter()
            step(every[name], logits, target)
            taken[name].append(time.perf_counter() - before)
    ratios = {
        f"{one} / {other}": _quartiles([a / b for a, b in zip(taken[one], taken[other], strict=True)])
        for one, other in COMPARED
        if one in taken and other in taken
    }
    return {
        "ms": {name: _short(1e3 * median(found)) for name, found in taken.items()},
        "ratios": ratios,
        "rounds": min(map(len, taken.values()), default=0),
        "compile_s": {name: _short(first[name] - median(taken[name])) for name in taken if "compiled" in name},
        "differs": differs,
        "errors": _errors(eager, logits, target) if far else {},
        "failed": failed,
        "bytes": {"logits": logits.nbytes, "target": target.nbytes},
    }


def _first(
    every: dict[str, Value], logits: Tensor, target: Tensor
) -> tuple[dict[str, float], dict[str, list[float]], dict[str, str]]:
    """Seconds of the first step of each, how far value and gradient are from the first's, and what went wrong."""
    took, differs, failed = {}, {}, {}
    truth: tuple[float, Tensor] | None = None
    for name, value in every.items():
        before = time.perf_counter()
        try:
            loss = step(value, logits, target).item()
        except Exception as error:  # whatever a peer may raise
            failed[name] = _why(error)
            continue
        took[name] = time.perf_counter() - before
        gradient = logits.grad
        assert gradient is not None
        truth = truth or (loss, gradient)
        apart = abs(loss - truth[0]) / max(abs(truth[0]), 1e-9)
        slopes = ((gradient - truth[1]).abs().max() / truth[1].abs().max()).item()
        differs[name] = [_short(apart), _short(slopes)]
        if not (apart <= ALIKE and slopes <= ALIKE):
            failed[name] = f"{NOT_THE_SAME}: value apart by {apart:.1e}, gradient by {slopes:.1e}"
    logits.grad = None
    return took, differs, failed


def _errors(every: dict[str, Value], logits: Tensor, target: Tensor) -> dict[str, float]:
    """How far each value is from that of our plain formula in float64, in proportion."""
    with torch.no_grad(), whichloss.plain():
        exact = every["ours"](logits.double(), target.double() if target.is_floating_point() else target).item()
    with torch.no_grad():
        return {name: _short(abs(value(logits, target).item() / exact - 1)) for name, value in every.items()}


def _why(error: Exception) -> str:
    said = str(error)
    if isinstance(error, MemoryError) or "allocate memory" in said or "not enough memory" in said:
        return f"needs more than the {resource.getrlimit(resource.RLIMIT_DATA)[0] / 1e9:.0f} GB of memory that it may"
    return f"{type(error).__name__}: {(said.splitlines() or [''])[0][:200]}"


def memory(pair: Pair, shape: Shape, compiled: bool) -> dict[str, Any]:
    """Of each candidate by how much the process grows in a step, the gradient included, in bytes of the logits.

    Exact where everything large is mapped for itself and given back at once (MALLOC_MMAP_THRESHOLD_), on Linux.
    """
    logits, target = batch(pair.form, shape)
    peak, failed = {}, {}
    for name, value in candidates(pair, shape, compiled).items():
        try:
            step(value, logits, target)
            step(value, logits, target)
            logits.grad = None
            peak[name] = _short(growth(lambda value=value: step(value, logits, target)) / logits.nbytes)
        except Exception as error:  # whatever a peer may raise
            failed[name] = _why(error)
        logits.grad = None
    return {"peak": peak, "failed": failed, "bytes": {"logits": logits.nbytes, "target": target.nbytes}}


def growth(act: Callable[[], object]) -> int:
    """Bytes by which what this process holds in memory grows at most, beyond what it holds now."""
    ctypes.CDLL(None).malloc_trim(0)
    RESIDENT.write_text("5")  # forgets the peak
    before = _resident("VmRSS")
    act()
    return _resident("VmHWM") - before


def _resident(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def bandwidth(megabytes: int = 256) -> float:
    """Bytes a second in copying a large tensor, counting that what is written is read before."""
    source = torch.ones(megabytes * 2**18)
    copy = torch.empty_like(source)
    taken = []
    for _ in range(8):
        before = time.perf_counter()
        copy.copy_(source)
        taken.append(time.perf_counter() - before)
    return 3 * source.nbytes / min(taken[1:])


def bound(sizes: dict[str, int], speed: float) -> float:
    """Seconds for what must move: logits and target read twice, the gradient written, and read before it is."""
    return (4 * sizes["logits"] + 2 * sizes["target"]) / speed


def start_compiler() -> None:
    """What the first compilation of a process takes longer, whatever it compiles."""
    torch.compile(lambda x: x.sin().sum())(torch.ones(64, requires_grad=True)).backward()


def leave_room() -> None:
    """What needs more memory than there is fails by itself, instead of the machine."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (int(0.7 * psutil.virtual_memory().available), resource.RLIM_INFINITY))


def _quartiles(ratios: list[float]) -> list[float]:
    return [_short(one) for one in quantiles(ratios, n=4, method="inclusive")] if len(ratios) > 1 else 3 * ratios


def _short(x: float) -> float:
    return float(f"{x:.4g}")
