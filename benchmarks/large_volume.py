"""Volumes larger than memory: one run, from files to scores, under a limit of what the process may hold.

    python -m benchmarks.large_volume --folder DIR --shape 1024 1024 1024 --limit 2

makes a few volumes (float32, with masks of uint8) in a folder of DIR, which is removed in the end, reads them as
`Folder` does, trains by patch for some steps, predicts the inner and the test volume whole, scores and keeps the run.
The limit, in GB, is RLIMIT_DATA: all memory that is the process's own, and not pages of files that the system can drop.
What was held at most is looked at every 20 ms (RssAnon of Linux).
"""

import argparse
import json
import os
import resource
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from whichloss.core import Task
from whichloss.networks.network import Network, NetworkCard
from whichloss.study.conduct import look_first, prepare
from whichloss.study.study import Study
from whichloss.study.worker import compute


class OneVoxel(Network):
    """A logistic regression on the voxel itself: as little work as there can be."""

    card = NetworkCard(
        title="One voxel", meaning="A logistic regression on the voxel itself.", source="", tasks=("segmentation",)
    )

    def build(self, task: Task, outputs: int) -> nn.Module:
        return nn.Conv3d(task.channels, outputs, 1)


def write_volume(folder: Path, name: str, shape: Sequence[int], seed: int) -> None:
    """Noise about a bright box, layer by layer."""
    chance = np.random.default_rng(seed)
    for part, dtype in (("images", np.float32), ("masks", np.uint8)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / part / f"{name}.json").write_text(json.dumps({"spacing": [1, 1, 1]}))
        values = np.lib.format.open_memmap(folder / part / f"{name}.npy", "w+", dtype, tuple(shape))
        first, last = shape[0] // 3, shape[0] // 2
        for at in range(shape[0]):
            mask = np.zeros(shape[1:], np.uint8)
            if first <= at < last:
                mask[shape[1] // 4 : shape[1] // 2, shape[2] // 4 : shape[2] // 2] = 1
            values[at] = mask if part == "masks" else chance.standard_normal(mask.shape, np.float32) + 2 * mask


def study_of(steps: int, side: int) -> Study:
    return Study(
        name="large",
        question="Does a volume larger than memory get through?",
        losses=["Dice()", "CrossEntropy()"],  # type: ignore[arg-type]
        baseline="Dice()",  # type: ignore[arg-type]
        data="Folder('volumes')",  # type: ignore[arg-type]
        network=OneVoxel(),  # type: ignore[arg-type]
        design={"folds": 3},  # type: ignore[arg-type]
        training={  # type: ignore[arg-type]
            "optimizer": "Adam(lr=0.01)",
            "stages": [{"epochs": steps, "batch": 1}],
            "patches": f"Patches(size=({side}, {side}, {side}), overlap=0.0)",
            "device": "cpu",
        },
        primary="Dice()",  # type: ignore[arg-type]
        rope=0.02,
    )


def held() -> dict[str, float]:
    """What this process holds, in MB: memory of its own, pages of files, and the most of both together."""
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return {name: int(told[name].split()[0]) * 1024 / 1e6 for name in ("RssAnon", "RssFile", "VmHWM", "VmData")}


@contextmanager
def watched(most: dict[str, float]) -> Iterator[None]:
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            for name, value in held().items():
                most[name] = max(most.get(name, 0.0), value)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--folder", type=Path, required=True, help="where there is room for ten times the volume")
    options.add_argument("--shape", type=int, nargs=3, default=[1024, 1024, 1024])
    options.add_argument("--cases", type=int, default=3)
    options.add_argument("--steps", type=int, default=2, help="epochs, of a patch from each volume fitted to")
    options.add_argument("--side", type=int, default=128, help="of a patch")
    options.add_argument("--limit", type=float, default=2.0, help="GB")
    options.add_argument("--more", type=float, help="GB beyond what the process has when it begins, instead of a limit")
    options.add_argument("--in-memory", action="store_true", help="as if memory were large enough")
    given = options.parse_args()
    with TemporaryDirectory(dir=given.folder) as name:
        work = Path(name)
        for at in range(given.cases):
            write_volume(work / "volumes", f"v{at}", given.shape, at)
        os.environ["WHICHLOSS_CACHE"] = str(work / "cache")
        os.environ["WHICHLOSS_MAP_ABOVE"] = "1000000" if given.in_memory else "0"
        each = np.prod(given.shape) * 4 / 1e9
        limit = given.limit if given.more is None else held()["VmData"] / 1e3 + given.more
        print(f"{given.cases} volumes of {each:.2f} GB; RLIMIT_DATA {limit:.2f} GB", flush=True)
        resource.setrlimit(resource.RLIMIT_DATA, (round(limit * 1e9),) * 2)
        most: dict[str, float] = {}
        with watched(most):
            one_run(study_of(given.steps, given.side), work)
        print("at most " + ", ".join(f"{name} {value:.0f} MB" for name, value in most.items()))


def one_run(study: Study, work: Path) -> None:
    start = time.perf_counter()

    def tell(what: str) -> None:
        now = held()
        print(
            f"{time.perf_counter() - start:6.0f} s  {what}; RssAnon {now['RssAnon']:.0f} MB, disk"
            f" {shutil.disk_usage(work).free / 1e9:.0f} GB free",
            flush=True,
        )

    prepared = prepare(study, work / "store", [work])
    tell("read, checked and digested")
    look_first(prepared)
    tell("looked at before the first run")
    run = prepared.runs[0]
    record, outputs = compute(run, list(study.metrics), prepared.shelf.of(run), torch.device("cpu"))
    tell(f"trained, predicted and scored: {record['outcome']} {record['message']}")
    prepared.store.write(run.key, record, outputs)
    tell("kept")
    if record["outcome"] != "finished":
        raise SystemExit(1)
    for metric, found in record["scores"].items():
        print(f"{metric}: {found['value']:.6f} at {found['at']:.6f}")


if __name__ == "__main__":
    main()
