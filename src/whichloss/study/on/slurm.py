"""Slurm, by way of submitit: each wave of runs is a job array. Slurm queues it, and requeues what it takes away."""

import sys
import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichloss.core import UserError

from .. import machine
from .engine import Answer, Share, Site, perform

MINUTES = 60  # of a job, where nobody says; a run that takes longer is requeued, and goes on from its checkpoint
REQUEUES = 1000  # how often that may happen
ARRAY = 1000  # jobs; more than a Slurm of default settings takes in one array
# what submitit knows under the same name for every cluster; all else it wants with the cluster's name in front
GENERIC = ("name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node",
           "stderr_to_stdout")  # fmt: skip
ONE = ("nodes", "tasks_per_node", "ntasks_per_node")  # a run is one process


@dataclass(frozen=True)
class Compute:
    """What a job does. It has nothing to save when Slurm takes it away: runs write checkpoints of their own."""

    site: Site

    def __call__(self, order: dict[str, Any]) -> Answer:
        return perform(self.site, order)

    def checkpoint(self, order: dict[str, Any]) -> Any:
        """What submitit hands in again, in the job's old place."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, order)


class OnSlurm:
    """A cluster that submitit knows: slurm; local: processes of this machine; debug: one after the other, in ours."""

    def __init__(
        self,
        cluster: str,
        folder: Path,
        each: Share,
        workers: int | None,
        asked: Mapping[str, Any],
    ) -> None:
        """folder: of the study; each: what a run gets; asked: what a person asks submitit for beside."""
        try:
            import submitit
        except ImportError:
            raise UserError("--on slurm needs submitit: pip install 'whichloss[slurm]'") from None
        if each.gpus % 1:
            raise UserError(
                f"--gpus-per-run {each.gpus:g}: Slurm gives whole GPUs; on Ray a run can have a part of one"
            )
        self.slots = workers or {"slurm": 256, "local": max(1, machine.cores() // each.cpus)}.get(cluster, 1)
        # an array may queue for long, so Slurm is given all that is ready; submitit's own clusters start it at once
        self.room = sys.maxsize if cluster == "slurm" else self.slots
        self._pause = 10.0 if cluster == "slurm" else 0.2  # seconds between two looks
        self._jobs: dict[str, Any] = {}
        standard = {
            "name": "whichloss", "timeout_min": MINUTES, "cpus_per_task": each.cpus, "nodes": 1,
            "tasks_per_node": 1, "slurm_array_parallelism": self.slots, "gpus_per_node": int(each.gpus) or None,
            "mem_gb": None if each.memory is None else each.memory + 1,  # some for what looks after the run
        }  # fmt: skip
        parameters = standard | _named(asked)
        more = parameters.get("slurm_additional_parameters")
        parameters["slurm_additional_parameters"] = {"requeue": True} | (more if isinstance(more, dict) else {})
        try:
            self._executor = submitit.AutoExecutor(
                folder / "slurm", cluster, slurm_max_num_timeout=REQUEUES, local_max_num_timeout=REQUEUES
            )
            self._executor.update_parameters(**parameters)
        except (RuntimeError, NameError, ValueError, TypeError, AssertionError) as error:
            raise UserError(f"--on slurm: {error}") from None

    def submit(self, site: Site, orders: Sequence[dict[str, Any]]) -> Sequence[Hashable]:
        new: list[Any] = []
        for at in range(0, len(orders), ARRAY):
            try:
                wave = self._executor.map_array(Compute(site), orders[at : at + ARRAY])
            except (RuntimeError, OSError) as error:
                raise UserError(f"jobs could not be submitted: {error}") from error
            self._jobs |= {job.job_id: job for job in wave}
            new += wave
        return [job.job_id for job in new]

    def wait(self) -> Iterable[tuple[Hashable, Answer]]:
        while not (done := [name for name, job in self._jobs.items() if job.done()]):
            time.sleep(self._pause)
        for name in done:
            yield name, _answer(self._jobs.pop(name))

    def stop(self) -> None:
        arrays = {name.partition("_")[0]: job for name, job in self._jobs.items()}
        for main, job in arrays.items():  # one call for all jobs of an array
            whole = job if job.job_id == main else type(job)(job.paths.folder, main)
            with suppress(OSError):
                whole.cancel(check=False)


def _named(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a person asks for, under submitit's names. It refuses by itself what it does not know."""
    for name, value in asked.items():
        if name.removeprefix("slurm_") in ("time", "timeout_min") and not isinstance(value, int):
            raise UserError(f"--slurm {name}={value}: say minutes, as a whole number")
        if name.removeprefix("slurm_") in ONE and value != 1:
            raise UserError(f"--slurm {name}={value}: a run is one process; leave it out")
    return {
        name if name in GENERIC or name.startswith(("slurm_", "local_")) else f"slurm_{name}": value
        for name, value in asked.items()
    }


def _answer(job: Any) -> Answer:
    from submitit.core.utils import FailedJobError

    error = job.exception()
    if error is None:
        answer = job.result()
        for file in (job.paths.submitted_pickle, job.paths.result_pickle):  # its logs stay
            file.unlink(missing_ok=True)
        return answer
    if isinstance(error, FailedJobError) and "not requeued" not in str(error):
        reason = str(error).split("-" * 22)[1].strip().splitlines()[-1]
        return Answer("error", f"a job cannot compute runs: {reason}; see {job.paths.stderr}", hopeless=True)
    return Answer("died", f"its job {job.job_id} ended as {job.state}; see {job.paths.stderr}")
