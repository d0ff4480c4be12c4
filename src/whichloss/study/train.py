"""Training of one run, from top to bottom."""

import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from whichloss.core import Loss
from whichloss.data import Cases

from .measures import watched
from .runs import Run, Split
from .scale import Scale


class Diverged(RuntimeError):
    """The loss is no longer a number. An outcome of the run, not a fault of the program."""


@dataclass
class Trained:
    """What a run leaves behind: answers on the inner and the test part, and how it got there.

    Answers are logits, (N, C, *S); in regression the quantity in the unit of the data, (N, 1).
    """

    inner: Tensor
    test: Tensor
    curve: list[dict[str, float]] = field(default_factory=list)  # one entry an epoch
    seconds: float = 0.0


def train(run: Run, cases: Cases, split: Split, device: torch.device) -> Trained:
    task, training = cases.task, run.training
    start = time.perf_counter()

    # All losses of a fold and seed share initial weights and every later draw; the head is built last, so that
    # networks with different outputs share the rest.
    torch.manual_seed(run.stream("weights"))
    network = run.network.build(task, run.loss.outputs(task))
    memory = memory_format(training.memory_format, task.dims)
    network = network.to(device, memory_format=memory)  # type: ignore[call-overload]
    optimizer = training.optimizer.build(network.parameters())
    precision = Precision(training.precision, device)

    images = cases.images[list(split.fit)].to(device).contiguous(memory_format=memory)
    scale = Scale.of(cases.labels[list(split.fit)], task)  # in regression; other labels stay as they are
    labels = scale.learned(cases.labels[list(split.fit)]).to(device)
    ignoring = task.kind == "segmentation" and bool((labels < 0).any())
    watch_images, watch_labels = cases.images[list(split.inner)], cases.labels[list(split.inner)]

    torch.manual_seed(run.stream("noise"))  # dropout and the like
    order = torch.Generator().manual_seed(run.stream("order"))
    steps = [-(-len(images) // stage.batch) * stage.epochs for stage in training.stages]
    step, curve = 0, []
    for stage in training.stages:
        for _ in range(stage.epochs):
            network.train()
            total = torch.zeros((), device=device)
            for batch in torch.randperm(len(images), generator=order).to(device).split(stage.batch):
                set_rate(optimizer, stage.rate * training.schedule.factor(step / sum(steps)))
                with precision.context():
                    logits = network(images[batch])
                    weight = (labels[batch] >= 0).float() if ignoring else None
                    loss = run.loss(logits, task.target(labels[batch], logits), weight)
                optimizer.zero_grad(set_to_none=True)
                precision.backward(loss)
                precision.step(optimizer)
                total += loss.detach() * len(batch)
                step += 1
            mean_loss = float(total) / len(images)  # once an epoch: asking more often would wait for the device
            if not isfinite(mean_loss):
                raise Diverged(f"the loss is {mean_loss} in epoch {len(curve) + 1}")
            inner = predict(network, run.loss, watch_images, precision, device, memory, stage.batch)
            curve.append({"loss": mean_loss, "inner": watched(scale.measured(inner), watch_labels, task)})

    batch = training.stages[-1].batch
    inner = predict(network, run.loss, watch_images, precision, device, memory, batch)
    test = predict(network, run.loss, cases.images[list(split.fold.test)], precision, device, memory, batch)
    if not (inner.isfinite().all() and test.isfinite().all()):
        raise Diverged("the trained network gives outputs that are not numbers")
    return Trained(scale.measured(inner), scale.measured(test), curve, time.perf_counter() - start)


@torch.no_grad()
def predict(
    network: nn.Module,
    loss: Loss,
    images: Tensor,
    precision: "Precision",
    device: torch.device,
    memory: Any,
    batch: int,
) -> Tensor:
    """Scores (N, C, *S) in float32, on the CPU: one for a yes/no question or a quantity, else one for each class."""
    network.eval()
    logits = []
    for part in images.split(batch):
        with precision.context():
            outputs = network(part.to(device).contiguous(memory_format=memory))
        logits.append(loss.class_scores(outputs.float()).cpu())
    return torch.cat(logits)


class Precision:
    """Arithmetic of a training: float32, or mixed with a shorter type, then with scaled gradients for float16."""

    def __init__(self, name: str, device: torch.device) -> None:
        self.device, self.dtype = device, getattr(torch, name)
        self.mixed = name != "float32"
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "float16")

    def context(self) -> Any:
        return torch.autocast(self.device.type, self.dtype) if self.mixed else nullcontext()

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        self.scaler.step(optimizer)
        self.scaler.update()


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = factor * group.setdefault("initial_lr", group["lr"])


def memory_format(name: str, dims: int) -> torch.memory_format:
    """Auto: channels last for 2-D images (a U-Net's step takes a fifth less on a CPU), contiguous for volumes."""
    if name == "auto":
        name = "channels_last" if dims == 2 else "contiguous"
    if name == "channels_last":
        return torch.channels_last if dims == 2 else torch.channels_last_3d
    return torch.contiguous_format
