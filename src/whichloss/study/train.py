"""Training of one run, from top to bottom."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite

import torch
from torch import Generator, Tensor

from whichloss.core.rows import finite
from whichloss.data import Cases
from whichloss.losses.wrap.deep_supervision import DeepSupervision
from whichloss.metrics import Metric

from .ahead import Ahead
from .attribution import attributions
from .augment import augment
from .best import judged, set_weights
from .checkpoint import Checkpoints
from .course import Course, Curve
from .layers import optimizer_of, set_rate
from .measures import watch, watched
from .mixup import Mixup
from .passes import Passes, finest
from .precision import Precision, memory_format
from .predict import Predictor
from .runs import Run, Split
from .scale import Scale
from .team import ALONE, Team


class Diverged(RuntimeError):
    """The loss is no longer a number. An outcome of the run, not a fault of the program."""


@dataclass
class Trained:
    """What a run leaves behind: answers on what it was fitted to, the inner and the test part, and how it got there.

    Answers are logits, (N, C, *S); in regression the quantity in the unit of the data, (N, 1). `fit`, `inner` and
    `test` are those of the last epoch; where no epoch was better on the inner split, those of the best are the same.
    Only where a case has one class, `fit` has any.
    """

    fit: Tensor
    inner: Tensor
    test: Tensor
    best_fit: Tensor
    best_inner: Tensor
    best_test: Tensor
    best_epoch: int  # counted from 1
    curve: Curve = field(default_factory=list)  # one entry an epoch
    seconds: float = 0.0  # since it began, or went on from a checkpoint
    attribution: Tensor = field(default_factory=lambda: torch.empty(0))  # of the epoch that counts; see `attributions`


def train(
    run: Run,
    cases: Cases,
    split: Split,
    device: torch.device,
    judge: Metric | None = None,
    checkpoints: Checkpoints | None = None,
    watcher: Callable[[Curve], None] | None = None,
    team: Team = ALONE,
    explained: Sequence[int] = (),
) -> Trained:
    """judge: the metric by which the best epoch is found on the inner split; what curves show, where none is given.

    Checkpoints are taken at ends of epochs, where the sampler has nothing left to give. `watcher` is then shown the
    curve so far. `team`: the processes that train this run together, of which each does all that stands here.
    explained: cases of which it is told what the answers rest on.
    """
    task, training = cases.task, run.training
    judge = judge or watch(task)
    start = time.perf_counter()

    # All losses of a fold and seed share initial weights and every later draw; the head is built last, so that
    # networks with different outputs share the rest.
    torch.manual_seed(run.stream("weights"))
    network = run.network.under(run.loss, task)
    memory = memory_format(training.memory_format, task.dims)
    network = network.to(device, memory_format=memory)  # type: ignore[call-overload]
    optimizer = optimizer_of(training.optimizer, network, training.layers)
    precision = Precision(training.precision, device)

    images = cases.images_at(split.fit).to(device).contiguous(memory_format=memory)
    scale = Scale.of(cases.labels_at(split.fit), task)  # in regression; other labels stay as they are
    labels = scale.learned(cases.labels_at(split.fit)).to(device)
    ignoring = task.kind == "segmentation" and int(labels.min()) < 0
    ahead = Ahead(run.loss, task, labels)  # distances to the truth and the like, for losses that ask for them
    predict = Predictor(network, run.loss, precision, memory, training.patches, task, images, labels)
    watch_images, watch_labels = cases.images_at(split.inner), cases.truth(split.inner)
    passes = Passes(training, network, precision, team, images, several=isinstance(run.loss, DeepSupervision))

    torch.manual_seed(run.stream("noise"))  # dropout and the like
    chance = {name: stream(run, name) for name in ("order", "patches", "augment")}
    mixup = Mixup(training.mixup, run.loss, task, stream(run, "mixup"))
    if training.mixup is not None:
        chance["mixup"] = mixup.random
    course = Course(network, optimizer, precision.scaler, chance, device)
    if checkpoints is not None:
        checkpoints.resume(course)
    team.agree(len(course.curve), device)

    sharing = torch.randperm(len(images), generator=stream(run, "share"))  # a small share is part of a large one
    stages = [stage for stage in training.plan for _ in range(stage.epochs)]  # one for each epoch
    parts = [sharing[: max(1, round(stage.share * len(images)))].sort().values for stage in stages]
    steps = sum(-(-len(part) // stage.batch) for part, stage in zip(parts, stages, strict=True))
    for epoch in range(len(course.curve), len(stages)):
        stage, part = stages[epoch], parts[epoch]
        network.train()
        passes.begin(course.curve)
        total, idle = torch.zeros(2, device=device)
        for batch in part[torch.randperm(len(part), generator=chance["order"])].to(device).split(stage.batch):
            set_rate(optimizer, stage.rate * training.schedule.factor(course.step / steps))
            shown, truth, beside = images[batch], labels[batch], ahead[batch]
            if training.patches is not None:
                shown, truth = training.patches.sample(shown, truth, chance["patches"], beside)
            shown, truth = augment(shown, truth, training.augment, chance["augment"], beside=beside)
            shown = mixup.images(shown)
            with precision.context():
                outputs = passes.forward(shown)
                logits = finest(outputs)
                weight = mixup.weight((truth >= 0).float()) if ignoring else None
                loss = mixup.loss(outputs, mixup.target(truth, logits), weight, **beside.told)
            optimizer.zero_grad(set_to_none=True)
            precision.backward(loss)
            passes.backward(logits)
            precision.step(optimizer, training.clip)
            total += loss.detach() * len(batch)
            idle += no_gradient(logits)
            course.step += 1
        mean_loss = float(total) / len(part)  # once an epoch: asking more often would wait for the device
        if not isfinite(mean_loss):
            raise Diverged(f"the loss is {mean_loss} in epoch {epoch + 1}")
        inner = scale.measured(predict(watch_images, stage.batch))
        noted = {"loss": mean_loss, "inner": watched(inner, watch_labels, task), "idle": float(idle) / len(part)}
        course.curve.append(noted | passes.noted())
        course.best = course.best.or_now(epoch + 1, judged(inner, watch_labels, task, judge), judge, network)
        if watcher is not None:
            watcher(course.curve)
        if checkpoints is not None:
            checkpoints.offer(course)

    def answers() -> tuple[Tensor, Tensor, Tensor]:
        batch, fitted = stages[-1].batch, images if task.by_image else images[:0]
        return predict(fitted, batch), predict(watch_images, batch), predict(cases.images_at(split.fold.test), batch)

    def reasons() -> Tensor:
        some = list(explained)
        if not some or run.attribution is None:
            return torch.empty(0)
        return attributions(run.attribution, predict, cases.images_at(some), cases.truth(some), stages[-1].batch)

    last, why, best, best_epoch = answers(), reasons(), None, course.best.epoch or len(stages)
    if best_epoch < len(stages):
        set_weights(network, course.best.weights)
        best, why = answers(), reasons() if run.best_by else why
    counted = (*last, *(best or ())) if run.best_by else last
    if not all(map(finite, counted)):
        raise Diverged("the trained network gives outputs that are not numbers")
    fit, inner, test, best_fit, best_inner, best_test = map(scale.measured, (*last, *(best or last)))
    seconds = time.perf_counter() - start
    return Trained(fit, inner, test, best_fit, best_inner, best_test, best_epoch, course.curve, seconds, why)


def no_gradient(logits: Tensor) -> Tensor:
    """How many cases of a batch taught nothing: the loss was flat at all their outputs."""
    assert logits.grad is not None
    return (logits.grad.flatten(1) == 0).all(1).sum()


def stream(run: Run, name: str) -> Generator:
    """The generator of one source of chance; it is on the CPU, so that devices draw alike."""
    return Generator().manual_seed(run.stream(name))
