"""How long 10,000 resamples of the patients take for the FROC areas of 4 losses: 9,000 candidates in 176 volumes.

python -m benchmarks.bootstrap
"""

import time

import numpy as np
import torch

from whichloss.core import Candidates
from whichloss.metrics.detection.resample import resampled_area


def main() -> None:
    chance = np.random.default_rng(0)
    volume = chance.integers(176, size=9000)
    lesion = np.where(np.arange(9000) < 1966, np.arange(9000) // 2, -1)
    volume[1:1966:2] = volume[0:1966:2]
    candidates = Candidates(
        candidate=tuple(map(str, range(9000))),
        volume=tuple(map(str, volume)),
        lesion=tuple("" if one < 0 else str(one) for one in lesion),
    )
    truth = candidates.truth(torch.from_numpy((lesion >= 0).astype(int)), range(9000))
    start = time.perf_counter()
    for _ in range(4):
        logits = torch.from_numpy(chance.normal(lesion >= 0, 1.0))[:, None]
        value, areas = resampled_area(logits, truth, 10.0, 10_000, seed=0)
        print(f"{value:.4f} ({np.quantile(areas, 0.025):.4f} to {np.quantile(areas, 0.975):.4f})")
    print(f"{time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
