"""Ray: each run is a task. Ray finds a machine for it, and another one where that is lost."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from whichloss.core import UserError

from .engine import Answer, Share, Site, perform

LOSSES = 3  # how often a run may lose the machine it is on, or the process that looks after it, and be tried again
ANSWERS = 25  # seconds in which a cluster must answer
QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}
START = {"include_dashboard": False, "object_store_memory": 100 * 2**20}  # of one of our own: runs pass nothing on


class OnRay:
    """A Ray cluster, by its address; without one, that of this machine, or else a small one for as long as we need."""

    def __init__(self, address: str, each: Share, workers: int | None) -> None:
        """each: what Ray keeps free for a run."""
        try:
            import ray
        except ImportError:
            raise UserError("--on ray needs Ray: pip install 'whichloss[ray]'") from None
        self._ray, self._ours = ray, not ray.is_initialized()
        if self._ours:
            _connect(ray, address or os.environ.get("RAY_ADDRESS", ""))
        self.room = workers or 10_000
        self.slots = min(self.room, _slots(ray.cluster_resources(), each))
        if not self.slots:
            print(
                f"no machine of the Ray cluster offers {each.cpus} CPUs and {each.gpus:g} GPUs for a run;"
                " it waits until one joins, or for Ctrl-C",
                file=sys.stderr,
            )
        asked = {"num_cpus": each.cpus, "num_gpus": each.gpus}
        if each.memory is not None:
            asked["memory"] = round(each.memory * 1e9)
        # a run that fails has an answer like any other; only what was lost is tried again
        self._perform: Any = ray.remote(**asked, max_retries=LOSSES, retry_exceptions=False)(perform)
        self._keep = not each.gpus  # of a GPU nothing may be held for longer than the task has it
        self._busy: dict[Any, None] = {}  # in the order in which they were handed over

    def submit(self, site: Site, orders: Sequence[dict[str, Any]]) -> Sequence[Hashable]:
        new = []
        for order in orders:
            try:
                new.append(self._perform.remote(site, order, keep=self._keep))
            except (ImportError, self._ray.exceptions.RayError) as error:  # by its client port, the head reads it first
                raise UserError(f"the Ray cluster takes no runs: {error}; whichloss must be installed there") from error
            self._busy[new[-1]] = None
        return new

    def wait(self) -> Iterable[tuple[Hashable, Answer]]:
        try:
            self._ray.wait(list(self._busy), num_returns=1)
            done, _ = self._ray.wait(list(self._busy), num_returns=len(self._busy), timeout=0)
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise UserError(
                f"the Ray cluster is gone: {error}; finished runs are kept, and the same command resumes"
            ) from error
        for one in done:
            del self._busy[one]
            yield one, self._answer(one)

    def stop(self) -> None:
        with suppress(self._ray.exceptions.RayError, ConnectionError):
            for one in self._busy:
                self._ray.cancel(one, force=True)
        if self._ours:
            self._ray.shutdown()

    def _answer(self, one: Any) -> Answer:
        errors = self._ray.exceptions
        try:
            return self._ray.get(one)
        except (
            errors.WorkerCrashedError,
            errors.NodeDiedError,
            errors.OutOfMemoryError,
            errors.ObjectLostError,
        ) as error:
            return Answer("died", f"lost on Ray {LOSSES + 1} times, or for want of memory: {_first_line(error)}")
        except errors.RayTaskError as error:
            return Answer("error", f"a machine of the Ray cluster cannot compute runs: {error.cause!r}", hopeless=True)
        except errors.RayError as error:
            return Answer("error", f"Ray: {_first_line(error)}", hopeless=True)


def _connect(ray: Any, address: str) -> None:
    try:
        if address in ("", "auto", "local"):
            _join_or_start(ray, address)
        else:
            _try(address)
            ray.init(address, **QUIET)
    except UserError:
        raise
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"--on ray: {_first_line(error)}") from error


def _join_or_start(ray: Any, address: str) -> None:
    if address != "local":
        with suppress(ConnectionError):  # there is none
            ray.init("auto", **QUIET)
            return
        if address == "auto":
            raise ConnectionError("no Ray cluster runs on this machine; start one with: ray start --head")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init("local", **START, **QUIET)


def _try(address: str) -> None:
    """Connect in a process that can be stopped: at a wrong address, Ray waits for minutes, or ends its process."""
    remedy = (
        "the port of ray:HOST:PORT is that of `ray start --head` (6379), of ray://HOST:PORT its client port (10001);"
        " a cluster that asks for a token reads it from RAY_AUTH_TOKEN, with RAY_AUTH_MODE=token"
    )
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWERS / 2).close()
    except (OSError, ValueError) as error:
        raise UserError(f"no Ray cluster answers at {address}: {error}; {remedy}") from None
    code = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False)"
    try:
        tried = subprocess.run(
            [sys.executable, "-c", code, address], capture_output=True, text=True, timeout=ANSWERS, check=False
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"what listens at {address} does not answer as a Ray cluster in {ANSWERS} s; {remedy}"
        ) from None
    if tried.returncode:
        raise UserError(f"no Ray cluster answers at {address}: {tried.stderr.strip().rpartition(chr(10))[2]}; {remedy}")


def _slots(resources: Mapping[str, float], each: Share) -> int:
    """How many runs fit, by the sum over all machines."""
    wanted = {"CPU": each.cpus, "GPU": each.gpus}
    return int(min(resources.get(name, 0.0) // some for name, some in wanted.items() if some))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
