"""ViewNet: the small network for views on a CPU."""

import pytest
import torch

from whichloss.core import Task
from whichloss.networks.view_net import ViewNet


def test_weights_are_counted() -> None:
    """5x5x3 -> 16, 5x5x16 -> 24, 24 maps of 5x5 -> 96, 96 -> 1; each with a bias."""
    view = Task(kind="detection", classes=("no", "yes"), channels=3, size=(20, 20))
    expected = (75 + 1) * 16 + (400 + 1) * 24 + (600 + 1) * 96 + 97
    assert sum(one.numel() for one in ViewNet().build(view, 1).parameters()) == expected == 68_633


@pytest.mark.parametrize("size", [(1, 1), (20, 20), (17, 30), (1, 8, 8)])
@pytest.mark.parametrize("channels", [1, 5])
def test_any_channels_and_size(size: tuple[int, ...], channels: int) -> None:
    task = Task(kind="detection", classes=("no", "yes"), channels=channels, size=size)
    assert ViewNet(width=3, deeper=4, units=5).build(task, 2)(torch.zeros(2, channels, *size)).shape == (2, 2)


def test_dropout_is_for_training_only() -> None:
    task = Task(kind="detection", classes=("no", "yes"), channels=1, size=(8, 8))
    torch.manual_seed(0)
    module, images = ViewNet(dropout=0.5).build(task, 1), torch.rand(4, 1, 8, 8)
    assert not torch.equal(module(images), module(images))
    module.eval()
    assert torch.equal(module(images), module(images))
