"""One run: the same again, the same start for every loss, the rates that were asked for, and honest outcomes."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from math import cos, inf, isnan, nan, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from small_studies import TINY, Answer, cli, execute_here, tiny_study, write_code, write_study, write_tiny
from whichloss.core import Task, UserError
from whichloss.data import Cases
from whichloss.metrics import Metric
from whichloss.metrics.classification.roc_auc import RocAuc
from whichloss.metrics.regression.mean_absolute_error import MeanAbsoluteError
from whichloss.networks.small_conv_net import SmallConvNet
from whichloss.networks.unet import UNet
from whichloss.study import machine
from whichloss.study.best import Best, judged
from whichloss.study.conduct import prepare
from whichloss.study.layers import optimizer_of
from whichloss.study.optimizers.optimizer import Groups, Optimizer
from whichloss.study.optimizers.sgd import SGD
from whichloss.study.runs import Run, Split
from whichloss.study.study import Layer, Training
from whichloss.study.train import Trained, train
from whichloss.study.worker import compute

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads only wait for each other here."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass
class Ready:
    """The runs of a study, in its own order, with their cases."""

    runs: list[Run]
    cases: Cases
    metrics: tuple[Metric, ...]

    def train(self, at: int = 0, cases: Cases | None = None) -> Trained:
        run = self.runs[at]
        return train(run, cases or self.cases, run.split(self.cases), CPU)

    def split(self, at: int = 0) -> Split:
        return self.runs[at].split(self.cases)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny(tmp_path)
    return tmp_path


def ready(folder: Path, **changes: Any) -> Ready:
    study = tiny_study(**changes)
    prepared = prepare(study, folder / "store", [folder])
    return Ready(prepared.runs, prepared.data[study.data[0]], study.metrics)


def training(**changes: Any) -> dict[str, Any]:
    return TINY["training"] | changes


# a spy in the network


@dataclass
class Seen:
    """What one training began with, and was shown."""

    weights: dict[str, Tensor]
    batches: list[Tensor] = field(default_factory=list)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    every: list[Seen] = []
    build = SmallConvNet.build

    def spied(self: SmallConvNet, task: Task, outputs: int) -> Any:
        network = build(self, task, outputs)
        one = Seen({name: value.clone() for name, value in network.state_dict().items()})
        every.append(one)

        def look(module: Any, images: tuple[Tensor]) -> None:
            if module.training:
                one.batches.append(images[0].clone())

        network.register_forward_pre_hook(look)
        return network

    monkeypatch.setattr(SmallConvNet, "build", spied)
    return every


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """Every network, as it is by the time it is looked at."""
    every: list[nn.Module] = []
    build = SmallConvNet.build

    def spied(self: SmallConvNet, task: Task, outputs: int) -> nn.Module:
        every.append(build(self, task, outputs))
        return every[-1]

    monkeypatch.setattr(SmallConvNet, "build", spied)
    return every


def spy_on_steps(monkeypatch: pytest.MonkeyPatch, look: Callable[[torch.optim.Optimizer], float]) -> list[float]:
    """What is seen of the optimizer before each of its steps."""
    noted: list[float] = []
    build = SGD.build

    def spied(self: SGD, groups: Groups) -> torch.optim.Optimizer:
        optimizer = build(self, groups)
        optimizer.register_step_pre_hook(lambda one, *_: noted.append(look(one)))
        return optimizer

    monkeypatch.setattr(SGD, "build", spied)
    return noted


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return spy_on_steps(monkeypatch, lambda one: one.param_groups[0]["lr"])


@pytest.fixture
def norms(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Of the gradient over all weights."""

    def norm(one: torch.optim.Optimizer) -> float:
        gradients = [weight.grad for group in one.param_groups for weight in group["params"]]
        return float(torch.cat([gradient.flatten() for gradient in gradients]).norm())

    return spy_on_steps(monkeypatch, norm)


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# the same again


def test_a_run_comes_out_the_same_to_the_last_bit(folder: Path) -> None:
    of = ready(folder, training=training(stages=[{"epochs": 3, "batch": 4}]))
    first = of.train()
    torch.rand(7)  # whatever happened in between
    again = of.train()
    assert torch.equal(first.test, again.test) and torch.equal(first.inner, again.inner)
    assert first.curve == again.curve
    assert first.test.shape == (len(of.split().fold.test), 1) and first.test.dtype == torch.float32


def test_dropout_comes_out_the_same_too(folder: Path) -> None:
    masks = {
        "data": 'Arrays("tiny.npz", target="masks", group="patients")',
        "losses": ["Dice()"],
        "baseline": "Dice()",
        "primary": "Jaccard()",
    }
    of = ready(folder, network="UNet(width=2, depth=2, dropout=0.5)", **masks)
    assert torch.equal(of.train().test, of.train().test)
    assert not torch.equal(
        of.train().test, ready(folder, network="UNet(width=2, depth=2, dropout=0.4)", **masks).train().test
    )


def test_a_plain_loop_gives_the_same_network(folder: Path) -> None:
    """The whole of training again in plain PyTorch: two stages, a cosine, Adam, binary cross-entropy."""
    of = ready(
        folder,
        losses=["Logistic()"],
        training=training(
            stages=[{"epochs": 2, "batch": 4}, {"epochs": 1, "batch": 3, "rate": 0.5}],
            schedule="cosine",
            optimizer="Adam(lr=0.02, weight_decay=0.01)",
        ),
    )
    run, split, cases = of.runs[0], of.split(), of.cases
    images, labels = cases.images[list(split.fit)], cases.labels[list(split.fit)]
    torch.manual_seed(run.stream("weights"))
    network = run.network.build(cases.task, 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02, weight_decay=0.01)
    order = torch.Generator().manual_seed(run.stream("order"))
    plan = [(4, 1.0), (4, 1.0), (3, 0.5)]
    total, step = sum(-(-len(images) // batch) for batch, _ in plan), 0
    for batch, rate in plan:
        for chosen in torch.randperm(len(images), generator=order).split(batch):
            optimizer.param_groups[0]["lr"] = 0.02 * rate * 0.5 * (1 + cos(pi * step / total))
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(network(images[chosen])[:, 0], labels[chosen].float())
            loss.backward()
            optimizer.step()
            step += 1
    network.eval()
    with torch.no_grad():
        expected = network(cases.images[list(split.fold.test)])
    torch.testing.assert_close(of.train().test, expected, rtol=1e-4, atol=1e-5)


# what all losses share


def test_all_losses_of_a_fold_and_seed_start_alike_and_see_the_same(folder: Path, seen: list[Seen]) -> None:
    of = ready(folder, losses=["Logistic()", "Lorenz()", "Dice(smooth=0.5)"], design=TINY["design"] | {"seeds": 2})
    groups: dict[tuple[int, int], list[Seen]] = {}
    for at, run in enumerate(of.runs):
        of.train(at)
        groups.setdefault((run.seed, run.fold), []).append(seen[at])
    assert len(groups) == 4 and all(len(group) == 3 for group in groups.values())
    for first, *others in groups.values():
        for other in others:
            assert first.weights.keys() == other.weights.keys()
            assert all(torch.equal(first.weights[name], other.weights[name]) for name in first.weights)
            assert same(first.batches, other.batches)
    for one, other in combinations([group[0] for group in groups.values()], 2):  # another seed, another fold
        assert not torch.equal(one.weights["head.weight"], other.weights["head.weight"])
        assert not same(one.batches, other.batches)


def test_losses_with_other_outputs_share_all_but_the_head(folder: Path, seen: list[Seen]) -> None:
    write_tiny(folder, cases=32, classes=4)
    losses = ["Logistic()", "Logistic(lift='one_versus_one')", "CrossEntropy()"]
    of = ready(folder, losses=losses, primary="Accuracy()")
    outputs = [of.train(at).test.shape[1] for at in range(3)]
    assert outputs == [4, 4, 4], "pairs of classes become a score for each class"
    rest, pairs, cross = seen
    assert rest.weights["head.weight"].shape == (4, 4) and pairs.weights["head.weight"].shape == (6, 4)
    for name, value in rest.weights.items():
        assert torch.equal(value, cross.weights[name])
        assert name.startswith("head.") or torch.equal(value, pairs.weights[name])
    assert same(rest.batches, pairs.batches)


def test_losses_with_other_outputs_share_the_noise_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout has a stream of its own: how many weights were drawn before must not move it."""
    write_tiny(folder, masks=np.arange(24 * 64).reshape(24, 8, 8) % 4)
    dropped: list[list[Tensor]] = []
    build = UNet.build

    def spied(self: UNet, task: Task, outputs: int) -> Any:
        network = build(self, task, outputs)
        dropped.append([])
        network.drop.register_forward_hook(lambda module, given, out: dropped[-1].append(out.detach().clone()))
        return network

    monkeypatch.setattr(UNet, "build", spied)
    of = ready(
        folder,
        data='Arrays("tiny.npz", target="masks", group="patients")',
        network="UNet(width=2, depth=2, dropout=0.5)",
        losses=["Logistic()", "Logistic(lift='one_versus_one')"],
        primary="Jaccard()",
    )
    for at in range(2):
        of.train(at)
    one, other = dropped
    assert (one[0] == 0).float().mean() > 0.3
    assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])  # both levels of the first step


def test_every_case_is_seen_once_an_epoch_in_batches_of_the_stage(folder: Path, seen: list[Seen]) -> None:
    of = ready(folder, training=training(stages=[{"epochs": 2, "batch": 4}, {"epochs": 1, "batch": 100}]))
    of.train()
    fit = of.cases.images[list(of.split().fit)]
    epoch = -(-len(fit) // 4)
    shown = seen[0].batches
    assert [len(batch) for batch in shown[: epoch - 1]] == [4] * (epoch - 1)
    epochs = [torch.cat(shown[:epoch]), torch.cat(shown[epoch : 2 * epoch]), torch.cat(shown[2 * epoch :])]
    assert len(shown) == 2 * epoch + 1
    for one in epochs:
        assert torch.equal(one.flatten(1).sum(1).sort().values, fit.flatten(1).sum(1).sort().values)
    assert not torch.equal(epochs[0], epochs[1]), "every epoch is shuffled anew"


def test_streams_of_chance_are_independent(folder: Path, seen: list[Seen]) -> None:
    names = ("folds", "inner", "weights", "order", "noise")
    of = ready(folder, design={"folds": 3, "seeds": 3})
    streams = [(name, run.stream(name)) for run in of.runs[::2] for name in names if name != "folds" or run.fold == 0]
    assert len(set(streams)) == len({value for _, value in streams}) == len(streams) == 3 * (1 + 3 * 4)
    other = ready(folder, losses=["Hinge()", "Logistic()"], training=training(stages=[{"epochs": 2, "batch": 3}]))
    assert [of.runs[0].stream(name) for name in names] == [other.runs[0].stream(name) for name in names]
    # more weights to draw, but the same order of the same cases
    ready(folder).train()
    ready(folder, network="SmallConvNet(width=3, depth=2, features=5)").train()
    assert same(seen[0].batches, seen[1].batches)


def test_folds_that_are_not_drawn_anew_stay_the_same_for_every_seed(folder: Path) -> None:
    def tested(**design: Any) -> dict[tuple[int, int], tuple[int, ...]]:
        of = ready(folder, design={"folds": 3, "seeds": 2, **design})
        return {(run.seed, run.fold): run.split(of.cases).fold.test for run in of.runs}

    fixed, drawn = tested(refold=False), tested(refold=True)
    assert [fixed[0, fold] for fold in range(3)] == [fixed[1, fold] for fold in range(3)]
    assert [drawn[0, fold] for fold in range(3)] != [drawn[1, fold] for fold in range(3)]
    for tests in (fixed, drawn):
        for seed in range(2):
            assert sorted(case for fold in range(3) for case in tests[seed, fold]) == list(range(24))


# who is trained on


def test_patients_are_on_one_side_only(folder: Path) -> None:
    of = ready(folder, design={"folds": 4, "seeds": 3, "inner": 0.3})
    groups = of.cases.groups
    assert len(set(groups)) == 12
    for run in of.runs:
        split = run.split(of.cases)
        parts = [{groups[at] for at in part} for part in (split.fit, split.inner, split.fold.test)]
        assert all(parts) and all(not one & other for one, other in combinations(parts, 2))
        assert sorted((*split.fit, *split.inner)) == list(split.fold.train)
        assert sorted((*split.fold.train, *split.fold.test)) == list(range(24))
        assert (split.n_train, split.n_test) == (9, 3)


def scrambled(cases: Cases, at: tuple[int, ...], images: bool) -> Cases:
    """The same cases, with other images or labels at these places."""
    facts = {name: getattr(cases, name) for name in ("ids", "task", "groups")}
    tensors = {"images": cases.images.clone(), "labels": cases.labels.clone()}
    if images:
        tensors["images"][list(at)] = torch.rand(len(at), *cases.images.shape[1:])
    else:
        tensors["labels"][list(at)] = 1 - tensors["labels"][list(at)]
    return Cases(**facts, **tensors)


def test_the_test_part_is_not_looked_at_before_the_end(folder: Path) -> None:
    of = ready(folder, training=training(stages=[{"epochs": 3, "batch": 4}]))
    split, plain = of.split(), of.train()
    other_labels = of.train(cases=scrambled(of.cases, split.fold.test, images=False))
    assert torch.equal(plain.test, other_labels.test) and plain.curve == other_labels.curve
    other_images = of.train(cases=scrambled(of.cases, split.fold.test, images=True))
    assert torch.equal(plain.inner, other_images.inner) and plain.curve == other_images.curve
    assert not torch.equal(plain.test, other_images.test)


def test_the_inner_part_is_watched_and_not_learned_from(folder: Path) -> None:
    of = ready(folder, training=training(stages=[{"epochs": 3, "batch": 4}]))
    plain, other = of.train(), of.train(cases=scrambled(of.cases, of.split().inner, images=False))
    assert torch.equal(plain.test, other.test)
    assert [epoch["loss"] for epoch in plain.curve] == [epoch["loss"] for epoch in other.curve]
    for one, turned in zip(plain.curve, other.curve, strict=True):
        assert turned["inner"] == pytest.approx(1 - one["inner"]), "the area under the curve of turned labels"


# learning rates


def test_learning_rates_are_those_that_were_asked_for(folder: Path, rates: list[float]) -> None:
    stages = [{"epochs": 2, "batch": 3}, {"epochs": 2, "batch": 100, "rate": 0.1}]
    of = ready(folder, training=training(optimizer="SGD(lr=0.5)", stages=stages))
    epoch = -(-len(of.split().fit) // 3)
    of.train()
    assert rates == pytest.approx([0.5] * (2 * epoch) + [0.05] * 2)
    rates.clear()
    of = ready(folder, training=training(optimizer="SGD(lr=0.5)", stages=stages, schedule="cosine"))
    of.train()
    steps = 2 * epoch + 2
    assert len(rates) == steps and steps % 4 == 0
    assert rates[0] == 0.5
    assert rates[steps // 4] == pytest.approx(0.5 * (2 + 2**0.5) / 4)
    assert rates[steps // 2] == pytest.approx(0.25)
    assert rates[-1] == pytest.approx(0.5 * 0.1 * 0.5 * (1 - cos(pi / steps)))
    assert all(later < earlier for earlier, later in pairwise(rates))


def test_schedules_are_as_published() -> None:
    """Factors by hand, after a quarter, a half and so on of all steps."""
    done = (0.0, 0.25, 0.5, 0.75, 0.9)
    tables: dict[str, tuple[float, ...]] = {
        "Constant()": (1, 1, 1, 1, 1),
        "Cosine()": (1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4, 0.024471741852423),
        "Step()": (1, 1, 0.1, 0.01, 0.01),
        "Step(at=(0.25, 0.8), by=0.5)": (1, 0.5, 0.5, 0.5, 0.25),
        "Polynomial(power=1)": (1, 0.75, 0.5, 0.25, 0.1),
        "Polynomial(power=2)": (1, 0.5625, 0.25, 0.0625, 0.01),
        "Polynomial()": (1, 0.771891, 0.535887, 0.287175, 0.125893),  # nnU-Net: to the power 0.9
    }
    for text, factors in tables.items():
        schedule = Training(stages=[{"epochs": 1, "batch": 8}], schedule=text).schedule
        assert [schedule.factor(one) for one in done] == pytest.approx(factors, rel=1e-5), text


def test_a_schedule_goes_over_the_steps_that_are_taken(folder: Path, rates: list[float]) -> None:
    stages = [{"epochs": 2, "batch": 2, "share": 0.5}, {"epochs": 1, "batch": 4}]
    of = ready(folder, training=training(optimizer="SGD(lr=1.0)", stages=stages, schedule="Polynomial(power=1)"))
    assert len(of.split().fit) == 8
    of.train()
    assert rates == pytest.approx([(6 - step) / 6 for step in range(6)])  # 2 + 2 steps of 4 cases, 2 of 8


# layers


def test_every_layer_takes_the_step_that_was_asked_for(folder: Path, built: list[nn.Module]) -> None:
    """Gradient descent by hand: w - lr * rate * (gradient + decay * w)."""
    layers = [
        {"match": "head.bias", "rate": 10.0, "weight_decay": 0.0},
        {"match": "head.*", "rate": 0.1},
        {"match": "body.0.*", "weight_decay": 0.5},
    ]
    of = ready(folder, losses=["Logistic()"], training=training(
        optimizer="SGD(lr=0.2, momentum=0.0, weight_decay=0.01)", stages=[{"epochs": 1, "batch": 100}], layers=layers
    ))  # fmt: skip
    run, cases, fit = of.runs[0], of.cases, list(of.split().fit)
    torch.manual_seed(run.stream("weights"))
    plain = run.network.build(cases.task, 1)
    F.binary_cross_entropy_with_logits(plain(cases.images[fit])[:, 0], cases.labels[fit].float()).backward()
    of.train()
    trained, asked = dict(built[-1].named_parameters()), dict.fromkeys(dict(plain.named_parameters()), (1.0, 0.01))
    asked |= {"head.bias": (10.0, 0.0), "head.weight": (0.1, 0.01)}
    asked |= {name: (1.0, 0.5) for name in asked if name.startswith("body.0.")}
    assert len({*asked.values()}) == 4
    for name, weight in plain.named_parameters():
        rate, decay = asked[name]
        assert weight.grad is not None
        expected = weight.detach() - 0.2 * rate * (weight.grad + decay * weight.detach())
        torch.testing.assert_close(trained[name].detach(), expected, rtol=1e-4, atol=1e-6)


def test_layers_that_change_nothing_change_nothing(folder: Path) -> None:
    split_up = training(layers=[{"match": "body.*"}, {"match": "head.*", "weight_decay": 0.0}])
    assert torch.equal(ready(folder).train().test, ready(folder, training=split_up).train().test)


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (["heads.*"], r"'heads\.\*' matches no parameter of the network; it has body\.0\.0\.weight, .*, head\.bias$"),
        (["HEAD.*"], "matches no parameter"),
        (
            ["head.*", "*.bias", "head.bias"],
            r"all that 'head\.bias' matches is taken by a layer above it; put it higher",
        ),
    ],
)
def test_a_layer_that_matches_nothing_is_refused(folder: Path, layers: list[str], says: str) -> None:
    of = ready(folder, training=training(layers=[{"match": one} for one in layers]))
    with pytest.raises(UserError, match=f"training.layers: .*{says}"):
        of.train()
    record, _ = computed(of)
    assert record["outcome"] == "error" and "training.layers" in record["message"]


def test_a_decay_that_the_optimizer_does_not_know_is_refused() -> None:
    class Plain(torch.optim.Optimizer):
        def __init__(self, groups: Groups) -> None:
            super().__init__(groups, {"lr": 0.1})

    class Bare(Optimizer):
        def build(self, groups: Groups) -> torch.optim.Optimizer:
            return Plain(groups)

    network = torch.nn.Linear(2, 1)
    assert optimizer_of(Bare(), network, [Layer(match="bias", rate=2.0)]).param_groups[1]["rate"] == 2.0
    with pytest.raises(UserError, match=r"Bare knows no weight_decay; leave it out"):
        optimizer_of(Bare(), network, [Layer(match="bias", weight_decay=0.1)])


# clipping


def norms_of(folder: Path, norms: list[float], **changes: Any) -> list[float]:
    norms.clear()
    ready(folder, training=training(optimizer="SGD(lr=0.05)", stages=[{"epochs": 4, "batch": 4}], **changes)).train()
    return norms[:]


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_no_gradient_is_longer_than_the_clip(folder: Path, norms: list[float], precision: str) -> None:
    free = norms_of(folder, norms, precision=precision, clip=1e9)
    assert max(free) < 100, "the norm is that of the loss, not of the scaled one"
    clip = sorted(free)[len(free) // 3]
    clipped = norms_of(folder, norms, precision=precision, clip=clip)
    assert max(clipped) <= clip * (1 + 1e-5)
    assert sum(one > 0.999 * clip for one in clipped) >= len(free) // 3
    assert clipped[0] == pytest.approx(min(free[0], clip), rel=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_clip_that_no_gradient_reaches_changes_not_a_bit(folder: Path, precision: str) -> None:
    plain = training(stages=[{"epochs": 3, "batch": 4}], precision=precision)
    one, other = (ready(folder, training=plain | clip).train() for clip in ({}, {"clip": 1e9}))
    assert torch.equal(one.test, other.test) and one.curve == other.curve


# shares


def test_a_smaller_share_is_a_part_of_a_larger_one(folder: Path, seen: list[Seen]) -> None:
    stages = [{"epochs": 2, "batch": 100, "share": share} for share in (0.25, 0.6, 1.0)]
    of = ready(folder, training=training(stages=stages))
    of.train()
    shown = [{float(image.sum()) for image in batch} for batch in seen[0].batches]
    assert [len(one) for one in shown] == [2, 2, 5, 5, 8, 8] and len(of.split().fit) == 8
    assert shown[0] == shown[1] < shown[2] == shown[3] < shown[4] == shown[5]
    drawn = torch.randperm(8, generator=torch.Generator().manual_seed(of.runs[0].stream("share")))
    fit = of.cases.images[list(of.split().fit)]
    assert drawn[:5].tolist() != [0, 1, 2, 3, 4], "the first cases are often of one class"
    assert shown[2] == {float(image.sum()) for image in fit[drawn[:5]]}


def test_shares_are_the_same_for_all_losses_and_other_ones_for_other_seeds(folder: Path, seen: list[Seen]) -> None:
    stages = [{"epochs": 1, "batch": 100, "share": 0.01}]  # one case at least
    of = ready(folder, training=training(stages=stages), network="SmallConvNet(normalize=false)",
               design={"folds": 2, "refold": False, "seeds": 6})  # fmt: skip
    for at in range(len(of.runs)):
        of.train(at)
    first = [one.batches[0] for one in seen]
    assert {len(one) for one in first} == {1}
    assert all(torch.equal(one, other) for one, other in zip(first[::2], first[1::2], strict=True))
    assert len({float(one.sum()) for one in first}) > 3


# the best epoch


def test_the_best_epoch_has_its_own_answers(folder: Path) -> None:
    """Training that stops there gives the same: the rate does not depend on what is still to come."""
    long = training(optimizer="Adam(lr=0.5)", stages=[{"epochs": 5, "batch": 4}])
    trained = ready(folder, training=long).train()
    watched = [epoch["inner"] for epoch in trained.curve]
    assert trained.best_epoch == watched.index(max(watched)) + 1
    assert 1 < trained.best_epoch < 5 and watched.count(max(watched)) == 1
    short = ready(folder, training=long | {"stages": [{"epochs": trained.best_epoch, "batch": 4}]}).train()
    assert torch.equal(trained.best_test, short.test) and torch.equal(trained.best_inner, short.inner)
    assert torch.equal(short.best_test, short.test) and torch.equal(short.best_inner, short.inner)
    assert not torch.equal(trained.best_test, trained.test)


def test_the_best_epoch_is_chosen_by_the_inner_split_alone(folder: Path) -> None:
    of = ready(folder, training=training(optimizer="Adam(lr=0.5)", stages=[{"epochs": 5, "batch": 4}]))
    split, plain = of.split(), of.train()
    for images in (True, False):
        other = of.train(cases=scrambled(of.cases, split.fold.test, images=images))
        assert other.best_epoch == plain.best_epoch and torch.equal(other.best_inner, plain.best_inner)
    turned = of.train(cases=scrambled(of.cases, split.inner, images=False))
    assert torch.equal(turned.test, plain.test)
    watched = [epoch["inner"] for epoch in plain.curve]
    assert turned.best_epoch == watched.index(min(watched)) + 1 != plain.best_epoch


def test_of_equals_the_earlier_is_best_and_nothing_is_not() -> None:
    network = nn.Linear(2, 1)

    def best(judge: Metric, *values: float) -> int:
        found = Best()
        for epoch, value in enumerate(values, start=1):
            found = found.or_now(epoch, value, judge, network)
        return found.epoch

    assert best(RocAuc(), 0.5, 0.7, 0.7, 0.6) == 2
    assert best(MeanAbsoluteError(), 3.0, 2.0, 2.0, 4.0) == 2, "less error is better"
    assert best(RocAuc(), nan, 0.1, nan, 0.1) == 2
    assert best(MeanAbsoluteError(), nan, 9.0, nan) == 2
    assert best(RocAuc(), nan, nan) == 0


def test_answers_that_are_no_numbers_are_never_best() -> None:
    task = Task(kind="classification", classes=("no", "yes"), size=(8, 8))
    labels = torch.tensor([0, 1, 1])
    assert judged(torch.tensor([[-1.0], [1.0], [2.0]]), labels, task, RocAuc()) == 1.0
    for wrong in (nan, inf):
        assert isnan(judged(torch.tensor([[-1.0], [1.0], [wrong]]), labels, task, RocAuc()))
    assert isnan(judged(torch.zeros(3, 1), torch.ones(3, dtype=torch.long), task, RocAuc())), "one class alone"


def test_where_no_epoch_can_be_judged_the_last_one_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whichloss.study.train.judged", lambda *_: nan)
    trained = ready(folder, training=training(stages=[{"epochs": 3, "batch": 4}])).train()
    assert trained.best_epoch == 3 and torch.equal(trained.best_test, trained.test)


def test_the_metric_of_the_study_can_choose_the_epoch(folder: Path) -> None:
    """Selection by the primary metric, at the threshold that is tuned on the inner split."""
    long = training(optimizer="Adam(lr=0.5)", stages=[{"epochs": 6, "batch": 4}])
    changes = {"training": long, "primary": "Accuracy()", "secondary": ["RocAuc()"]}
    last = ready(folder, **changes)
    best = ready(folder, **changes, design=TINY["design"] | {"select": "primary"})
    one, of_last = computed(last)
    other, of_best = computed(best)
    assert (best.runs[0].best_by, last.runs[0].best_by) == ("Accuracy(threshold='tuned')", "")
    scores = []
    for epochs in range(1, 7):
        stopped = ready(folder, **changes | {"training": long | {"stages": [{"epochs": epochs, "batch": 4}]}})
        scores.append(computed(stopped)[0]["inner"]["Accuracy(threshold='tuned')"]["value"])
    assert other["best_epoch"] == scores.index(max(scores)) + 1 < 6
    assert other["inner"]["Accuracy(threshold='tuned')"]["value"] == max(scores) > scores[-1]
    assert other["curve"] == one["curve"]
    assert torch.equal(of_best["other_test"], of_last["test"]) and torch.equal(of_best["other_inner"], of_last["inner"])
    assert not torch.equal(of_best["test"], of_last["test"])


def test_the_other_epochs_answers_are_kept_where_it_is_another(folder: Path) -> None:
    long = training(optimizer="Adam(lr=0.5)", stages=[{"epochs": 5, "batch": 4}])
    record, outputs = computed(of := ready(folder, training=long))
    trained = of.train()
    assert record["best_epoch"] == trained.best_epoch < 5
    assert torch.equal(outputs["test"], trained.test) and torch.equal(outputs["other_test"], trained.best_test)
    assert torch.equal(outputs["inner"], trained.inner) and torch.equal(outputs["other_inner"], trained.best_inner)
    record, outputs = computed(ready(folder))
    assert record["best_epoch"] == 1 and not any(name.startswith("other") for name in outputs)


def test_less_error_chooses_the_epoch_of_a_quantity(folder: Path) -> None:
    write_tiny(folder, depths=np.linspace(-20.0, 180.0, 24).astype(np.float32))
    of = ready(
        folder, data='Arrays("tiny.npz", target="depths", group="patients", quantity="depth", unit="mm")',
        losses=["SquaredError()"], baseline="SquaredError()", primary="MeanAbsoluteError()",
        training=training(optimizer="Adam(lr=0.1)", stages=[{"epochs": 8, "batch": 4}]),
    )  # fmt: skip
    trained = of.train()
    errors = [epoch["inner"] for epoch in trained.curve]
    assert len(set(errors)) == 8 and trained.best_epoch == errors.index(min(errors)) + 1


# patches and augmentation


def test_training_sees_patches_and_prediction_the_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: dict[bool, set[tuple[int, ...]]] = {True: set(), False: set()}
    build = UNet.build

    def spied(self: UNet, task: Task, outputs: int) -> Any:
        network = build(self, task, outputs)
        network.register_forward_pre_hook(lambda one, images: shapes[one.training].add(tuple(images[0].shape[1:])))
        return network

    monkeypatch.setattr(UNet, "build", spied)
    of = ready(
        folder, data='Arrays("tiny.npz", target="masks", group="patients")', network="UNet(width=2, depth=2)",
        losses=["Dice()"], baseline="Dice()", primary="Jaccard()", training=training(patches="Patches(size=(6, 4))"),
    )  # fmt: skip
    trained = of.train()
    assert shapes == {True: {(1, 6, 4)}, False: {(1, 6, 4)}}
    assert trained.test.shape == (12, 1, 8, 8) and trained.test.dtype == torch.float32


def test_images_and_masks_are_augmented_together_in_training_only(folder: Path, seen: list[Seen]) -> None:
    plain, turned = ready(folder), ready(folder, training=training(augment=["Flip(axes=(0,), p=1)"]))
    plain.train()
    turned.train()
    for one, other in zip(seen[0].batches, seen[1].batches, strict=True):
        assert torch.equal(one.flip(2), other)
    masks = {"data": 'Arrays("tiny.npz", target="masks", group="patients")', "network": "UNet(width=2, depth=2)",
             "losses": ["Dice()"], "baseline": "Dice()", "primary": "Jaccard()"}  # fmt: skip
    assert not torch.equal(
        ready(folder, **masks).train().test,
        ready(folder, **masks, training=training(augment=["Shift(share=0.4)"])).train().test,
    )


# arithmetic


@pytest.mark.parametrize(("name", "apart"), [("bfloat16", 0.1), ("float16", 0.02)])
def test_short_numbers_stay_near_long_ones(folder: Path, name: str, apart: float) -> None:
    stages = [{"epochs": 4, "batch": 4}]
    long = ready(folder, training=training(stages=stages)).train()
    short = ready(folder, training=training(stages=stages, precision=name)).train()
    assert short.test.dtype == torch.float32
    difference = (short.test - long.test).abs().max()
    assert 0 < difference < apart
    assert len(short.curve) == 4 and short.curve[-1]["loss"] == pytest.approx(long.curve[-1]["loss"], abs=apart)


def test_the_order_in_memory_changes_next_to_nothing(folder: Path) -> None:
    last = ready(folder, training=training(memory_format="channels_last"))
    plain = ready(folder, training=training(memory_format="contiguous"))
    assert last.runs[0].key == plain.runs[0].key, "it does not decide results"
    torch.testing.assert_close(last.train().test, plain.train().test, rtol=1e-4, atol=1e-5)


def test_what_decides_results_is_in_the_key_and_the_rest_is_not(folder: Path) -> None:
    key = ready(folder).runs[0].key
    same = [{"device": "auto"}, {"optimizer": "Adam(lr=1e-2, weight_decay=0)"}, {"schedule": "constant"}]
    assert {ready(folder, training=training(**change)).runs[0].key for change in same} == {key}
    others = [{"optimizer": "Adam(lr=0.02)"}, {"schedule": "cosine"}, {"precision": "bfloat16"},
              {"stages": [{"epochs": 1, "batch": 7}]}, {"stages": [{"epochs": 1, "batch": 8, "share": 0.5}]},
              {"layers": [{"match": "head.*", "rate": 0.5}]}, {"clip": 1.0}]  # fmt: skip
    keys = [ready(folder, training=training(**change)).runs[0].key for change in others]
    keys += [ready(folder, design=TINY["design"] | one).runs[0].key for one in ({"inner": 0.3}, {"select": "primary"})]
    keys += [run.key for run in ready(folder, losses=["Logistic()", "Logistic(per_class='sum')"]).runs]
    assert len({*keys, key}) == len(keys)  # the first run of the last study is the same run
    assert Training(stages=[{"epochs": 1, "batch": 8}]).protocol().keys() == {
        "optimizer",
        "stages",
        "length",
        "batch",
        "schedule",
        "layers",
        "clip",
        "augment",
        "patches",
        "precision",
    }


# outcomes


def computed(of: Ready, at: int = 0) -> tuple[dict[str, Any], dict[str, Tensor]]:
    return compute(of.runs[at], list(of.metrics), of.cases, CPU)


def test_a_finished_run_is_recorded_with_what_made_it(folder: Path) -> None:
    of = ready(folder, secondary=["Accuracy()"])
    record, outputs = computed(of)
    split = of.split()
    assert (record["outcome"], record["message"]) == ("finished", "")
    assert json.loads(json.dumps(record)) == record
    assert tuple(outputs["test_cases"].tolist()) == split.fold.test
    assert tuple(outputs["inner_cases"].tolist()) == split.inner
    truth, scores = of.cases.labels[list(split.fold.test)], outputs["test"][:, 0]
    assert record["scores"]["RocAuc()"]["value"] == pytest.approx(roc_auc_score(truth, scores))
    natural = record["scores"]["Accuracy(threshold='natural')"]
    assert natural["value"] == pytest.approx(float(((scores > 0) == (truth == 1)).float().mean()))
    tuned = record["scores"]["Accuracy(threshold='tuned')"]
    assert tuned["value"] == pytest.approx(float(((scores > tuned["at"]) == (truth == 1)).float().mean()))
    assert record["beside"]["threads"] == "1" and record["beside"]["torch"] == torch.__version__
    assert record["chance"]["RocAuc()"] == 0.5


def test_a_loss_that_is_no_number_any_more_is_an_outcome(folder: Path) -> None:
    stages = [{"epochs": 8, "batch": 2}]
    of = ready(
        folder, training=training(optimizer="SGD(lr=1e6)", stages=stages), network="SmallConvNet(normalize=false)"
    )
    record, outputs = computed(of)
    assert record["outcome"] == "diverged"
    assert record["message"].startswith("the loss is ") and " in epoch " in record["message"]
    assert (outputs, record["scores"]) == ({}, {})
    assert record["chance"] == {"RocAuc()": 0.5}


NETWORKS = """
import torch
from torch import nn

class Moody(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.head, self.error, self.calls = nn.Linear(64, 1), error, 0

    def forward(self, images):
        self.calls += 1
        if self.calls > 1:  # the first call is a look before the first run
            raise self.error
        return self.head(images.flatten(1))

def tired():
    return Moody(ValueError("my head hurts"))

def greedy():
    return Moody(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 TiB"))

def blank():
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.BatchNorm1d(1))
    network[2].register_forward_hook(lambda module, given, out: out if module.training else out * float("nan"))
    return network
"""


@pytest.mark.parametrize(
    ("name", "outcome", "message"),
    [
        ("tired", "error", "ValueError: my head hurts"),
        ("greedy", "out_of_memory", "OutOfMemoryError: CUDA out of memory. Tried to allocate 9 TiB"),
        ("blank", "diverged", "the trained network gives outputs that are not numbers"),
    ],
)
def test_what_fails_within_a_network_is_an_outcome(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture, name: str, outcome: str, message: str
) -> None:
    monkeypatch.syspath_prepend(folder)
    code = write_code(folder, NETWORKS)
    record, outputs = computed(ready(folder, network=f"{code}:{name}"))
    assert (record["outcome"], record["message"]) == (outcome, message)
    assert (outputs, record["scores"]) == ({}, {})
    assert ("Traceback" in capfd.readouterr().err) == (outcome != "diverged"), "the worker's log holds where it was"


def test_outputs_that_could_not_be_scored_are_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any) -> None:
        raise ValueError("no score")

    monkeypatch.setattr("whichloss.study.worker.scores", fails)
    record, outputs = computed(ready(folder))
    assert (record["outcome"], record["message"], outputs) == ("error", "ValueError: no score", {})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shape '[2]' is invalid for input of size 3"), False),
        (ValueError("the memory of the patient"), False),
    ],
)  # fmt: skip
def test_what_is_a_lack_of_memory(error: Exception, expected: bool) -> None:
    assert machine.out_of_memory(error) == expected


# failures in the table and in the verdict


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "whichloss-runs/studies/tiny/results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def verdict(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "whichloss-runs/studies/tiny/verdict.json").read_text())


@pytest.fixture
def exploded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """A study in which one of two losses diverges on every fold."""
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    monkeypatch.syspath_prepend(folder)
    code = write_code(folder, "def explode(logits, target):\n    return 1e20 * (logits - target).square().mean()\n")
    changes = {
        "losses": ["Logistic()", f"{code}:explode"],
        "training": training(optimizer="SGD(lr=0.1)", stages=[{"epochs": 2, "batch": 4}]),
    }
    return cli("run", write_study(folder, **changes), here=folder)


def test_a_diverged_run_scores_chance_and_everybody_is_told(folder: Path, exploded: Answer) -> None:
    assert exploded.code == 1
    assert "2 of 4 runs failed; the report names them" in exploded.out
    assert exploded.err.count("explode(), fold ") == 2 and exploded.err.count("diverged: the loss is ") == 2
    rows = [row for row in table(folder) if "explode" in row["loss"]]
    assert {(row["split"], row["value"]) for row in rows} == {("test", ""), ("chance", "0.5")}
    assert len(rows) == 4
    assert all(row["value"] for row in table(folder) if "explode" not in row["loss"])
    judged = verdict(folder)
    baseline, other = judged["losses"]
    assert (baseline["failed"], other["failed"], other["mean"], other["sd"]) == (0, 2, 0.5, 0.0)
    assert any("explode() 2 of 2" in line and "chance" in line for line in judged["warnings"])
    means = [float(row["value"]) for row in table(folder) if row["split"] == "test" and row["value"]]
    assert judged["comparisons"][0]["difference"] == pytest.approx(0.5 - sum(means) / 2)
    assert "diverged" in (folder / "whichloss-runs/studies/tiny/report.html").read_text()


def test_the_report_of_a_study_with_failures_says_so_again(folder: Path, exploded: Answer) -> None:
    again = cli("report", folder / "tiny.yaml", here=folder)
    assert (again.code, again.out) == (1, exploded.out)
