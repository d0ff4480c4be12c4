"""Kill a running study at random moments, again and again, and see whether anybody could tell from its tables.

python benchmarks/kills.py --kills 200

A small study with a search of settings runs in two workers and keeps a checkpoint at each epoch. All its processes get
SIGKILL, or the parent alone, whose workers then must end by themselves; in turn. The moment is drawn uniformly from the
first quarter of what the study needs from its first step on, so that each is killed about seven times. The same command
goes on until it is done, and the next store is begun. Each time results.csv and tuning.csv must be those of a study
that nobody killed, byte for byte; no run may have been lost or written twice; nothing may lie about; and no process may
be left. It ends with 1 if any of this fails. Linux; about 8 seconds a kill.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

STUDY = """
question: Does anybody notice?
losses: [Logistic(), Lorenz()]
baseline: Logistic()
data: Nodules(cases=80, size=26)
network: first_step:network
design: {folds: 2, seeds: 3, inner: 0.25, select: primary}
training: {optimizer: Adam(lr=0.003), stages: [{epochs: 20, batch: 8}], device: cpu}
tune: {trials: 3, over: {training.lr: "loguniform(1e-4, 1e-1)"}}
primary: RocAuc()
rope: 0.02
secondary: [Accuracy()]
"""
# a network that tells when a worker takes its first step
CODE = """
import os, sys
from pathlib import Path
from whichloss.networks.small_conv_net import SmallConvNet

def network(task, outputs):
    built = SmallConvNet(width=8, depth=2).build(task, outputs)
    if sys.argv[0].endswith("worker.py"):
        built.register_forward_hook(lambda *_: Path(os.environ["FIRST_STEP"]).touch())
    return built
"""
SHARE = 0.25  # of the time that the study needs, the latest moment of a kill
PATIENCE = 20.0  # seconds that an orphan may take to notice; what is measured is printed


@dataclass
class Count:
    """What happened."""

    kills: int = 0
    parents: int = 0  # of these, kills of the parent alone
    studies: int = 0
    longest: float = 0.0  # seconds that a process survived a kill
    faults: list[str] = field(default_factory=list)


class Command:
    """`whichloss run` as a process group of its own."""

    def __init__(self, home: Path, store: Path) -> None:
        self.store, self.mark = store, home / "first-step"
        self.mark.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "whichloss", "run", home / "kills.yaml", "--store", store, "--workers", "2"],
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join([str(home), *sys.path]), "FIRST_STEP": str(self.mark),
               "WHICHLOSS_CHECKPOINT_SECONDS": "0"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def has_begun(self) -> bool:
        """Waits for the first step; False where nothing is left to train."""
        while not self.mark.exists():
            if self.process.poll() is not None:
                return False
            time.sleep(0.005)
        return True

    def kill(self, parent_alone: bool) -> float:
        """Seconds until all are gone."""
        if parent_alone:
            self.process.kill()
        else:
            os.killpg(self.process.pid, signal.SIGKILL)
        start = time.monotonic()
        self.process.communicate()
        while processes_of(self.store) and time.monotonic() - start < PATIENCE:
            time.sleep(0.02)
        return time.monotonic() - start

    def finish(self) -> tuple[int, str]:
        said, _ = self.process.communicate(timeout=600)
        return self.process.returncode, said


def processes_of(store: Path) -> list[psutil.Process]:
    """Processes with the store on their command line."""
    return [one for one in psutil.process_iter(["cmdline"]) if any(str(store) in x for x in one.info["cmdline"] or [])]


def tables(store: Path) -> dict[str, bytes]:
    return {name: (store / "studies" / "kills" / name).read_bytes() for name in ("results.csv", "tuning.csv")}


def finished(store: Path) -> dict[str, int]:
    """When each run was written; those aside have names with a dot, and are not."""
    return {one.parent.name: one.stat().st_mtime_ns for one in store.glob("runs/??/[!.]*/record.json")}


def torment(home: Path, store: Path, span: float, whole: Path, count: Count, kills: int, chance: random.Random) -> None:
    """One study from its beginning to its end, killed as often as it takes."""
    kept: dict[str, int] = {}
    while True:
        command = Command(home, store)
        if count.kills < kills and command.has_begun():
            end = time.monotonic() + chance.uniform(0, SHARE * span)
            while time.monotonic() < end and command.process.poll() is None:
                time.sleep(0.002)
            if command.process.poll() is None:
                survived = command.kill(parent_alone=count.kills % 2 == 1)
                count.parents += count.kills % 2
                count.kills += 1
                count.longest = max(count.longest, survived)
                if survived >= PATIENCE:
                    count.faults.append(f"kill {count.kills}: {processes_of(store)} survived")
                now = finished(store)
                if any(now.get(key) != written for key, written in kept.items()):
                    count.faults.append(f"kill {count.kills}: a run was lost, or written twice")
                kept = now
                continue
        code, said = command.finish()
        count.studies += 1
        check(store, whole, kept, code, said, count)
        return


def check(store: Path, whole: Path, kept: dict[str, int], code: int, said: str, count: Count) -> None:
    """Whether a study ended like the one that nobody killed."""
    name, now = f"study {count.studies}", finished(store)
    if code:
        count.faults.append(f"{name}: exit code {code}: {said}")
        return
    if tables(store) != tables(whole):
        count.faults.append(f"{name}: another results.csv or tuning.csv")
    if now.keys() != finished(whole).keys() or any(now[key] != written for key, written in kept.items()):
        count.faults.append(f"{name}: a run was lost, or written twice")
    if left := [*store.rglob(".*"), *store.glob("checkpoints/*")]:
        count.faults.append(f"{name}: {', '.join(map(str, left))} left behind")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop killing after so long")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="kills-"))
    (home / "kills.yaml").write_text(STUDY)
    (home / "first_step.py").write_text(CODE)
    command = Command(home, home / "whole")
    command.has_begun()
    start = time.monotonic()
    code, said = command.finish()
    assert code == 0, said
    span = time.monotonic() - start  # from the first step to the end
    print(f"undisturbed: {span:.1f} s from the first step to the end", flush=True)

    count, chance, start = Count(), random.Random(options.seed), time.monotonic()
    while count.kills < options.kills and not count.faults:
        store = home / f"store-{count.studies}"
        torment(home, store, span, home / "whole", count, options.kills, chance)
        if (time.monotonic() - start) / 60 > options.minutes:
            break
        if not count.faults:
            shutil.rmtree(store)
    minutes, runs = (time.monotonic() - start) / 60, len(finished(home / "whole"))
    print(
        f"{count.kills} kills, {count.parents} of them of the parent alone, in {minutes:.1f} min;"
        f" {count.studies} studies of {runs} runs came to their end;"
        f" the last process was gone {count.longest:.1f} s after a kill; {len(count.faults)} faults"
    )
    for fault in count.faults:
        print(fault)
    if not count.faults:
        print("every results.csv and tuning.csv the same bytes as without a kill")
        shutil.rmtree(home)
    return bool(count.faults)


if __name__ == "__main__":
    sys.exit(main())
