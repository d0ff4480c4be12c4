"""Place: where runs are computed, and what each of them gets there, as a person says it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whichloss.core import UserError

from .engine import Engine, Share

CLUSTERS = ("local", "debug")  # of submitit, beside Slurm itself


@dataclass(frozen=True, kw_only=True)
class Place:
    """`local` is this machine, with worker processes of our own; anything else is an engine that exists already.

    ray, ray:HOST:PORT, ray://HOST:PORT     a Ray cluster: the one of this machine, by its address, by its client port
    slurm, slurm:local, slurm:debug         Slurm through submitit; or what submitit offers in its place on one machine
    """

    on: str = "local"
    cpus: int | None = None  # of each run
    gpus: float | None = None  # of each run; a part of one is shared with others
    slurm: Mapping[str, Any] = field(default_factory=dict)  # of submitit

    def __post_init__(self) -> None:
        engine, _, address = self.on.partition(":")
        fits = engine in ("local", "ray") or address in ("", *CLUSTERS)
        if engine not in ("local", "ray", "slurm") or (engine == "local" and address) or not fits:
            raise UserError(
                f"--on {self.on}: no such engine; say local, ray, ray:HOST:PORT, ray://HOST:PORT, slurm or slurm:local"
            )
        if engine == "local" and (self.cpus, self.gpus) != (None, None):
            raise UserError(
                "--cpus-per-run and --gpus-per-run are for --on ray or slurm; on this machine say --workers"
            )
        if engine != "slurm" and self.slurm:
            raise UserError(f"--slurm is for --on slurm, not for --on {self.on}")
        if self.gpus is not None and (not self.gpus >= 0 or (self.gpus > 1 and self.gpus % 1)):
            raise UserError(f"--gpus-per-run {self.gpus:g}: say a part of one GPU, such as 0.25, or a whole number")

    @property
    def here(self) -> bool:
        """Whether runs are computed by worker processes of this machine."""
        return self.on == "local"

    def share(self, device: str, devices: int = 1) -> tuple[str, int]:
        """The device of a run, `auto` being a GPU only where the run was given one, and the threads of each of its
        processes. Raises UserError for a GPU that no run gets."""
        cpus, asked = self.cpus or devices, any("gpu" in name or "gres" in name for name in self.slurm)
        if device.startswith("cuda") and not (self.gpus or asked):
            raise UserError(
                f"training.device is {device}, and no run gets a GPU: say --gpus-per-run 1, or 0.25 to share one"
            )
        if device == "auto":
            device = "cuda" if self.gpus or asked else "cpu"
        if self.gpus and devices > max(1, self.gpus) and device.startswith("cuda"):
            raise UserError(
                f"training.devices is {devices}, and a run gets {self.gpus:g}: say --gpus-per-run {devices}"
            )
        return device, max(1, cpus // devices)

    @contextmanager
    def engine(self, folder: Path, devices: int, workers: int | None, memory: float | None) -> Iterator[Engine]:
        """The engine, while it is needed; what has not ended then is cancelled.

        folder: for what it writes itself; devices: of a run; workers: how many runs at a time, at most; memory: GB
        of each of their processes.
        Raises UserError where it is not installed, refuses what is asked of it, or does not answer.
        """
        kind, _, address = self.on.partition(":")
        each = Share(self.cpus or devices, self.gpus or 0, None if memory is None else memory * devices)
        if kind == "ray":
            from .ray import OnRay

            engine = OnRay(self.on if address.startswith("//") else address, each, workers)
        else:
            from .slurm import OnSlurm

            engine = OnSlurm(address or "slurm", folder, each, workers, self.slurm)
        try:
            yield engine
        finally:
            engine.stop()


HERE = Place()


def settings(texts: list[str]) -> dict[str, Any]:
    """--slurm key=value, repeated: numbers, true, lists and mappings as JSON has them, all else as text."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UserError(f"--slurm {text}: say key=value, such as --slurm partition=gpu --slurm time=240")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
