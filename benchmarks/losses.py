"""Losses beside those of other libraries: value and gradient, in time and memory, in turn in one process.

python -m benchmarks.losses             # half an hour; writes benchmarks/losses.jsonl and docs/benchmarks.md
python -m benchmarks.losses --quick     # a minute: small shapes, a few rounds, not compiled; printed
python -m benchmarks.losses --way usual --pair "cross-entropy + Dice" --shape 2 14 96 96 96
python -m benchmarks.losses --render    # the page again, from the file

Each way (how memory is allotted, how many threads, which instructions, which kernels) is a process of its own, since
torch decides most of it when it is imported. There all pairs of `pairs.py` are measured one after the other.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import whichloss
from benchmarks import losses_page, steps
from benchmarks.pairs import GROWTH, PAIRS, Pair, Shape, small
from whichloss.kernels import library
from whichloss.study import machine

FILE, PAGE = Path("benchmarks/losses.jsonl"), Path("docs/benchmarks.md")


@dataclass(frozen=True)
class Way:
    name: str
    what: str
    environment: dict[str, str] = field(default_factory=dict)
    one_thread: bool = False
    everything: bool = False  # all pairs, and those under torch.compile, instead of a few
    kind: str = "time"  # or memory


USUAL = Way("usual", "torch as it comes, a thread for each core", everything=True)
WAYS = (
    USUAL,
    Way("memory", "memory that a step takes", {"MALLOC_MMAP_THRESHOLD_": "262144"}, everything=True, kind="memory"),
    Way("huge pages", "torch asks for huge pages for all that is large (`THP_MEM_ALLOC_ENABLE=1`)",
        {"THP_MEM_ALLOC_ENABLE": "1"}, everything=True),
    Way("one thread", "instead of one for each core", one_thread=True),
    Way("AVX2", "as on a processor without AVX-512 (`ATEN_CPU_CAPABILITY=avx2`)", {"ATEN_CPU_CAPABILITY": "avx2"}),
    Way("SSE", "as on a processor without AVX2 (`ATEN_CPU_CAPABILITY=default`)", {"ATEN_CPU_CAPABILITY": "default"}),
    Way("torch blocks", "without the compiled kernels: blocks of plain torch (`WHICHLOSS_KERNELS=torch`)",
        {"WHICHLOSS_KERNELS": "torch"}),
    Way("plain", "the plain formulas (`WHICHLOSS_KERNELS=off`)", {"WHICHLOSS_KERNELS": "off"}),
)  # fmt: skip


def possible() -> list[Way]:
    """The ways that say something on this machine."""
    level, linux = torch.backends.cpu.get_cpu_capability(), sys.platform == "linux"
    left_out = {
        "memory": not linux,
        "huge pages": not linux,
        "one thread": machine.cores() == 1,
        "AVX2": level != "AVX512",
        "SSE": level not in ("AVX512", "AVX2"),
    }
    return [way for way in WAYS if not left_out.get(way.name, False)]


def todo(way: Way, asked: argparse.Namespace) -> Iterator[tuple[str, Pair, Shape]]:
    """Part of the page, pair and shape."""
    for pair in PAIRS:
        if asked.pair not in (None, pair.name) or not (way.everything or pair.main or asked.pair):
            continue
        shapes = pair.shapes if asked.shape is None else (tuple(asked.shape),)
        for shape in dict.fromkeys(map(small, shapes)) if asked.quick else shapes:
            yield "pairs", pair, shape
    if way == USUAL and asked.pair is None and not asked.quick:
        for what, shapes in GROWTH.items():
            for shape in shapes:
                yield what, PAIRS[0], shape


# one process


def work(way: Way, asked: argparse.Namespace) -> None:
    """Prints a line for the machine and a line for each pair and shape."""
    lines, sys.stdout = sys.stdout, sys.stderr  # what peers print is no line
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads(way))
    steps.leave_room()
    if way.everything and not asked.eager:
        steps.start_compiler()
    say = partial(print, file=lines, flush=True)
    say(json.dumps({"way": way.name, "what": way.what, "machine": describe(asked.quick)}))
    for part, pair, shape in todo(way, asked):
        compiled = way.everything and part == "pairs" and not asked.eager
        if way.kind == "memory":
            found = steps.memory(pair, shape, compiled)
        else:
            found = steps.measure(pair, shape, compiled, *((0.2, 3) if asked.quick else (asked.seconds, 7)))
        say(json.dumps({"way": way.name, "part": part, "pair": pair.name, "shape": shape, **found}))


def threads(way: Way) -> int:
    return 1 if way.one_thread else machine.cores()


def describe(quick: bool) -> dict[str, Any]:
    shared, peers = library.library(), ("torch", "monai", "pytorch-metric-learning")
    return {
        "quick": quick,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": processor(),
        "cores": machine.cores(),
        "threads": torch.get_num_threads(),
        "level": torch.backends.cpu.get_cpu_capability(),
        "kernels": None if shared is None else Path(shared._name).name,
        "asked of kernels": os.environ.get("WHICHLOSS_KERNELS", "auto"),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {"whichloss": whichloss.__version__} | {name: version(name) for name in peers},
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else [],
        "bytes a second": steps.bandwidth(),
    }


def processor() -> str:
    said = Path("/proc/cpuinfo")
    lines = said.read_text().splitlines() if said.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


# all of them


def conduct(asked: argparse.Namespace) -> int:
    """Writes what all ways say to the file, a line at a time; how many of them did not come to their end."""
    broken = 0
    passed = [f"--seconds={asked.seconds}", *(f"--{name}" for name in ("quick", "eager") if getattr(asked, name))]
    passed += [f"--pair={asked.pair}"] if asked.pair else []
    passed += ["--shape", *map(str, asked.shape)] if asked.shape else []
    said = {name for way in WAYS for name in way.environment}
    outside = {name: value for name, value in os.environ.items() if name not in said}
    with asked.file.open("w") as out, tempfile.TemporaryDirectory() as compiled:
        for way in asked.ways:
            count = str(threads(way))
            environment = outside | way.environment | {
                "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count,
                "TORCHINDUCTOR_CACHE_DIR": compiled, "TORCHINDUCTOR_COMPILE_THREADS": "1",
            }  # fmt: skip
            command = [sys.executable, "-m", "benchmarks.losses", "--child", way.name, *passed]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
                assert child.stdout is not None
                for line in child.stdout:
                    out.write(line)
                    out.flush()
                    print(progress(json.loads(line)), file=sys.stderr, flush=True)
            if child.returncode:
                broken += 1
                print(f"{way.name}: its process ended with {child.returncode}", file=sys.stderr)
    return broken


def progress(one: dict[str, Any]) -> str:
    if "machine" in one:
        return f"{one['way']}: {one['what']}"
    found = one.get("ms") or one.get("peak")
    return f"  {one['pair']} {tuple(one['shape'])}: {found} {one['failed'] or ''}"


def main(said: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="small shapes and few rounds, not compiled")
    options.add_argument("--eager", action="store_true", help="nothing under torch.compile")
    options.add_argument("--seconds", type=float, default=4.0, help="about how long each pair and shape is measured")
    options.add_argument("--way", action="append", choices=[way.name for way in WAYS], help="default: all")
    options.add_argument("--pair", choices=[pair.name for pair in PAIRS], help="default: all")
    options.add_argument("--shape", type=int, nargs="+", help="default: those of the pair")
    options.add_argument("--file", type=Path, help=f"a line for each measurement; all: {FILE}, a part: not kept")
    options.add_argument("--page", type=Path, help=f"all: {PAGE}, a part: printed")
    options.add_argument("--render", action="store_true", help="the page from the file, and measure nothing")
    options.add_argument("--child", help=argparse.SUPPRESS)
    asked = options.parse_args(said)
    asked.eager |= asked.quick
    if asked.shape and not asked.pair:
        options.error("--shape is that of one loss: name it by --pair")
    if asked.child:
        work(next(way for way in WAYS if way.name == asked.child), asked)
        return 0
    asked.ways = [way for way in possible() if asked.way is None or way.name in asked.way]
    part = asked.quick or asked.way or asked.pair or asked.shape
    with tempfile.TemporaryDirectory() as folder:
        asked.file = asked.file or (Path(folder, "part.jsonl") if part else FILE)
        broken = 0 if asked.render else conduct(asked)
        lines = [json.loads(line) for line in asked.file.read_text().splitlines()]
    made = losses_page.page(lines)
    if part and asked.page is None:
        print(made)
    else:
        (asked.page or PAGE).write_text(made, encoding="utf-8")
    return int(bool(broken + wrong(lines)))


def wrong(lines: list[dict[str, Any]]) -> int:
    """How often ours failed, or something was not the same as ours; they are named."""
    found = [
        f"{line['pair']} {tuple(line['shape'])}, {name}: {why}"
        for line in lines
        for name, why in line.get("failed", {}).items()
        if name.startswith("ours") or why.startswith(steps.NOT_THE_SAME)
    ]
    print(*found, sep="\n", end="\n" * bool(found), file=sys.stderr)
    return len(found)


if __name__ == "__main__":
    sys.exit(main())
