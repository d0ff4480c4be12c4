"""How many 2.5-D views a second are cut out of a CT volume of 512 x 512 x 300 voxels in memory.

python -m benchmarks.views --threads 2

A view is three planes of 32 x 32. The volume is made up, 0.7 x 0.7 x 1.25 mm; candidates lie anywhere in it, so that
some cubes reach beyond the border. Preparing is what is done once for a volume: the coefficients of cubic B-splines.
"""

import argparse
import time

import numpy as np
import torch

from whichloss.data.views import Sampler, Volume, draw

SHAPE, SPACING = (300, 512, 512), np.array([0.7, 0.7, 1.25])
WANTED = {"linear": 12_000, "cubic": 1_000}  # views a second, on two threads


def volume() -> Volume:
    slices = np.random.default_rng(0).integers(-1000, 1000, (16, *SHAPE[1:]), dtype=np.int16)
    values = np.resize(slices, SHAPE)
    return Volume(values=values, spacing=SPACING, origin=np.zeros(3), direction=np.eye(3))


def seconds(sampler: Sampler, candidates: int, window: tuple[float, float] = (-100.0, 200.0)) -> float:
    """For 36 views of each candidate, from drawing their frames to grey levels of 8 bits."""
    points = np.random.default_rng(1).random((candidates, 3)) * SPACING * SHAPE[::-1]
    started = time.perf_counter()
    frames = draw([f"c{k}" for k in range(candidates)], points)
    views = np.empty((candidates, 36, 3, 32, 32), dtype=np.uint8)
    for at, levels in sampler.batches(frames, 32, window):
        views[at] = levels.cpu().numpy()
    return time.perf_counter() - started


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--device", default="cpu")
    options.add_argument("--repeats", type=int, default=3)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    scan, slow = volume(), 0
    print(
        f"{given.threads} threads, {given.device}, volume {scan.values.nbytes / 2**20:.0f} MiB of {scan.values.dtype}"
    )
    for interpolation, wanted in WANTED.items():
        started = time.perf_counter()
        sampler = Sampler(scan, interpolation, given.device)
        prepared = time.perf_counter() - started
        candidates = 320 if interpolation == "linear" else 64
        seconds(sampler, 16)
        speeds = sorted(36 * candidates / seconds(sampler, candidates) for _ in range(given.repeats))
        middle = speeds[len(speeds) // 2]
        slow += middle < wanted
        print(
            f"{interpolation:7} {middle:8,.0f} views/s (from {speeds[0]:,.0f} to {speeds[-1]:,.0f};"
            f" wanted {wanted:,}), prepared in {prepared:.2f} s"
        )
    return int(slow > 0)


if __name__ == "__main__":
    raise SystemExit(main())
