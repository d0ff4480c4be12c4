"""Layers: which weights learn at which rate."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from whichloss.core import UserError

from .optimizers.optimizer import Optimizer
from .study import Layer

_NAMED = 40  # parameters that an error message lists


def optimizer_of(plan: Optimizer, network: nn.Module, layers: Sequence[Layer] = ()) -> torch.optim.Optimizer:
    """Torch's optimizer of all weights. Raises UserError for a layer that would change nothing."""
    made = plan.build(groups(network, layers))
    if any(layer.weight_decay is not None for layer in layers) and "weight_decay" not in made.defaults:
        raise UserError(f"training.layers: {plan.label} knows no weight_decay; leave it out of every layer")
    return made


def groups(network: nn.Module, layers: Sequence[Layer] = ()) -> list[dict[str, Any]]:
    """Torch's groups of parameters: those of each layer, and the rest. `rate` is for `set_rate`."""
    left, found = dict(network.named_parameters()), []
    for layer in layers:
        names = [name for name in left if fnmatchcase(name, layer.match)]
        if not names:
            raise UserError(_no_match(layer, network))
        decay = {} if layer.weight_decay is None else {"weight_decay": layer.weight_decay}
        found.append({"params": [left.pop(name) for name in names], "rate": layer.rate} | decay)
    rest: list[dict[str, Any]] = [{"params": list(left.values()), "rate": 1.0}] if left or not layers else []
    return rest + found


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """This factor of the learning rate in every group, and the group's own."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group["rate"] * group.setdefault("initial_lr", group["lr"])


def _no_match(layer: Layer, network: nn.Module) -> str:
    names = [name for name, _ in network.named_parameters()]
    others = f" and {len(names) - _NAMED} others" if len(names) > _NAMED else ""
    if any(fnmatchcase(name, layer.match) for name in names):
        return f"training.layers: all that {layer.match!r} matches is taken by a layer above it; put it higher"
    return (
        f"training.layers: {layer.match!r} matches no parameter of the network; it has"
        f" {', '.join(names[:_NAMED])}{others}"
    )
