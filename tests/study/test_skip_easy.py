"""Easy cases need no backward pass: the same weights but for rounding, and a clear word where it cannot be."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from small_studies import TINY, cli, double_precision, execute_here, tiny_study, write_code, write_study, write_tiny
from whichloss.core import Task
from whichloss.data import Cases
from whichloss.losses.margin.hinge import Hinge
from whichloss.networks import Network
from whichloss.networks.lymph_net import LymphNet
from whichloss.networks.unet import UNet
from whichloss.networks.view_net import ViewNet
from whichloss.study.checkpoint import Checkpoints
from whichloss.study.course import Course
from whichloss.study.passes import WORTH, Passes
from whichloss.study.precision import Precision
from whichloss.study.runs import Run, runs_of
from whichloss.study.shelf import Shelf
from whichloss.study.study import Training
from whichloss.study.team import ALONE
from whichloss.study.train import Trained, train

CPU = torch.device("cpu")
MASKS: dict[str, Any] = {
    "data": 'Arrays("masks.npz", target="masks", group="patients", ignore=255)',
    "primary": "Jaccard()",
    "network": "UNet(width=4, depth=2, normalize=False, dropout=0.2)",
}
VIEWS = "ViewNet(width=3, deeper=4, units=12, dropout=0.2)"


@pytest.fixture(autouse=True)
def in_double() -> Iterator[None]:
    with double_precision():
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_easy(tmp_path)
    return tmp_path


def write_easy(folder: Path, classes: int = 2, cases: int = 80) -> None:
    """Classes that can mostly be told apart. Masks are empty in half of the cases, and bright where they are not."""
    chance = np.random.default_rng(0)
    labels = np.arange(cases) // 2 % classes
    noise = chance.normal(0, 1, (cases, 8, 8)).astype(np.float32)
    bright = labels[:, None, None] - (classes - 1) / 2
    masks = ((chance.random((cases, 8, 8)) < 0.3) & (labels == 1)[:, None, None]).astype(np.int64)
    ignored = chance.random((cases, 8, 8)) < 0.1
    patients = np.array([f"P{at // 2:02}" for at in range(cases)])
    images = (0.3 * bright + noise).astype(np.float32)
    write_tiny(folder, cases, images=images, labels=labels, masks=None)
    np.savez(
        folder / "masks.npz", images=4 * masks + 0.1 * noise, masks=np.where(ignored, 255, masks), patients=patients
    )


class Weights(Checkpoints):
    """Notes the weights at the end of each epoch, and how many steps led there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "key", CPU, interval=0)
        self.weights: dict[str, Tensor] = {}
        self.steps = 0

    def offer(self, course: Course) -> None:
        self.weights = {name: one.detach().clone() for name, one in course.network.named_parameters()}
        self.steps = course.step


def in_float64(cases: Cases) -> Cases:
    """Against their rule, which says float32."""
    cases = replace(cases, part=True)
    object.__setattr__(cases, "images", cases.images.double())
    return cases


def trained(folder: Path, skip_easy: bool, loss: str, training: dict[str, Any], **changes: Any) -> tuple[Any, Weights]:
    common = TINY["training"] | {"optimizer": "SGD(lr=0.03, momentum=0.9, weight_decay=0.001)"}
    common |= {"stages": [{"epochs": 30, "batch": 9}], "skip_easy": skip_easy}
    study = tiny_study(**{"network": VIEWS, "losses": [loss], "baseline": loss} | changes, training=common | training)
    shelf = Shelf([folder])
    run = next(iter(runs_of(study, shelf)))
    cases = shelf.of(run)
    weights = Weights(folder / "nothing")
    cases = in_float64(cases)
    return train(run, cases, run.split(cases), CPU, checkpoints=weights), weights


def both(folder: Path, loss: str, training: dict[str, Any] | None = None, **changes: Any) -> tuple[Trained, Trained]:
    """Trained as ever and with easy cases skipped, after asserting that the weights are the same but for rounding."""
    (plain, expected), (skipped, found) = (
        trained(folder, skip, loss, training or {}, **changes) for skip in (False, True)
    )
    assert found.steps == expected.steps >= 100
    for name, weight in expected.weights.items():
        torch.testing.assert_close(found.weights[name], weight, rtol=0, atol=1e-5)
    assert [entry["idle"] for entry in skipped.curve] == [entry["idle"] for entry in plain.curve]
    sent = [entry["backward"] for entry in skipped.curve]
    assert min(sent) < 1 - WORTH, "there were easy cases, and they were skipped"
    for before, now in zip(skipped.curve, skipped.curve[1:], strict=False):
        if before["idle"] > WORTH:
            alone = 5 / 30  # one of each batch in which all are easy
            assert -1e-9 <= now["backward"] - (1 - now["idle"]) <= alone
        else:
            assert now["backward"] == 1
    assert all("backward" not in entry for entry in plain.curve)
    return plain, skipped


# the same weights


@pytest.mark.parametrize(
    "loss",
    [
        "Hinge()", "SquaredHinge()", "SmoothHinge()", "SmoothHinge(half_width=0.3)", "Lorenz()", "Tangent()",
        "Hinge(lift='ranking')", "Hinge(lift='top_rival', classes='exclusive')", "Hinge() + 0.5 * SquaredHinge()",
        "AdaptiveLog(Hinge())", "Total(Hinge())",
    ],
)  # fmt: skip
def test_a_yes_or_no_with_dropout(folder: Path, loss: str) -> None:
    plain, skipped = both(folder, loss, {"optimizer": "SGD(lr=0.003, momentum=0.9)"} if "Total" in loss else None)
    torch.testing.assert_close(skipped.test, plain.test, rtol=0, atol=1e-5)
    assert skipped.best_epoch == plain.best_epoch


@pytest.mark.parametrize("loss", ["Hinge()", "Lorenz(lift='each_rival')", "SmoothHinge(lift='sum_to_zero')"])
def test_one_of_several_classes(folder: Path, loss: str) -> None:
    write_easy(folder, classes=4)
    both(folder, loss, primary="Accuracy()")


def test_a_loss_without_easy_cases_is_trained_as_ever_beside_one_with_them(folder: Path) -> None:
    (_, expected), (beside, found) = (
        trained(folder, skip, "Logistic()", {}, losses=["Logistic()", "Hinge()"]) for skip in (False, True)
    )
    assert found.steps == expected.steps
    for name, weight in expected.weights.items():
        torch.testing.assert_close(found.weights[name], weight, rtol=0, atol=1e-5)
    assert {entry["backward"] for entry in beside.curve} == {1.0}


def test_a_study_of_which_one_loss_has_easy_cases_is_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_default_dtype(torch.float32)
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    changes = {"losses": ["Logistic()", "Hinge()"], "baseline": "Logistic()", "network": VIEWS}
    answer = cli("run", write_study(folder, training=TINY["training"] | {"skip_easy": True}, **changes), here=folder)
    assert answer.code == 0, answer.err


def test_masks_with_voxels_that_have_no_say_and_dropout(folder: Path) -> None:
    both(folder, "Hinge()", {"optimizer": "Adam(lr=0.03)"}, **MASKS)


def test_patches_augmentation_clipping_and_a_schedule(folder: Path) -> None:
    training = {"augment": ["Flip()", "Intensity(noise=0.05)"], "clip": 0.5, "schedule": "cosine"}
    both(folder, "SmoothHinge()", training)
    training |= {"patches": "Patches(size=(6, 6))", "optimizer": "Adam(lr=0.03)", "augment": ["Flip()"], "clip": 5.0}
    both(folder, "Hinge()", training, **MASKS)


def test_it_goes_on_from_a_checkpoint_to_the_last_bit(folder: Path) -> None:
    class Cut(Weights):
        """The true thing, cut off after an epoch."""

        def __init__(self, folder: Path, until: int) -> None:
            super().__init__(folder)
            self.until = until

        def offer(self, course: Course) -> None:
            Weights.offer(self, course)
            Checkpoints.offer(self, course)
            if len(course.curve) == self.until:
                raise KeyboardInterrupt

    run, cases = ready(folder, "Hinge()")
    whole = train(run, cases, run.split(cases), CPU)
    assert whole.curve[9]["idle"] > WORTH, "the epoch after the cut is one that skips"
    with pytest.raises(KeyboardInterrupt):
        train(run, cases, run.split(cases), CPU, checkpoints=Cut(folder / "cut", until=10))
    again = train(run, cases, run.split(cases), CPU, checkpoints=Cut(folder / "cut", until=99))
    assert again.curve == whole.curve and torch.equal(again.test, whole.test)


def ready(folder: Path, loss: str) -> tuple[Run, Cases]:
    training = TINY["training"] | {"optimizer": "SGD(lr=0.03, momentum=0.9)", "skip_easy": True}
    training |= {"stages": [{"epochs": 14, "batch": 9}]}
    shelf = Shelf([folder])
    study = tiny_study(network=VIEWS, losses=[loss], baseline=loss, training=training)
    run = next(iter(runs_of(study, shelf)))
    return run, in_float64(shelf.of(run))


# one step


def gradients(network: nn.Module, images: Tensor, precision: Precision, skip_easy: bool) -> dict[str, Tensor]:
    """Of one step in training, from a seed; two of three cases are easy."""
    target = torch.arange(len(images)) % 2
    training = Training.model_validate({"stages": [{"epochs": 1, "batch": len(images)}], "skip_easy": skip_easy})
    passes = Passes(training, network.train(), precision, ALONE, images)
    passes.skipping = skip_easy
    torch.manual_seed(7)
    with precision.context():
        logits = passes.forward(images)
        space = [1] * (logits.ndim - 2)
        easy = (torch.arange(len(images)) % 3 > 0).reshape(-1, 1, *space)
        sign = (2 * target - 1).reshape(-1, 1, *space)
        wanted = Hinge()(torch.where(easy, 100.0 * sign + 0 * logits, logits), (sign > 0).expand_as(logits).float())
    precision.backward(wanted)
    passes.backward(logits)
    assert passes.noted() == ({"backward": 1 / 3} if skip_easy else {})
    found = {name: one.grad.clone() for name, one in network.named_parameters() if one.grad is not None}
    return found | {f"buffer {name}": one.clone() for name, one in network.named_buffers()} | {"next": torch.rand(3)}


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        ("detection", ViewNet(dropout=0.5)),
        ("detection", LymphNet(units=8)),
        ("detection", LymphNet(units=8, crop=8, local_drop=True)),
        ("detection", LymphNet(units=8, crop=8, local_drop=True, masks="example", lrn=True)),
        ("segmentation", UNet(width=3, depth=3, normalize=False, dropout=0.5)),
    ],
)
def test_one_step_has_the_same_gradients_buffers_and_chance(kind: Any, network: Network) -> None:
    task = Task(kind=kind, classes=("no", "yes"), channels=3, size=(12, 12))
    images = torch.rand(9, 3, 12, 12).contiguous(memory_format=torch.channels_last)
    precision = Precision("float32", CPU)
    one = network.build(task, 1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    other = deepcopy(one)
    expected, found = gradients(one, images, precision, False), gradients(other, images, precision, True)
    assert expected.keys() == found.keys() and len(expected) > 5
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12, msg=name)


def test_mixed_precision_sends_gradients_back_too() -> None:
    """Autocast remembers weights that it has made shorter; one made without a graph must not be met again."""
    torch.set_default_dtype(torch.float32)
    task = Task(kind="detection", classes=("no", "yes"), channels=1, size=(12, 12))
    one, images = ViewNet(dropout=0.2).build(task, 1), torch.rand(9, 1, 12, 12)
    other, precision = deepcopy(one), Precision("bfloat16", CPU)
    expected, found = gradients(one, images, precision, False), gradients(other, images, precision, True)
    for name, gradient in expected.items():
        assert name == "next" or gradient.abs().max() > 0
        torch.testing.assert_close(found[name], gradient, rtol=0.02, atol=0.02 * float(gradient.abs().max()))


class Never(nn.Module):
    """Cannot read nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)

    def forward(self, images: Tensor) -> Tensor:
        assert len(images)
        return self.head(images.flatten(1))


def test_where_all_are_easy_gradients_are_zero_and_not_missing() -> None:
    """Momentum and weight decay go on, as they do where all are passed backward."""
    training = Training.model_validate({"stages": [{"epochs": 1, "batch": 3}], "skip_easy": True})
    network, images = Never(), torch.rand(3, 1, 2, 2)
    passes = Passes(training, network, Precision("float32", CPU), ALONE, images)
    passes.skipping = True
    logits = passes.forward(images)
    (0 * logits).sum().backward()
    passes.backward(logits)
    assert all(torch.equal(one.grad, torch.zeros_like(one)) for one in network.parameters() if one.grad is not None)
    assert [one.grad is None for one in network.parameters()] == [False, False]
    assert passes.noted() == {"backward": 1 / 3}


# where it cannot be

CODE = """
import torch
from torch import nn
from torch.nn.functional import dropout

class Mine(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.first, self.head = nn.Linear(64, 8), nn.Linear(8, outputs)

    def forward(self, images):
        return self.head(dropout(self.first(images.flatten(1)).relu(), 0.5, self.training))

class Shuffled(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 8))
        self.norm, self.head = nn.AlphaDropout(0.5), nn.Linear(8, outputs)

    def forward(self, images):
        return self.head(self.norm(self.body(images)))
"""


@pytest.mark.parametrize(
    ("network", "named"),
    [
        ("SmallConvNet(width=2, depth=1, features=4)", "layer body.0.1 (BatchNorm2d)"),
        ("MODULE:Shuffled", "layer norm (AlphaDropout)"),
        ("MODULE:Mine", "Mine"),
    ],
)
def test_a_layer_in_which_cases_mix_is_named_before_the_first_run(folder: Path, network: str, named: str) -> None:
    network = network.replace("MODULE", write_code(folder, CODE))
    said = refused(folder, losses=["Hinge()"], baseline="Hinge()", network=network)
    assert named in said and "training.skip_easy" in said and "normalize=False" in said and "leave out" in said


@pytest.mark.parametrize(
    ("loss", "named"),
    [
        ("Logistic()", "Logistic is never flat"),
        ("Tangent(form='original')", "Tangent(form='original') is never flat"),
        ("Hinge() + CrossEntropy()", "CrossEntropy in Hinge + CrossEntropy is never flat"),
        ("Dice()", "Dice is never flat"),
    ],
)
def test_a_loss_without_easy_cases_is_named_before_the_first_run(folder: Path, loss: str, named: str) -> None:
    said = refused(folder, losses=[loss], baseline=loss, network=VIEWS)
    assert named in said and "training.skip_easy" in said and "Lorenz()" in said and "leave out" in said


def refused(folder: Path, **changes: Any) -> str:
    torch.set_default_dtype(torch.float32)
    answer = cli("run", write_study(folder, training=TINY["training"] | {"skip_easy": True}, **changes), here=folder)
    assert answer.code == 2 and "Traceback" not in answer.err
    assert not list(folder.glob("whichloss-runs/runs/*/*"))
    return " ".join(answer.err.split())


def test_yes_is_all_that_can_be_said(folder: Path) -> None:
    torch.set_default_dtype(torch.float32)
    answer = cli("run", write_study(folder, training=TINY["training"] | {"skip_easy": "often"}), here=folder)
    assert answer.code == 2 and "skip_easy" in answer.err


# keys and pages


def test_it_is_in_the_key_of_a_run_only_where_it_is_asked_for(folder: Path) -> None:
    def run(**training: Any) -> Run:
        study = tiny_study(training=TINY["training"] | training)
        assert study.fixed()["training"] == study.training.protocol()
        return next(iter(runs_of(study, Shelf([folder]))))

    plain, skipping = run(), run(skip_easy=True)
    assert run(skip_easy=False).key == plain.key != skipping.key
    asked = ("optimizer", "stages", "length", "batch", "schedule", "layers", "clip", "augment", "patches", "precision")
    assert sorted(plain.spec["training"]) == sorted(asked)  # what keys were made of before
    assert skipping.spec["training"] == plain.spec["training"] | {"skip_easy": True}


def test_the_page_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_default_dtype(torch.float32)
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    changes = {"losses": ["Hinge()", "Lorenz()"], "baseline": "Hinge()", "network": VIEWS}
    pages = {}
    for name, skip in (("plain", False), ("skipping", True)):
        study = write_study(folder, name, training=TINY["training"] | {"skip_easy": skip}, **changes)
        answer = cli("run", study, "--store", "store", here=folder)
        assert answer.code == 0, answer.err
        pages[name] = (folder / "store" / "studies" / name / "report.html").read_text()
    assert "Cases sent backward" in pages["skipping"] and "no backward pass where the loss is flat" in pages["skipping"]
    assert "Cases sent backward" not in pages["plain"] and "no backward pass" not in pages["plain"]
