"""What `skip_easy` saves of a training step, by the share of cases at which the loss is flat.

python -m benchmarks.skip_easy
python -m benchmarks.skip_easy --easy 0.5 0.7 0.9 --times 30

Both kinds of step (forward, loss, backward, SGD) take turns in one process; for each network and share, the median of
the ratio of neighbours. Which cases are easy is given: their margins are put far beyond 1.
"""

import argparse
import time
from collections.abc import Callable
from copy import deepcopy
from statistics import median, quantiles

import torch
from torch import nn

from whichloss.core import Task
from whichloss.losses.margin.lorenz import Lorenz
from whichloss.networks import Network
from whichloss.networks.lymph_net import LymphNet
from whichloss.networks.small_conv_net import SmallConvNet
from whichloss.networks.unet import UNet
from whichloss.networks.view_net import ViewNet
from whichloss.study.passes import Passes
from whichloss.study.precision import Precision
from whichloss.study.study import Training
from whichloss.study.team import ALONE

NETWORKS: dict[str, tuple[Network, str, int, int]] = {  # of which task, pixels of a side, cases of a batch
    "ViewNet, 20 pixels": (ViewNet(), "detection", 20, 64),
    "ViewNet, 32 pixels": (ViewNet(), "detection", 32, 64),
    "LymphNet, 32 pixels": (LymphNet(), "detection", 32, 64),
    "SmallConvNet, 32 pixels": (SmallConvNet(normalize=False), "detection", 32, 64),
    "UNet of width 8, 64 pixels": (UNet(width=8, depth=4, normalize=False), "segmentation", 64, 16),
}


def step_of(network: nn.Module, images: torch.Tensor, easy: torch.Tensor, skip_easy: bool) -> Callable[[], None]:
    device, loss = images.device, Lorenz()
    training = Training.model_validate({"stages": [{"epochs": 1, "batch": len(images)}], "skip_easy": skip_easy})
    precision = Precision("float32", device)
    passes = Passes(training, network.train(), precision, ALONE, images)
    passes.skipping = skip_easy
    optimizer = torch.optim.SGD(network.parameters(), 1e-6, 0.9)

    def step() -> None:
        logits = passes.forward(images)
        there = easy.reshape(-1, *[1] * (logits.ndim - 1)).expand_as(logits)
        value = loss(torch.where(there, 100.0, logits), there.to(logits.dtype))
        optimizer.zero_grad()
        precision.backward(value)
        passes.backward(logits)
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return step


def seconds(step: Callable[[], None], device: torch.device) -> float:
    """On a CPU those of this process, whatever else the machine does."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    start = clock()
    step()
    return clock() - start


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--easy", type=float, nargs="+", default=[0.5, 0.7, 0.9])
    options.add_argument("--times", type=int, default=15)
    options.add_argument("--device", default="cpu")
    asked = options.parse_args()
    torch.set_num_threads(1)
    for name, (network, kind, side, batch) in NETWORKS.items():
        task = Task(kind=kind, classes=("no", "yes"), channels=3, size=(side, side))  # type: ignore[arg-type]
        torch.manual_seed(0)
        module = network.build(task, 1).to(asked.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = torch.rand(batch, 3, side, side, device=asked.device).contiguous(memory_format=torch.channels_last)
        for share in asked.easy:
            easy = torch.randperm(batch).to(asked.device) < round(share * batch)
            plain, skipping = (step_of(deepcopy(module), images, easy, skip) for skip in (False, True))
            plain()  # what is only done the first time
            skipping()
            pairs = [(seconds(plain, images.device), seconds(skipping, images.device)) for _ in range(asked.times)]
            ratios = [after / before for before, after in pairs]
            low, _, high = quantiles(ratios, n=4)
            print(
                f"{name:28} {float(easy.float().mean()):4.0%} easy: {1 - median(ratios):4.0%} of a step of"
                f" {1e3 * median(before for before, _ in pairs):.0f} ms saved"
                f" (middle half {1 - high:.0%} to {1 - low:.0%})",
                flush=True,
            )


if __name__ == "__main__":
    main()
