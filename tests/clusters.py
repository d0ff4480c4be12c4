"""A small study for the tests of clusters: searches of settings, a loss that kills its worker, and code that lets a
machine be lost, or a job be taken away, at a moment that no clock decides."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from small_studies import write_study, write_tiny

CODE = '''
import os, signal, sys, time
from pathlib import Path

from whichloss.networks.small_conv_net import SmallConvNet

HERE = Path(__file__).parent
calls = 0


def in_a_worker():
    return sys.argv[0].endswith("worker.py")


def killed(logits, target):
    if in_a_worker():
        os.kill(os.getpid(), signal.SIGKILL)
    return (logits - target).square().mean()


def moved(logits, target):
    """Is taken away by Slurm once, in the middle: all processes of the job get the signals that it sends then."""
    global calls
    calls += 1
    if in_a_worker() and os.environ.get("SUBMITIT_EXECUTOR") == "local" and calls == 4:
        try:
            (HERE / "moved").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            for process in (os.getpid(), os.getppid()):
                os.kill(process, signal.SIGTERM)
                os.kill(process, signal.SIGUSR2)
            time.sleep(1000)
    return (logits - target).square().mean()


def network(task, outputs):
    """Where a machine is to be lost, waits for its end there, and on others until that machine has a run."""
    doomed, caught = HERE / "doomed", HERE / "caught"
    if in_a_worker() and doomed.exists():
        if doomed.read_text() in ("all", os.environ.get("RAY_RAYLET_PID")):
            caught.touch()
            time.sleep(1000)
        while not caught.exists():
            time.sleep(0.05)
    return SmallConvNet(width=2, depth=1, features=4).build(task, outputs)
'''


def write(folder: Path) -> Path:
    """The study, its data and its code: two searches of two trials, one of which fails at each."""
    write_tiny(folder)
    patients = [f"case{at:02}" for at in range(24)]
    (folder / "one.json").write_text(json.dumps([{"train": patients[:16], "val": patients[16:]}]))
    (folder / "elsewhere.py").write_text(CODE, encoding="utf-8")
    return write_study(
        folder,
        losses=["elsewhere:moved", "elsewhere:killed"],
        baseline="elsewhere:moved",
        network="elsewhere:network",
        design={"splits": "one.json", "inner": 0.25},
        training={"optimizer": "Adam(lr=0.01)", "stages": [{"epochs": 6, "batch": 8}], "device": "cpu"},
        tune={"trials": 2, "over": {"training.lr": "loguniform(1e-3, 1e-1)"}},
    )


def start(study: Path, store: Path, *options: str) -> "subprocess.Popen[str]":
    """`whichloss run`, as a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "whichloss", "run", str(study), "--store", str(store), *options],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "WHICHLOSS_CHECKPOINT_SECONDS": "0"},
        cwd=study.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    said, _ = process.communicate(timeout=400)
    return process.returncode, said


def tables(store: Path) -> dict[str, bytes]:
    return {name: (store / "studies" / "tiny" / name).read_bytes() for name in ("results.csv", "tuning.csv")}


def records(store: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(store.glob("runs/??/*/record.json"))]


def until(true: Callable[[], object], process: "subprocess.Popen[str] | None" = None) -> None:
    """Waits; fails where the process ends before, or nothing happens for minutes."""
    end = time.monotonic() + 300
    while not true():
        assert process is None or process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.05)


def nobody_works_on(store: Path) -> bool:
    """Whether all worker processes of a store are gone."""
    found = psutil.process_iter(["cmdline", "status"])
    lines = [one.info["cmdline"] or [] for one in found if one.info["status"] != psutil.STATUS_ZOMBIE]
    return not [line for line in lines if "whichloss.study.worker" in line and str(store) in line]
