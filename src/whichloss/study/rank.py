"""A process that trains a run beside a worker: the same on its own rows of each batch. It keeps nothing.

It ends when the worker does.
"""

import json
import os
import queue
import sys
import threading
import time
from math import inf
from pathlib import Path

import torch

from .checkpoint import Checkpoints
from .shelf import Shelf
from .store import Store
from .team import device_of, joined, meeting_of
from .worker import compute, listen, read_order

GRACE = 5.0  # seconds: what has gone wrong here has most likely gone wrong in the worker, too, which records it


def main(store: Store, roots: list[Path]) -> None:
    orders: queue.Queue[str] = queue.Queue()
    threading.Thread(target=listen, args=(orders,), daemon=True).start()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    asked = json.loads(orders.get())
    rank, size, first = asked["rank"], asked["size"], torch.device(asked["order"]["device"])
    run, _ = read_order(asked["order"])
    cases, device = Shelf(roots).of(run), device_of(rank, first)
    checkpoints = Checkpoints(
        store.checkpoint(run.key), run.key, first, interval=inf, devices=size
    )  # read, never written
    with joined(meeting_of(size, asked["port"]), rank, size, device) as team:
        record, _ = compute(run, [], cases, device, trial=True, checkpoints=checkpoints, team=team)
        if record["outcome"] not in ("finished", "diverged"):
            time.sleep(GRACE)
            sys.exit(1)
        orders.get()  # until the worker is done, and ends this process


if __name__ == "__main__":
    main(Store(sys.argv[1]), [Path(root) for root in sys.argv[2:]])
