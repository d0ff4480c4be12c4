"""Studies so small that they run in a moment: their files, their data, and the command line without a new process."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from whichloss.cli.main import main
from whichloss.study.execute import Ended, Work
from whichloss.study.shelf import Shelf
from whichloss.study.study import Study
from whichloss.study.worker import compute, read_order

_numbers = count()

TINY: dict[str, Any] = {
    "question": "Does it matter?",
    "losses": ["Logistic()", "Lorenz()"],
    "baseline": "Logistic()",
    "data": 'Arrays("tiny.npz", target="labels", group="patients", id="ids")',
    "network": "SmallConvNet(width=2, depth=1, features=4)",
    "design": {"folds": 2, "seeds": 1, "inner": 0.25},
    "training": {"optimizer": "Adam(lr=0.01)", "stages": [{"epochs": 1, "batch": 8}], "device": "cpu"},
    "primary": "RocAuc()",
    "rope": 0.02,
}

# the overrides that bring the shipped study `nuclei` down to seconds; its data are made by `write_nuclei`
SMALL_NUCLEI = (
    "network=UNet(width=2, depth=2, dropout=0.0)",
    "design.folds=2",
    "training.stages=[{epochs: 1, batch: 8}]",
    "training.device=cpu",
)


# data


def write_tiny(folder: Path, cases: int = 24, classes: int = 2, size: int = 8, **changes: Any) -> Path:
    """tiny.npz: noise (N, H, W), a little brighter in higher classes; two cases to a patient.

    `changes` replace whole arrays by name; None leaves one out.
    """
    chance = np.random.default_rng(0)
    labels = np.arange(cases) // 2 % classes
    images = chance.normal(0.2 * (labels[:, None, None] - (classes - 1) / 2), 1.0, (cases, size, size))
    arrays = {
        "images": images.astype(np.float32),
        "labels": labels,
        "masks": (images > 0).astype(np.uint8),
        "patients": np.array([f"P{at // 2:02}" for at in range(cases)]),
        "ids": np.array([f"case{at:02}" for at in range(cases)]),
    }
    kept = {name: array for name, array in (arrays | changes).items() if array is not None}
    np.savez(folder / "tiny.npz", **kept)
    return folder / "tiny.npz"


def write_nuclei(folder: Path, cases: int = 24, size: int = 32) -> Path:
    """dsb2018_128.npz with the arrays of the real one: bright discs on a dark ground, or the other way round."""
    chance = np.random.default_rng(1)
    rows, columns = np.mgrid[:size, :size]
    images = np.zeros((cases, size, size, 3), np.uint8)
    masks = np.zeros((cases, size, size), np.uint8)
    kinds = np.array(["gray_dark", "color_bright", "gray_bright"])[np.arange(cases) % 3]
    discs = chance.integers(1, 4, cases)
    for at in range(cases):
        for _ in range(discs[at]):
            middle, radius = chance.integers(6, size - 6, 2), chance.integers(3, 7)
            masks[at] |= ((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 <= radius**2).astype(np.uint8)
        inside, outside = (180, 40) if kinds[at] == "gray_dark" else (90, 210)
        shade = np.where(masks[at] == 1, inside, outside)[..., None] + chance.normal(0, 12, (size, size, 3))
        images[at] = shade.clip(0, 255).astype(np.uint8)
    groups = np.arange(cases, dtype=np.int32)
    groups[1] = groups[0]  # one pair of near duplicates, as in the real data
    np.savez(
        folder / "dsb2018_128.npz",
        images=images,
        masks=masks,
        ids=np.array([f"{at:04x}{'0' * 60}" for at in range(cases)]),
        kind=kinds,
        height=np.full(cases, 256, np.int32),
        width=np.full(cases, 320, np.int32),
        n_nuclei=discs.astype(np.int32),
        dup_group=groups,
    )
    return folder / "dsb2018_128.npz"


# studies


def tiny(**changes: Any) -> dict[str, Any]:
    """The content of a tiny study; `changes` replace whole keys, and None leaves one out."""
    return {key: value for key, value in (TINY | changes).items() if value is not None}


def tiny_study(name: str = "tiny", **changes: Any) -> Study:
    return Study(name=name, **tiny(**changes))


def write_study(folder: Path, name: str = "tiny", **changes: Any) -> Path:
    """NAME.yaml; its data lie beside it or under --data-root."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(tiny(**changes), sort_keys=False, width=1000), encoding="utf-8")
    return path


def write_code(folder: Path, code: str) -> str:
    """A module of somebody else's in this folder; its name, never the same twice, since Python keeps what it imports.

    The folder must be on sys.path: monkeypatch.syspath_prepend(folder), or cli(..., here=folder).
    """
    name = f"someones_code_{next(_numbers)}"
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    return name


@contextmanager
def double_precision() -> Iterator[None]:
    """One thread and float64, in which a difference of 1e-5 is far more than rounding."""
    threads, number = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(number)


# without worker processes


def execute_here(work: Work, ended: Callable[[Ended], None]) -> None:
    """What `study.execute` does, one run after the other in this process, which saves the seconds that workers take
    to start: monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)."""
    shelf = Shelf(work.roots)
    while (run := work.agenda.take()) is not None:
        message = json.loads(json.dumps(work.order(run, "cpu")))
        again, read = read_order(message)
        record, outputs = compute(again, read, shelf.of(run), torch.device("cpu"), trial=work.trials)
        work.store.write(run.key, record, outputs)
        ended(Ended(run, record["outcome"], record["message"], recorded=True))
        work.agenda.ended(run)


# the command line


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


def cli(*arguments: Any, here: Path | None = None) -> Answer:
    """`whichloss ARGUMENTS` in this process, from the folder `here`. Raises what would end in a traceback."""
    out, err, code = io.StringIO(), io.StringIO(), None
    with _as_command(arguments), chdir(here or Path.cwd()), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    return Answer(int(code or 0), out.getvalue(), err.getvalue())


@contextmanager
def _as_command(arguments: tuple[Any, ...]) -> Iterator[None]:
    before, path = sys.argv, sys.path[:]
    sys.argv = ["whichloss", *map(str, arguments)]
    try:
        yield
    finally:
        sys.argv, sys.path[:] = before, path
