"""A worker process: takes runs from its parent, one line of JSON each, and keeps their results in the store.

It ends when its parent does. Whatever it dies of costs its own run and no other.
"""

import io
import json
import os
import platform
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from whichloss.core import UserError, parse
from whichloss.core.rows import Rows
from whichloss.data import Cases, DataSet
from whichloss.data.stress import Stress
from whichloss.metrics.metric import Metric
from whichloss.networks import Network

from . import machine
from .attribution import chosen
from .burst import burst
from .checkpoint import Checkpoints, Spent, highest
from .course import Curve
from .runs import Run
from .score import chances, inner_scores, scores, train_scores
from .shelf import Shelf
from .store import Store, StoreError, compact, compact_in_file
from .study import Attribution, Design, Training
from .team import ALONE, Team, together
from .track import Journal
from .train import Diverged, Trained, train
from .tune import applied

STREAMS = ("folds", "inner", "weights", "order", "noise", "share", "patches", "augment", "tuning")
MOURNING = 2.0  # seconds: where another process of a run has died, which looks like an error here, this one ends, too


def order(run: Run, metrics: list[str], device: str, trial: bool = False) -> dict[str, Any]:
    """What a parent sends for one run; `read_order` is the way back."""
    return {
        "loss": repr(run.loss),
        "data": repr(run.data),
        "digest": run.digest,
        "network": repr(run.network),
        "design": run.design.model_dump(mode="json"),
        "splits": run.splits,
        "splits_file": run.splits_file,
        "fold": run.fold,
        "seed": run.seed,
        "stress": [repr(one) for one in run.stress],
        "tuned": dict(run.tuned),
        "reserved": run.reserved,
        "best_by": run.best_by,
        "attribution": run.attribution and run.attribution.model_dump(),
        "training": run.training.model_dump(mode="json"),
        "metrics": metrics,
        "device": device,
        "trial": trial,
        "key": run.key,
    }


def read_order(order: Mapping[str, Any]) -> tuple[Run, list[Metric]]:
    # the texts come from a study that a person wrote, so names of their own are imported
    from whichloss.core import Loss

    run = Run(
        loss=parse(order["loss"], Loss, imports=True),
        data=parse(order["data"], DataSet, imports=True),
        digest=order["digest"],
        network=parse(order["network"], Network, imports=True),
        design=Design(**order["design"]),
        splits=order["splits"],
        splits_file=order["splits_file"],
        fold=order["fold"],
        seed=order["seed"],
        stress=tuple(parse(text, Stress, imports=True) for text in order["stress"]),
        tuned=tuple(sorted(order["tuned"].items())),
        reserved=order["reserved"],
        best_by=order["best_by"],
        attribution=order["attribution"] and Attribution(**order["attribution"]),
        training=Training(**order["training"]),
    )
    if run.key != order["key"]:
        raise UserError("the code or the study file changed while the study was running; run it again")
    return run, [parse(text, Metric, imports=True) for text in order["metrics"]]


def compute(
    run: Run,
    metrics: list[Metric],
    cases: Cases,
    device: torch.device,
    *,
    trial: bool = False,
    checkpoints: Checkpoints | None = None,
    watcher: Callable[[Curve], None] | None = None,
    team: Team = ALONE,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One run: its record and its outputs. Divergence, errors and lack of memory are outcomes, not exceptions."""
    split = run.split(cases)
    fit_labels, test_labels = cases.truth(split.fit), cases.truth(split.fold.test)
    cases, changed = run.stressed(cases, split)
    record: dict[str, Any] = {
        "key": run.key,
        "spec": run.spec,
        "n_train": split.n_train,
        "n_test": split.n_test,
        "chance": chances(metrics, test_labels, cases.task) if len(test_labels) else {},
        "scores": {},
        "inner": {},
        "stress": changed,
        "beside": machine.facts(device, team.size),
        "host": platform.node(),
        "streams": {name: run.stream(name) for name in STREAMS}
        | {type(one).__name__: run.stream(f"stress/{type(one).__name__}") for one in run.stress},
        "outcome": "finished",
        "message": "",
    }
    outputs: dict[str, Any] = {}
    machine.start_peak(device)
    try:
        judge = parse(run.best_by, Metric, imports=True) if run.best_by else None
        explained = chosen(cases, split.fold.test, run.attribution.cases) if run.attribution else []
        trained = train(applied(run), cases, split, device, judge, checkpoints, watcher, team, explained)
        outputs = answers(trained, best=bool(run.best_by), in_files=cases.in_files) | {
            "inner_labels": small(cases.truth(split.inner)),
            "test_labels": small(test_labels),
            "inner_cases": torch.tensor(split.inner),
            "test_cases": torch.tensor(split.fold.test),
        }
        if explained:
            outputs |= {"attribution": trained.attribution, "attribution_cases": torch.tensor(explained)}
        if cases.task.by_image:
            outputs |= {"train_labels": small(fit_labels), "train_cases": torch.tensor(split.fit)}
        record["curve"], record["best_epoch"] = trained.curve, trained.best_epoch
        record["seconds"] = trained.seconds + (checkpoints.spent.seconds if checkpoints else 0.0)
        record["inner"] = inner_scores(metrics, outputs, cases.task)
        record["train"] = train_scores(metrics, outputs, cases.task)
        if not trial:  # the test part of a trial is read when the trial has been chosen, and only then
            record["scores"] = scores(metrics, outputs, cases.task)
    except Diverged as error:
        record |= {"outcome": "diverged", "message": str(error)}
    except Exception as error:
        outcome = "out_of_memory" if machine.out_of_memory(error) else "error"
        record |= {"outcome": outcome, "message": f"{type(error).__name__}: {error}"}
        traceback.print_exc()
    if record["outcome"] != "finished":
        outputs = {}
    before = checkpoints.spent if checkpoints else Spent()
    record["peak_memory_mib"] = highest(before.peak, machine.peak_memory(device))
    record["continued"] = before.continued
    return record, outputs


def answers(trained: Trained, best: bool, in_files: bool = False) -> dict[str, torch.Tensor]:
    """Those of the epoch that counts, the best or the last; and those of the other one, where it is another."""
    kept = compact_in_file if in_files else compact
    last = {"inner": kept(trained.inner), "test": kept(trained.test)}
    if len(trained.fit):
        last["train"] = kept(trained.fit)
    if trained.best_epoch == len(trained.curve):
        return last
    peak = {"inner": kept(trained.best_inner), "test": kept(trained.best_test)}
    if len(trained.fit):
        peak["train"] = kept(trained.best_fit)
    chosen, other = (peak, last) if best else (last, peak)
    return chosen | {f"other_{name}": one for name, one in other.items()}


def small(labels: torch.Tensor) -> torch.Tensor:
    """Class indices in a short type; those of masks can be -1."""
    if isinstance(labels, Rows) or labels.is_floating_point():
        return labels
    return labels.to(torch.int32) if (labels >= 128).any() else labels.to(torch.int8)


def serve(store: Store, roots: list[Path]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer; it stops its workers
    if "SUBMITIT_EXECUTOR" in os.environ:  # and what Slurm tells all processes of a job before it takes it away
        for one in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(one, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is printed, by anybody's code, must not mix with the replies
    sys.stdout = sys.stderr = io.TextIOWrapper(io.BufferedWriter(_Log()), line_buffering=True, errors="replace")
    orders: queue.Queue[str] = queue.Queue()
    threading.Thread(target=listen, args=(orders,), daemon=True).start()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    shelf = Shelf(roots)
    replies.write(json.dumps({"ready": os.getpid()}) + "\n")
    while True:
        with _as_before():
            reply = fulfil(json.loads(orders.get()), store, shelf)
        replies.write(json.dumps(reply) + "\n")


def fulfil(message: Mapping[str, Any], store: Store, shelf: Shelf) -> dict[str, Any]:
    """Compute a run and keep it; what the parent is told."""
    try:
        run, metrics = read_order(message)
        if shelf.digest(run.data, run.design) != run.digest:
            raise UserError(f"{run.data.label} changed while the study was running; run it again")
        device, devices = torch.device(message["device"]), run.training.devices
        checkpoints = Checkpoints(store.checkpoint(run.key), run.key, device, devices=devices)
        journal = Journal(run, message["metrics"], message.get("track", {}), store.checkpoint(run.key))
        cases = shelf.of(run)
        if "burst" in message:
            return {"outcome": "measured"} | burst(applied(run), cases, run.split(cases), device, *message["burst"])
        with together(message, store.folder, shelf.roots, device, devices) as team:
            record, outputs = compute(
                run, metrics, cases, device,
                trial=message["trial"], checkpoints=checkpoints, watcher=journal.watch, team=team,
            )  # fmt: skip
            if devices > 1 and record["outcome"] == "error":
                time.sleep(MOURNING)
        journal.end(record)  # before the run counts as ended: if this is cut off, both are done again
        store.write(run.key, record, outputs)
        checkpoints.remove()
        return {"outcome": record["outcome"], "message": record["message"], "untracked": journal.lost}
    except StoreError as error:
        return {"store": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"outcome": "error", "message": f"{type(error).__name__}: {error}", "unrecorded": True}


@contextmanager
def _as_before() -> Iterator[None]:
    """The next run finds what somebody's code has changed as it was: it may touch the last digits, and is recorded."""
    threads, number, gradients = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(number)
        torch.set_grad_enabled(gradients)


class _Log(io.RawIOBase):
    """The worker's log. What cannot be written is lost: on a full disk, a line of it must not end a run."""

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        with suppress(OSError):
            os.write(2, content)
        return len(content)


def listen(orders: "queue.Queue[str]") -> None:
    for line in sys.stdin:
        orders.put(line)
    os._exit(0)  # the parent is gone, and with it the reason to go on


if __name__ == "__main__":
    serve(Store(sys.argv[1]), [Path(root) for root in sys.argv[2:]])
