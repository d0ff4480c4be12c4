"""Networks pool before their ReLU, which costs less; the other order must give the same bits, forward and backward."""

import pytest
import torch
from benchmarks.throughput import in_the_usual_order
from torch import Tensor

from whichloss.core import Task
from whichloss.networks import Network
from whichloss.networks.lymph_net import LymphNet
from whichloss.networks.small_conv_net import SmallConvNet
from whichloss.networks.view_net import ViewNet


@pytest.mark.parametrize("network", [LymphNet(units=8), ViewNet(), SmallConvNet(), SmallConvNet(normalize=False)])
@pytest.mark.parametrize("size", [(14, 14), (15, 13)])
def test_both_orders_give_the_same_bits(network: Network, size: tuple[int, ...]) -> None:
    task = Task(kind="classification", classes=("no", "yes"), channels=1, size=size)
    images = torch.rand(6, 1, *size, generator=torch.Generator().manual_seed(0)).round(decimals=1)  # with ties

    def answer(turned: bool) -> list[Tensor]:
        torch.manual_seed(1)
        module = network.build(task, 1)
        assert not turned or in_the_usual_order(module) >= 2
        torch.manual_seed(2)
        logits = module(images)
        logits.square().sum().backward()
        return [logits, *(weight.grad for weight in module.parameters() if weight.grad is not None)]

    for one, other in zip(answer(False), answer(True), strict=True):
        assert torch.equal(one, other)
