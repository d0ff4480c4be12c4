"""What a step waits for under losses of distances: ours, whose maps of the target are there, beside MONAI's.

python -m benchmarks.distance_maps --space 96 96 96 --batch 2 --repeats 5
"""

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from monai.losses import BoundaryLoss, HausdorffDTLoss  # type: ignore[attr-defined]
from torch import Tensor

from whichloss import Boundary, HausdorffDistance
from whichloss.core import Loss, distance
from whichloss.core.question import Batch


def volumes(batch: int, space: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Balls of which a third of the side is the radius, and logits that are right but for noise."""
    random = torch.Generator().manual_seed(0)
    axes = torch.meshgrid(*(torch.arange(side) - side / 2 for side in space), indexing="ij")
    away = torch.stack([axis**2 for axis in axes]).sum(0).sqrt()
    target = (away < min(space) / 3).float().expand(batch, 1, *space).contiguous()
    target = torch.stack([one.roll(3 * at, 2) for at, one in enumerate(target)])  # no two are alike
    return 4 * target - 2 + 2 * torch.randn(target.shape, generator=random), target


def seconds(step: Callable[[], Tensor], repeats: int) -> float:
    """Of a value and its gradient, the median."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        step().backward()
        taken.append(time.perf_counter() - start)
    return median(taken)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--space", type=int, nargs="+", default=[96, 96, 96])
    asked.add_argument("--batch", type=int, default=2)
    asked.add_argument("--repeats", type=int, default=5)
    told = asked.parse_args()
    torch.set_num_threads(1)
    logits, target = volumes(told.batch, told.space)
    leaf = logits.requires_grad_()

    def known(loss: Loss) -> float:
        zeros = torch.zeros(()).expand(target.shape)
        maps = {lift: lift(Batch(zeros, target)) for lift in loss.ahead}
        return seconds(lambda: loss(leaf, target, known=maps), told.repeats)

    def remembered(loss: Loss) -> float:
        loss(logits.detach(), target)
        return seconds(lambda: loss(leaf, target), told.repeats)

    def anew(loss: Loss) -> float:
        def step() -> Tensor:
            distance.memory = distance.Memory()
            return loss(leaf, target)

        return seconds(step, told.repeats)

    side = " x ".join(map(str, told.space))
    print(f"{told.batch} volumes of {side}, one thread, torch {torch.__version__}; seconds a step, value and gradient")
    for peer, losses in (
        (BoundaryLoss(sigmoid=True), [Boundary()]),
        (HausdorffDTLoss(sigmoid=True), [HausdorffDistance(sides="target"), HausdorffDistance()]),
    ):
        theirs = seconds(lambda peer=peer: peer(leaf, target), told.repeats)
        print(f"MONAI {type(peer).__name__:54} {theirs:8.3f}")
        for loss in losses:
            for name, measure in (
                ("maps come with the batch", known),
                ("target remembered", remembered),
                ("target worked out in the step", anew),
            ):
                ours = measure(loss)
                print(f"{loss.label + ', ' + name:60} {ours:8.3f}  {theirs / ours:6.1f} times MONAI's speed")


if __name__ == "__main__":
    main()
