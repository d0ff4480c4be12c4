"""Checkpoints: a long training that is cut off goes on from the end of an epoch as if nothing had happened.

One file, checkpoints/KEY/state.safetensors in a store: tensors, and JSON in its header for all else. It is replaced in
one step. Any that does not fit, or cannot be read, is as good as none.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as as_safetensors
from torch import Tensor

from whichloss.core import UserError

from . import machine
from .course import Course
from .pack import pack, unpack
from .store import write_bytes

SECONDS = "WHICHLOSS_CHECKPOINT_SECONDS"  # environment: the least time between two checkpoints; 0: every epoch


@dataclass(frozen=True)
class Spent:
    """What a run took before it was last cut off."""

    seconds: float = 0.0
    peak: float | None = None  # of memory, MiB
    continued: int = 0  # how often it went on from a checkpoint


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a training, and whose it is: no other run, code or machine may go on from it."""

    origin: Mapping[str, str]
    spent: Spent
    state: dict[str, Any]  # of a course

    def save(self, path: Path) -> None:
        """Raises OSError, and TypeError for a state that has more than plain values and tensors."""
        tensors: dict[str, Tensor] = {}
        content = {"origin": dict(self.origin), "spent": asdict(self.spent), "state": pack(self.state, tensors)}
        kept = {name: one.detach().to("cpu", copy=True).contiguous() for name, one in tensors.items()}
        text = json.dumps(content)
        write_bytes(path, as_safetensors(kept, {"content": text, "digest": _digest(text, kept)}))

    @classmethod
    def load(cls, path: Path) -> "Checkpoint | None":
        """None where there is none, or only a damaged one."""
        try:
            with safe_open(path, "pt") as file:
                header = file.metadata()
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  it is no dict
            if header["digest"] != _digest(header["content"], tensors):
                return None
            content = json.loads(header["content"])
            return cls(content["origin"], Spent(**content["spent"]), unpack(content["state"], tensors))
        except Exception:  # whatever a damaged file makes of its readers
            return None


class Checkpoints:
    """The checkpoint of one run: written at ends of epochs, `interval` seconds or more apart."""

    def __init__(
        self, folder: Path, key: str, device: torch.device, interval: float | None = None, devices: int = 1
    ) -> None:
        self.path = folder / "state.safetensors"
        self.device, self.interval = device, seconds_between() if interval is None else interval
        # a record tells of one machine, so a run has one: all that `facts` names must be the same
        self.origin = {"key": key} | machine.facts(device, devices)
        self.spent = Spent()
        self._began = self._last = time.monotonic()

    def resume(self, course: Course) -> None:
        """Bring a course to where it was cut off; leave it at its beginning where there is nothing to go on from."""
        found = Checkpoint.load(self.path)
        if found is not None and found.origin == self.origin and course.fits(found.state):
            course.restore(found.state)
            self.spent = Spent(found.spent.seconds, found.spent.peak, found.spent.continued + 1)

    def offer(self, course: Course) -> None:
        """At the end of each epoch. That nothing can be written is no reason to end a training."""
        if time.monotonic() - self._last < self.interval:
            return
        try:
            Checkpoint(self.origin, self._so_far(), course.state()).save(self.path)
        except (OSError, TypeError, SafetensorError) as error:
            print(f"no checkpoint could be written: {error}", file=sys.stderr)
        self._last = time.monotonic()

    def remove(self) -> None:
        """The run has ended, and whatever came of it is in the store."""
        shutil.rmtree(self.path.parent, ignore_errors=True)

    def _so_far(self) -> Spent:
        seconds = self.spent.seconds + time.monotonic() - self._began
        return Spent(seconds, highest(self.spent.peak, machine.peak_memory(self.device)), self.spent.continued)


def seconds_between() -> float:
    """Between two checkpoints, as the environment has it."""
    text = os.environ.get(SECONDS, "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise UserError(f"{SECONDS} is {text!r}; say a number of seconds, such as 60, or 0 for every epoch")
    return seconds


def highest(*peaks: float | None) -> float | None:
    """Of those that are known."""
    return max((one for one in peaks if one is not None), default=None)


def _digest(text: str, tensors: dict[str, Tensor]) -> str:
    """Safetensors has no check of its own against a bit that changed."""
    total = sha256(text.encode())
    for name in sorted(tensors):
        one = tensors[name]
        total.update(f"{name} {one.dtype} {tuple(one.shape)}\n".encode())
        total.update(one.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
