"""Team: the processes that train one run together, each on a device of its own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from whichloss.core import UserError
from whichloss.core.ranks import whole_batch

HOST = "127.0.0.1"
PATIENCE = timedelta(days=30)  # a process that dies is seen at once, and one that hangs is the limit's to end


@dataclass(frozen=True)
class Team:
    """This process among those that train a run; all do the same, but each passes its own rows of every batch.

    All of them draw the same, hold the same weights after each step, and see the same loss of the same logits.
    """

    size: int = 1
    rank: int = 0  # the first keeps what comes of it

    def rows(self, count: int) -> slice:
        """Which of a batch of `count` cases are this process's; none, where there are too few."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def gathered(self, part: Tensor, count: int) -> Tensor:
        """The rows of all processes, (count, ...), from those of this one."""
        if self.size == 1:
            return part
        mine, whole = self.rows(count), part.new_zeros(count, *part.shape[1:])
        whole[mine] = part[: mine.stop - mine.start]
        dist.all_reduce(whole)  # zeros add nothing, so that it is exact
        return whole

    def wrapped(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Gradients become the mean over the processes. On GPUs batch statistics are those of the whole batch."""
        if self.size == 1:
            return network
        if device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return nn.parallel.DistributedDataParallel(
            network,
            device_ids=[device] if device.type == "cuda" else None,
            find_unused_parameters=True,  # a network may have some; one process would not mind
        )

    def agree(self, number: int, device: torch.device) -> None:
        """Raises RuntimeError unless all processes say the same number."""
        if self.size > 1:
            ends = torch.tensor([number, -number], device=device)
            dist.all_reduce(ends, dist.ReduceOp.MAX)
            if int(ends.sum()):
                raise RuntimeError("the processes of this run did not find the same checkpoint; run it again")


ALONE = Team()


def device_of(rank: int, first: torch.device) -> torch.device:
    """GPUs are taken one after another; a CPU is shared."""
    return torch.device("cuda", (first.index or 0) + rank) if first.type == "cuda" else first


def meeting_of(size: int, port: int = 0) -> Any:
    """Where the processes of a team find each other: a new one, at whatever port is free, or that at a port."""
    return dist.TCPStore(HOST, port, size, is_master=not port, wait_for_workers=False)  # type: ignore[attr-defined]


@contextmanager
def joined(meeting: Any, rank: int, size: int, device: torch.device) -> Iterator[Team]:
    """This process as a member of a team."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=meeting, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        with whole_batch():
            yield Team(size, rank)
    finally:
        dist.destroy_process_group()


@contextmanager
def together(
    order: Mapping[str, Any], folder: Path, roots: Sequence[Path], device: torch.device, size: int
) -> Iterator[Team]:
    """This process, and as many others as it takes, for one run. Should one of them end before, all end, at once."""
    if size == 1:
        yield ALONE
        return
    meeting = meeting_of(size)
    asked = {"order": dict(order), "port": meeting.port, "size": size}
    others = [_started(asked | {"rank": rank}, folder, roots) for rank in range(1, size)]
    ending = threading.Event()
    for rank, other in enumerate(others, 1):
        threading.Thread(target=_watch, args=(other, rank, others, ending), daemon=True).start()
    try:
        with joined(meeting, 0, size, device_of(0, device)) as team:
            yield team
    finally:
        ending.set()
        _end(others)


def _started(asked: Mapping[str, Any], folder: Path, roots: Sequence[Path]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "whichloss.study.rank", str(folder), *map(str, roots)]
    try:
        # it writes where this process does, into the log, and ends when this process does, by the end of its input
        process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    except OSError as error:
        raise UserError(f"training.devices: cannot start a process for each device: {error}") from error
    assert process.stdin is not None
    with suppress(OSError):  # it has died already, and is being watched
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
    return process


def _watch(
    process: "subprocess.Popen[str]", rank: int, others: "list[subprocess.Popen[str]]", ending: threading.Event
) -> None:
    code = process.wait()
    if not ending.is_set():
        print(f"process {rank} of a run on {len(others) + 1} devices ended with {code}; so do all", file=sys.stderr)
        _end(others)
        os._exit(1)


def _end(others: "list[subprocess.Popen[str]]") -> None:
    for one in others:
        one.kill()
    for one in others:
        one.wait()
