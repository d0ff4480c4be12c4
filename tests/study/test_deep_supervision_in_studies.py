"""Deep supervision in a study: a network that answers at several resolutions, and losses that are shown all or one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from small_studies import TINY, cli, execute_here, tiny_study, write_code, write_study, write_tiny
from whichloss import DeepSupervision, Dice
from whichloss.core import FieldError, Task, parse
from whichloss.networks import Network
from whichloss.networks.unet import UNet
from whichloss.study.checkpoint import Checkpoints
from whichloss.study.course import Course
from whichloss.study.runs import Run, runs_of
from whichloss.study.shelf import Shelf
from whichloss.study.train import Trained, train

CPU = torch.device("cpu")
DEEP = "UNet(width=2, depth=3, dropout=0.0, deep_supervision=1)"
MASKS: dict[str, Any] = {
    "data": 'Arrays("tiny.npz", target="masks", group="patients")',
    "losses": ["Dice()", "DeepSupervision(Dice())"],
    "baseline": "Dice()",
    "network": DEEP,
    "primary": "Jaccard()",
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny(tmp_path)
    return tmp_path


class Weights(Checkpoints):
    """Notes the weights at the end of the last epoch."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "key", CPU, interval=0)
        self.weights: dict[str, Tensor] = {}

    def offer(self, course: Course) -> None:
        self.weights = {name: one.detach().clone() for name, one in course.network.named_parameters()}


def trained(folder: Path, at: int, **changes: Any) -> tuple[Run, Trained, dict[str, Tensor], dict[str, Tensor]]:
    """The run of a loss, what came of it, and the weights before and after."""
    shelf = Shelf([folder])
    run = list(runs_of(tiny_study(**MASKS | changes), shelf))[at]
    torch.manual_seed(run.stream("weights"))
    before = dict(run.network.under(run.loss, shelf.of(run).task).named_parameters())
    weights = Weights(folder / "checkpoints")
    result = train(run, shelf.of(run), run.split(shelf.of(run)), CPU, checkpoints=weights)
    return run, result, before, weights.weights


# the network


@pytest.mark.parametrize("size", [(16, 24), (13, 9), (8, 8, 12), (7, 5, 9)])
def test_a_network_answers_at_several_resolutions_in_training_alone(size):
    task = Task(kind="segmentation", classes=("a", "b", "c"), size=size)
    network = UNet(width=2, depth=4, deep_supervision=2).build(task, 3)
    images = torch.randn(2, 1, *size)
    outputs = network(images)
    expected = [(2, 3, *(-(-side // step) for side in size)) for step in (1, 2, 4)]
    assert [tuple(one.shape) for one in outputs] == expected
    assert network.eval()(images).shape == (2, 3, *size)


def test_without_deep_supervision_a_network_is_what_it_was():
    """Also by its text, under which results are kept."""
    assert repr(UNet()) == "UNet(width=32, depth=5, normalize=True, dropout=0.5, down='stride')"
    assert "deep_supervision=2" in repr(UNet(deep_supervision=2))
    for one in (UNet(), UNet(deep_supervision=2)):
        assert parse(repr(one), Network) == one
    task = Task(kind="segmentation", classes=("a", "b"), size=(8, 8))
    torch.manual_seed(0)
    plain = UNet(width=2, depth=3).build(task, 1)
    torch.manual_seed(0)
    deep = dict(UNet(width=2, depth=3, deep_supervision=1).build(task, 1).named_parameters())
    same = [name for name, one in plain.named_parameters() if torch.equal(one, deep[name])]
    assert {name for name, _ in plain.named_parameters()} - set(same) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("text", ["UNet(depth=3, deep_supervision=2)", "UNet(deep_supervision=-1)"])
def test_a_network_of_too_few_levels_is_refused(text: str):
    with pytest.raises(
        ValueError, match=r"UNet: deep_supervision is (2, and a depth of 3 has 1 coarser|-1; it must be)"
    ):
        parse(text, Network)
    with pytest.raises(FieldError):
        UNet(depth=2, deep_supervision=1)


# in a training


def test_only_deep_supervision_teaches_the_coarse_outputs(folder: Path):
    for at, learns in ((0, False), (1, True)):
        run, result, before, after = trained(folder, at)
        assert isinstance(run.loss, DeepSupervision) == learns
        assert result.test.shape[1:] == (1, 8, 8)
        assert torch.equal(before["coarse_heads.0.weight"], after["coarse_heads.0.weight"]) != learns
        assert not torch.equal(before["head.weight"], after["head.weight"])


def test_a_step_is_that_of_the_loss_of_all_outputs(folder: Path):
    """One step of gradient descent, taken by hand."""
    training = TINY["training"] | {"optimizer": "SGD(lr=0.1)", "stages": [{"epochs": 1, "batch": 99}]}
    run, _, before, after = trained(
        folder, 1, training=training, network=DEEP.replace("dropout", "normalize=False, dropout")
    )
    cases = Shelf([folder]).of(run)
    fit = list(run.split(cases).fit)
    torch.manual_seed(run.stream("weights"))
    network = run.network.under(run.loss, cases.task)
    fine, coarse = network(cases.images[fit])
    truth = cases.labels[fit].unsqueeze(1).float()
    half = torch.nn.functional.avg_pool2d(truth, 2)
    (2 / 3 * Dice()(fine, truth) + 1 / 3 * Dice()(coarse, half)).backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None
        torch.testing.assert_close(after[name], before[name] - 0.1 * weight.grad, rtol=1e-5, atol=1e-7)


def test_a_study_runs_to_its_report(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    done = cli("run", write_study(folder, **MASKS), "--store", tmp_path / "store", "--workers", 1)
    assert done.code == 0, done.err
    rows = (tmp_path / "store" / "studies" / "tiny" / "results.csv").read_text()
    assert "DeepSupervision(Dice(" in rows


NET = """
from dataclasses import dataclass
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.coarse = nn.Conv2d(1, 1, 2, stride=2)
        self.head = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, images):
        fine = self.head(images)
        return (fine, self.coarse(images)) if self.training else fine

def two():
    return Two()
"""


def test_somebody_s_own_network_may_answer_at_several_resolutions(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    study = write_study(folder, **MASKS | {"network": f"{write_code(folder, NET)}:two()"})
    done = cli("run", study, "--store", folder / "store", "--workers", 1)
    assert done.code == 0, done.err


# mistakes, before anything starts


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"network": "UNet(width=2, depth=3)"}, "answers at one\n  remedy: UNet(deep_supervision=2)"),
        ({"losses": ["Dice()", "FocalPower(DeepSupervision(Dice()))"]}, "DeepSupervision goes around everything else"),
        ({"losses": ["Dice()", "DeepSupervision(Dice()) + CrossEntropy()"]}, "DeepSupervision goes around everything"),
        ({"losses": ["Dice()", "DeepSupervision(Dice(), weights=(1, 1, 1))"]}, "has 3 weights for 2 outputs"),
        ({"training": TINY["training"] | {"devices": 2}}, "training.devices: DeepSupervision(Dice) is of several"),
        (
            {
                "losses": ["Hinge()", "DeepSupervision(Hinge())"],
                "baseline": "Hinge()",
                "network": DEEP.replace("dropout", "normalize=False, dropout"),
                "training": TINY["training"] | {"skip_easy": True},
            },
            "training.skip_easy: DeepSupervision(Hinge) is of several outputs, which cannot be taken apart",
        ),
    ],
    ids=["one output", "within a wrapper", "within a sum", "weights", "devices", "easy cases"],
)
def test_what_cannot_be_is_refused(changes, says: str, folder: Path):
    if "devices" in changes.get("training", {}):
        changes = changes | {"network": DEEP.replace("dropout", "normalize=False, dropout")}
    answer = cli("run", write_study(folder, **MASKS | changes), "--store", folder / "store")
    assert answer.code == 2, answer.out + answer.err
    assert says in answer.err
    assert not list((folder / "store").glob("runs/*/*"))
