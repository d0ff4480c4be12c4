"""Course: how far a training has come."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from .best import Best, set_weights, weights_of

Curve = list[dict[str, float]]  # one entry an epoch, each with the same names


@dataclass(eq=False)
class Course:
    """All that the next epoch of a training depends on. `state` at the end of an epoch and `restore` lose no bit.

    What a network keeps outside its weights and buffers, and chance that is not torch's, is no part of it.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    random: dict[str, Generator]  # one for each stream; torch's own generators belong to it as well
    device: torch.device
    step: int = 0  # where the schedule stands
    curve: Curve = field(default_factory=list)
    best: Best = field(default_factory=Best)

    def state(self) -> dict[str, Any]:
        """Plain values and tensors, not copied."""
        return {
            "weights": weights_of(self.network),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": {name: one.get_state() for name, one in self.random.items()},
            "noise": torch.get_rng_state(),
            "device_noise": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "step": self.step,
            "curve": self.curve,
            "best": {"epoch": self.best.epoch, "value": self.best.value, "weights": self.best.weights},
        }

    def fits(self, state: dict[str, Any]) -> bool:
        """Whether a state is that of such a network and optimizer: somebody else's code may build another one now."""
        mine, saved = self.optimizer.state_dict()["param_groups"], state["optimizer"]["param_groups"]
        return _forms(weights_of(self.network)) == _forms(state["weights"]) and (
            [group["params"] for group in mine] == [group["params"] for group in saved]
        )

    def restore(self, state: dict[str, Any]) -> None:
        set_weights(self.network, state["weights"])
        self.optimizer.load_state_dict(self._laid_out(state["optimizer"]))
        self.scaler.load_state_dict(state["scaler"])
        for name, one in self.random.items():
            one.set_state(state["random"][name])
        torch.set_rng_state(state["noise"])
        if state["device_noise"] is not None:
            torch.cuda.set_rng_state(state["device_noise"], self.device)
        self.step, self.curve, self.best = state["step"], state["curve"], Best(**state["best"])

    def _laid_out(self, saved: dict[str, Any]) -> dict[str, Any]:
        """An optimizer's state, its tensors in the memory order of their weights again: it decides the last bits."""
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]

        def laid(one: Any, weight: Tensor) -> Any:
            if not isinstance(one, Tensor) or one.shape != weight.shape:
                return one
            return torch.empty_like(weight, dtype=one.dtype, device=one.device, requires_grad=False).copy_(one)

        state = {
            at: {name: laid(one, weights[at]) for name, one in entry.items()} for at, entry in saved["state"].items()
        }
        return saved | {"state": state}


def _forms(weights: dict[str, Tensor]) -> dict[str, tuple[Any, ...]]:
    return {name: (one.dtype, *one.shape) for name, one in weights.items()}
