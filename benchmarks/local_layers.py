"""How long the locally connected layers of LymphNet take, forward and backward, and other ways to compute the same.

python -m benchmarks.local_layers
python -m benchmarks.local_layers --device cuda --batch 512

All ways take turns in one process, and the best of each counts: what else the machine does hits them alike. They are
checked against each other before. Then milliseconds of a step (forward, backward, SGD) of whole networks.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad, unfold

from whichloss.core import Task
from whichloss.networks import Network
from whichloss.networks.local import Local
from whichloss.networks.lymph_net import LymphNet
from whichloss.networks.view_net import ViewNet

LAYERS = {"local3": (64, 64, 8), "local4": (64, 32, 8), "local3, 24 pixels": (64, 64, 6)}  # channels, outputs, side
NETWORKS = {
    "LymphNet()": (LymphNet(), 32),
    "LymphNet(drop_connect=0)": (LymphNet(drop_connect=0), 32),
    "LymphNet(local_drop=True)": (LymphNet(local_drop=True), 32),
    "LymphNet(crop=24, lrn=True)": (LymphNet(crop=24, lrn=True), 32),
    "ViewNet()": (ViewNet(), 20),
}

Way = Callable[[Tensor], Tensor]


# ways: images (N, C, H, H) to (N, O, H, H), windows of 3, zeros outside


def as_here(layer: Local) -> Way:
    return layer


class Textbook(nn.Module):
    """unfold, and einsum over weights (O, K, P) in the order in which unfold gives its windows."""

    def __init__(self, layer: Local) -> None:
        super().__init__()
        positions, size, outputs = layer.weight.shape
        in_order = layer.weight.detach().unflatten(1, (9, size // 9)).permute(3, 2, 1, 0)
        self.weight = nn.Parameter(in_order.reshape(outputs, size, positions).contiguous())
        self.bias = nn.Parameter(layer.bias.detach()[:, 0].T.contiguous())

    def forward(self, images: Tensor) -> Tensor:
        summed = torch.einsum("nkp,okp->nop", unfold(images, 3, padding=1), self.weight) + self.bias
        return summed.unflatten(2, images.shape[2:])


def by_position(layer: Local) -> Way:
    """A matrix product for each position, one after another."""
    weight, bias = learned(layer.weight.detach().transpose(1, 2)), learned(layer.bias.detach()[:, 0])

    def compute(images: Tensor) -> Tensor:
        around, side = pad(images.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)), images.shape[2]
        each = [
            linear(around[:, row : row + 3, column : column + 3].flatten(1), weight[at], bias[at])
            for at, (row, column) in enumerate((row, column) for row in range(side) for column in range(side))
        ]
        return torch.stack(each, 2).unflatten(2, (side, side))

    return compute


def nine_products(layer: Local) -> Way:
    """A batched product for each place in the window; no windows are copied."""
    size = layer.weight.shape[1]
    weight = learned(layer.weight.detach().unflatten(1, (9, size // 9)).transpose(0, 1))
    bias = learned(layer.bias.detach())

    def compute(images: Tensor) -> Tensor:
        around, side = pad(images.permute(2, 3, 0, 1), (0, 0, 0, 0, 1, 1, 1, 1)), images.shape[2]
        total = bias
        for at in range(9):
            row, column = divmod(at, 3)
            total = torch.baddbmm(total, around[row : row + side, column : column + side].flatten(0, 1), weight[at])
        return total.unflatten(0, (side, side)).permute(2, 3, 0, 1)

    return compute


def learned(values: Tensor) -> Tensor:
    return values.contiguous().requires_grad_()


WAYS = {"as here": as_here, "textbook": Textbook, "position by position": by_position, "nine products": nine_products}


# timing


def layers(batch: int, device: torch.device, times: int) -> None:
    for name, (channels, outputs, side) in LAYERS.items():
        layer = Local(channels, outputs, (side, side), 3, padding=1).to(device)
        images = torch.randn(batch, channels, side, side, device=device)
        images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
        ways = {way: make(layer) for way, make in WAYS.items()}
        expected = layer(images)
        for compute in ways.values():
            torch.testing.assert_close(compute(images), expected, rtol=1e-3, atol=1e-3)
        upstream = torch.randn_like(expected)
        calls = {way: partial(both_ways, compute, images, upstream) for way, compute in ways.items()}
        best = seconds(calls, times, device)
        for way, value in best.items():
            ratio = value / best["as here"]
            print(f"{name:20} {way:24} {1e3 * value:8.2f} ms   {ratio:5.2f} times the time taken here")


def both_ways(compute: Way, images: Tensor, upstream: Tensor) -> None:
    images.grad = None
    compute(images).backward(upstream)


def networks(batch: int, device: torch.device, times: int) -> None:
    calls = {name: step_of(network, side, batch, device) for name, (network, side) in NETWORKS.items()}
    for name, value in seconds(calls, times, device).items():
        print(f"{name:45} {1e3 * value:8.1f} ms a step")


def step_of(network: Network, side: int, batch: int, device: torch.device) -> Callable[[], None]:
    task = Task(kind="detection", classes=("no", "yes"), channels=3, size=(side, side))
    module = network.build(task, 1).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(module.parameters(), 0.001, 0.9)
    images = torch.rand(batch, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
    target = (torch.rand(batch, 1, device=device) < 0.5).float()

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(module(images), target).backward()
        optimizer.step()

    return step


def seconds(calls: dict[str, Callable[[], None]], times: int, device: torch.device) -> dict[str, float]:
    """The best of several, by turns."""
    best = dict.fromkeys(calls, float("inf"))
    for turn in range(times + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if turn:  # the first is to warm up
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--times", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"batch {options.batch}, {options.device}, {options.threads} thread(s), torch {torch.__version__}")
    layers(options.batch, options.device, options.times)
    networks(options.batch, options.device, max(2, options.times // 3))


if __name__ == "__main__":
    main()
