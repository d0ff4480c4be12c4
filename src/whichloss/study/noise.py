"""Noise: what a network draws by chance, drawn for a whole batch whichever of its cases are shown."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from whichloss.networks.drop_connect import DropConnect
from whichloss.networks.lymph_net import Shown

from .patches import memory_format

Rows = slice | Tensor  # of a batch

_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class Noise:
    """The chance in the layers of a network, from now on: a case gets the same masks alone, among others, and again.

    Torch's dropout and our DropConnect draw as many masks as the whole batch needs, in the same order as ever, and each
    case that is shown gets its own. A layer that crops or centres images at random is asked about the whole batch once,
    and repeats what it said. `mixing` finds the layers that none of this helps.
    """

    def __init__(self, network: nn.Module) -> None:
        self._count, self._rows, self._shown = 0, torch.empty(0), 0
        self._kept: dict[tuple[nn.Module, int], Any] = {}  # by layer, and how often it was asked before
        self._asked: Counter[nn.Module] = Counter()
        for layer in network.modules():
            if type(layer) in _DROPOUT:
                layer.forward = partial(self._dropout, layer, layer.forward)
            elif isinstance(layer, DropConnect):
                layer.mask = partial(self._connections, layer, layer.mask)
            elif isinstance(layer, Shown) and (layer.crop is not None or layer.subtract_mean):
                layer.forward = partial(self._prepared, layer, layer.forward)

    def draw(self, count: int, rows: Rows) -> None:
        """What is shown next are these rows of a new batch of `count` cases."""
        self._kept.clear()
        self._count = count
        self.repeat(rows)

    def repeat(self, rows: Rows) -> None:
        """What is shown next are these rows of the same batch; nothing is drawn."""
        self._asked.clear()
        self._rows = torch.arange(self._count)[rows.cpu() if isinstance(rows, Tensor) else rows]

    def _keep(self, layer: nn.Module, time: int, draw: Callable[[], Any]) -> Any:
        if (layer, time) not in self._kept:
            self._kept[layer, time] = draw()
        return self._kept[layer, time]

    def _time(self, layer: nn.Module) -> int:
        """How often a layer has been asked about what is shown."""
        self._asked[layer] += 1
        return self._asked[layer] - 1

    def _of_shown(self, whole: Tensor) -> Tensor:
        return whole if len(self._rows) == len(whole) else whole[self._rows.to(whole.device)]

    def _dropout(self, layer: nn.Module, drop: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
        if not layer.training or len(features) != len(self._rows):  # whatever it counts, they are no cases
            return drop(features)

        def mask() -> Tensor:
            ones = features.new_ones((self._count, *features.shape[1:]))
            return drop(ones.contiguous(memory_format=memory_format(features)))  # the order in memory decides

        return features * self._of_shown(self._keep(layer, self._time(layer), mask))

    def _connections(self, layer: DropConnect, draw: Callable[[], Tensor]) -> Tensor:
        if layer.masks == "batch":
            return self._keep(layer, self._time(layer), draw)
        time, at = divmod(self._time(layer), len(self._rows))
        each = self._keep(layer, time, lambda: [draw() for _ in range(self._count)])
        return each[int(self._rows[at])]

    def _prepared(self, layer: nn.Module, prepare: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        if not layer.training:
            return prepare(images)
        return self._of_shown(self._keep(layer, self._time(layer), lambda: prepare(images)))


@torch.no_grad()
def mixing(network: nn.Module, images: Tensor, *, again: bool, synced: bool = False) -> str:
    """The first layer, by name and class, whose answer to a case depends on which others are shown; "" for none.

    Tried on copies, beside each other: in training, all images, and half of them under `Noise`; `again`: after all had
    been shown once. What a layer keeps, such as running statistics, must come out the same, too. `synced`: batch
    normalisation is no hindrance. Seeds torch's global generators.
    """
    rows = torch.arange(0, len(images), 2, device=images.device)
    whole, part = deepcopy(network).train(), deepcopy(network).train()
    for layer in (*whole.modules(), *part.modules()):
        if synced and isinstance(layer, _BatchNorm):
            layer.eval()
    torch.manual_seed(0)
    expected = _passed(whole, images)
    torch.manual_seed(0)
    noise = Noise(part)
    noise.draw(len(images), slice(None) if again else rows)
    if again:
        part(images)
        noise.repeat(rows)
    found = _passed(part, images[rows])
    for (name, seen, said), (_, seen_apart, said_apart) in zip(expected, found, strict=False):
        if _agree(seen, seen_apart, rows) and not _agree(said, said_apart, rows):
            return _named(network, name)
    for (name, one), other in zip(whole.named_buffers(), part.buffers(), strict=True):
        if not _close(one, other):
            return _named(network, name.rpartition(".")[0])
    return ""


Passed = list[tuple[str, list[Tensor], list[Tensor]]]  # name of a layer, what it saw, what it said; innermost first


def _passed(network: nn.Module, images: Tensor) -> Passed:
    passed: Passed = []

    def tensors(given: Any) -> list[Tensor]:
        several = given if isinstance(given, tuple | list) else (given,)
        return [one.clone() for one in several if isinstance(one, Tensor) and one.ndim]

    def note(name: str, seen: Any, said: Any) -> None:
        passed.append((name, tensors(seen), tensors(said)))

    for name, layer in network.named_modules():
        layer.register_forward_hook(lambda _, seen, said, name=name: note(name, seen, said))
    network(images)
    return passed


def _agree(whole: list[Tensor], part: list[Tensor], rows: Tensor) -> bool:
    return all(
        len(other) != len(rows) or len(one) <= int(rows[-1]) or _close(one[rows], other)
        for one, other in zip(whole, part, strict=False)
    )


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    one, other = one.double(), other.double()
    largest = float(one.nan_to_num().abs().max()) if one.numel() else 0.0
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4 * largest, equal_nan=True)


def _named(network: nn.Module, name: str) -> str:
    layer = type(network.get_submodule(name)).__name__
    return f"layer {name} ({layer})" if name else layer
