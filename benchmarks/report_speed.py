"""How long table, verdict and page take over ten thousand finished runs, and which part takes it.

python benchmarks/report_speed.py --profile 25

The runs are made up: records and outputs as a worker would write them, with scores out of the air.
"""

import argparse
import cProfile
import os
import pstats
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from whichloss.study import conduct
from whichloss.study.runs import Run, Split
from whichloss.study.study import Study

PARTS = ("facts.ended", "facts.check_alike", "facts.rows", "facts.costs", "judge", "supplement", "gather", "page")


def study(seeds: int) -> Study:
    """4 losses, 2 data sets, 5 levels of stress, 5 folds."""
    return Study.model_validate(
        {
            "name": "speed",
            "question": "How long does a report take?",
            "losses": ["Logistic()", "SmoothHinge(half_width=0.1)", "Lorenz()", "Tangent()"],
            "baseline": "Logistic()",
            "data": ["Nodules(cases=60, size=26)", "Nodules(cases=80, size=26)"],
            "network": "SmallConvNet()",
            "design": {"folds": 5, "seeds": seeds},
            "training": {"stages": [{"epochs": 10, "batch": 32}]},
            "stress": {"label_noise": [0.0, 0.1, 0.2, 0.3, 0.4]},
            "primary": "RocAuc()",
            "rope": 0.02,
            "secondary": ["Accuracy()"],
        }
    )


def make_up(prepared: conduct.Prepared) -> None:
    """A record and outputs for each run."""
    chance = torch.Generator().manual_seed(0)
    splits: dict[tuple[object, ...], Split] = {}
    for run in prepared.runs:
        cases = prepared.shelf.of(run)
        if (place := (run.data, run.seed, run.fold)) not in splits:
            splits[place] = run.split(cases)
        split = splits[place]
        outputs = {}
        for part, at in (("inner", split.inner), ("test", split.fold.test), ("train", split.fit)):
            labels = cases.labels[list(at)].to(torch.int8)
            outputs[part] = torch.randn(len(at), 1, generator=chance) + labels[:, None]
            outputs |= {f"{part}_labels": labels, f"{part}_cases": torch.tensor(at)}
        prepared.store.write(run.key, _record(run, split, prepared, chance), outputs)


def _record(run: Run, split: Split, prepared: conduct.Prepared, chance: torch.Generator) -> dict[str, Any]:
    metrics, cases = prepared.study.metrics, len(split.fold.test)
    drawn = torch.rand(len(metrics), generator=chance).tolist()
    return {
        "key": run.key, "spec": run.spec, "n_train": split.n_train, "n_test": split.n_test, "outcome": "finished",
        "message": "", "chance": {repr(metric): 0.5 for metric in metrics},
        "scores": {repr(one): {"version": one.results_version, "value": value, "at": 0.0, "cases": [value] * cases}
                   for one, value in zip(metrics, drawn, strict=True)},
        "inner": {}, "stress": {}, "streams": {}, "beside": {"device": "cpu", "threads": "1", "source": "0" * 16},
        "curve": [{"loss": 1.0 / at, "inner": 1 - 0.5 / at} for at in range(1, 11)],
        "seconds": 1.5, "peak_memory_mib": 300.0, "best_epoch": 10,
    }  # fmt: skip


def timed(seconds: dict[str, float], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose time is noted; of a generator, that of going through it."""

    def measured(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        found = function(*arguments, **named)
        found = list(found) if name == "facts.rows" else found
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
        return found

    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50, help="200 runs each")
    parser.add_argument("--profile", type=int, metavar="LINES", help="show so many lines of a profile instead")
    parser.add_argument("--store", type=Path, help="a folder to keep the runs in, or to find them")
    options = parser.parse_args()
    folder = options.store or Path(tempfile.mkdtemp(prefix="report-speed-"))
    asked = study(options.seeds)
    if not (folder / "runs").exists():
        flush, os.fsync = os.fsync, lambda handle: None  # made up runs may be lost
        make_up(conduct.prepare(asked, folder))
        os.fsync = flush
    seconds: dict[str, float] = {}
    if options.profile:
        profile = cProfile.Profile()
        profile.runcall(lambda: conduct.report(conduct.prepare(asked, folder)))
        pstats.Stats(profile).sort_stats("cumulative").print_stats(options.profile)
    else:
        for name in PARTS:
            *home, last = name.split(".")
            place = getattr(conduct, home[0]) if home else conduct
            setattr(place, last, timed(seconds, name, getattr(place, last)))
        start = time.perf_counter()
        prepared = conduct.prepare(asked, folder)
        ready = time.perf_counter()
        page = conduct.report(prepared).report
        end = time.perf_counter()
        print(f"{len(prepared.runs)} runs: {end - start:.1f} s, page {page.stat().st_size / 1e6:.1f} MB")
        for name, one in {"prepare": ready - start, **seconds}.items():
            print(f"  {name:18} {one:6.2f} s")
    if options.store is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
