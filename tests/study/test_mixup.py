"""Mixup: cases blended in pairs, their targets with them, the same again after any interruption."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Generator, Tensor

from small_studies import TINY, cli, execute_here, tiny_study, write_code, write_study, write_tiny
from whichloss import CrossEntropy, Dice, parse
from whichloss.core import Task
from whichloss.losses.regression.squared_error import SquaredError
from whichloss.study.mixup import Mixup
from whichloss.study.runs import Run, runs_of
from whichloss.study.shelf import Shelf
from whichloss.study.study import Training
from whichloss.study.train import Trained, train

CPU = torch.device("cpu")
BINARY = Task(kind="classification", classes=("healthy", "lesion"), size=(8, 8))
THREE = Task(kind="classification", classes=("a", "b", "c"), size=(8, 8))
MASKS = Task(kind="segmentation", classes=("a", "b", "c"), size=(8, 8))
RADIUS = Task(kind="regression", quantity="radius", unit="mm", size=(8, 8))


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


def mixup(loss: str, task: Task, alpha: float | None = 0.4, seed: int = 0) -> Mixup:
    return Mixup(alpha, parse(loss), task, Generator().manual_seed(seed))


# what it does to a batch


def test_images_and_targets_are_blended_in_the_same_shares():
    mixed = mixup("CrossEntropy()", THREE)
    images, labels = torch.randn(6, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2])
    shown = mixed.images(images)
    share, partner = mixed.share, mixed.partner
    assert sorted(partner.tolist()) == list(range(6))
    target = mixed.target(labels, torch.zeros(6, 3))
    for at, other in enumerate(partner.tolist()):
        torch.testing.assert_close(shown[at], share * images[at] + (1 - share) * images[other])
        expected = np.zeros(3)
        expected[labels[at]] += share
        expected[labels[other]] += 1 - share
        assert target[at].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_yes_or_no_becomes_a_share_of_yes(dtype: torch.dtype):
    mixed = mixup("Logistic()", BINARY)
    mixed.images(torch.zeros(4, 1, 8, 8))
    labels = torch.tensor([1, 0, 0, 1])
    target = mixed.target(labels, torch.zeros(4, 1, dtype=dtype))
    expected = [
        [mixed.share * float(labels[at]) + (1 - mixed.share) * float(labels[mixed.partner[at]])] for at in range(4)
    ]
    assert target.dtype == torch.float32
    torch.testing.assert_close(target, torch.tensor(expected))


def test_a_quantity_is_blended_as_it_is():
    mixed = mixup("SquaredError()", RADIUS)
    mixed.images(torch.zeros(3, 1, 8, 8))
    labels = torch.tensor([-1.0, 0.5, 4.0])
    expected = mixed.share * labels + (1 - mixed.share) * labels[mixed.partner]
    torch.testing.assert_close(mixed.target(labels, torch.zeros(3, 1)), expected.unsqueeze(1))


def test_a_blend_of_what_is_known_and_what_is_not_has_no_say():
    mixed = mixup("Dice()", MASKS)
    mixed.images(torch.zeros(2, 1, 2, 2))
    mixed.partner = torch.tensor([1, 0])
    known = torch.tensor([[[1.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    assert mixed.weight(known).tolist() == [[[1, 0], [0, 1]], [[1, 0], [0, 1]]]
    target = mixed.target(torch.tensor([[[2, 1], [-1, 0]], [[0, -1], [-1, 2]]]), torch.zeros(2, 3, 2, 2))
    assert target.shape == (2, 3, 2, 2)
    torch.testing.assert_close(target.sum(1), torch.ones(2, 2, 2))


def test_cross_entropy_of_a_blend_is_the_blend_of_cross_entropies():
    """Zhang et al. train by it: lam * CE(y_a) + (1 - lam) * CE(y_b)."""
    mixed = mixup("CrossEntropy()", THREE)
    mixed.images(torch.zeros(5, 1, 8, 8))
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 2, 1])
    value = mixed.loss(logits, mixed.target(labels, logits))
    one, other = (torch.nn.functional.cross_entropy(logits, one) for one in (labels, labels[mixed.partner]))
    torch.testing.assert_close(value, mixed.share * one + (1 - mixed.share) * other)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_those_of_the_beta_distribution(alpha: float):
    mixed = mixup("Logistic()", BINARY, alpha)
    shares = []
    for _ in range(2000):
        mixed.images(torch.zeros(1, 1))
        shares.append(mixed.share)
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_without_alpha_nothing_is_drawn_and_nothing_changes():
    mixed = mixup("CrossEntropy()", THREE, None)
    before = mixed.random.get_state()
    images, labels, known = torch.randn(3, 1, 8, 8), torch.tensor([0, 1, 2]), torch.ones(3)
    assert mixed.images(images) is images
    assert mixed.target(labels, torch.zeros(3, 3)).tolist() == [0, 1, 2]
    assert mixed.weight(known) is known
    assert mixed.loss == CrossEntropy()
    assert torch.equal(mixed.random.get_state(), before)


# in a training


def ready(folder: Path, **changes: Any) -> list[tuple[Run, Trained]]:
    training = TINY["training"] | {"stages": [{"epochs": 2, "batch": 5}]} | changes.pop("training", {})
    shelf = Shelf([folder])
    runs = list(runs_of(tiny_study(**changes, training=training), shelf))[:2]
    return [(run, train(run, shelf.of(run), run.split(shelf.of(run)), CPU)) for run in runs]


def test_it_is_the_same_again_and_something_else_than_without(folder: Path):
    (_, one), _ = ready(folder, training={"mixup": 0.4})
    (_, again), _ = ready(folder, training={"mixup": 0.4})
    (_, without), _ = ready(folder)
    assert torch.equal(one.test, again.test) and one.curve == again.curve
    assert not torch.equal(one.test, without.test)


def test_all_losses_see_the_same_blends(folder: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[float, Tensor]] = []
    images = Mixup.images

    def noted(self: Mixup, shown: Tensor) -> Tensor:
        blended = images(self, shown)
        seen.append((self.share, blended))
        return blended

    monkeypatch.setattr(Mixup, "images", noted)
    ready(folder, training={"mixup": 0.4})
    half = len(seen) // 2
    assert half > 3
    for (share, one), (other_share, other) in zip(seen[:half], seen[half:], strict=True):
        assert share == other_share
        assert torch.equal(one, other)
    assert len({share for share, _ in seen[:half]}) == half


def test_an_alpha_of_nearly_nothing_blends_nearly_nothing(folder: Path):
    """Shares are 0 or 1 then; and a case with a share of 0 is its partner, so that batches are only shuffled."""
    (_, almost), _ = ready(folder, training={"mixup": 1e-9, "stages": [{"epochs": 2, "batch": 12}]})
    (_, without), _ = ready(folder, training={"stages": [{"epochs": 2, "batch": 12}]})
    torch.testing.assert_close(almost.test, without.test)


def test_runs_without_it_keep_the_keys_that_they_had(folder: Path):
    assert "mixup" not in Training(**TINY["training"]).protocol()
    assert Training(**TINY["training"] | {"mixup": 0.2}).protocol()["mixup"] == 0.2
    (plain, _), _ = ready(folder)
    (mixed, _), _ = ready(folder, training={"mixup": 0.2})
    assert plain.key != mixed.key
    assert "mixup" not in json.dumps(plain.spec)


@pytest.mark.parametrize(
    "changes",
    [
        {"losses": ["Dice()", "LabelSmoothing(CrossEntropy()) + Dice()"], "baseline": "Dice()"},
        {"losses": ["TopK(CrossEntropy(), fraction=0.5)", "Hinge()"], "baseline": "Hinge()"},
    ],
    ids=["overlaps", "elements"],
)
def test_masks_are_blended_too_and_a_study_runs_to_its_report(changes, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    masks = {
        "data": 'Arrays("tiny.npz", target="masks", group="patients")',
        "network": "UNet(width=2, depth=2, dropout=0.0)",
        "primary": "Jaccard()",
        "training": TINY["training"] | {"mixup": 0.3, "augment": ["Flip()"]},
    }
    study = write_study(folder, **masks, **changes)
    planned = cli("run", study, "--store", tmp_path / "store", "--plan", "--workers", 1)
    assert planned.code == 0, planned.err
    line = "cases blended in pairs, and their targets with them, in shares drawn from Beta(0.3, 0.3)"
    assert f"mixup: {line}" in planned.out
    done = cli("run", study, "--store", tmp_path / "store", "--workers", 1)
    assert done.code == 0, done.err
    assert line in (tmp_path / "store" / "studies" / "tiny" / "report.html").read_text().replace("<wbr>", "")


def test_several_classes_and_quantities_learn_from_blends(tmp_path: Path):
    write_tiny(tmp_path, classes=3)
    for _, trained in ready(
        tmp_path,
        losses=["CrossEntropy()", "Hinge(lift='top_rival')"],
        baseline="CrossEntropy()",
        primary="Accuracy()",
        training={"mixup": 0.4},
    ):
        assert trained.test.isfinite().all()


# who cannot


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        (
            "SupervisedContrastive()",
            "it compares cases of the same class with others, and a blend of two is of neither",
        ),
        ("Triplet()", "it compares cases"),
    ],
)
def test_a_loss_of_embeddings_is_refused_before_anything_starts(loss, why, folder, tmp_path):
    study = write_study(
        folder, losses=[loss, "Logistic()"], training=TINY["training"] | {"mixup": 0.2}, question="Do embeddings mix?"
    )
    for more in ([], ["--plan"]):
        answer = cli("run", study, "--store", tmp_path / "store", *more)
        assert answer.code == 2
        assert "training.mixup:" in answer.err and why in answer.err and "leave out mixup, or this loss" in answer.err
    assert not list((tmp_path / "store").glob("runs/*/*"))


def test_pairs_of_classes_are_refused(tmp_path: Path):
    """Four classes have six pairs, and proportions of classes say nothing about these."""
    write_tiny(tmp_path, cases=32, classes=4)
    loss = "Hinge(lift='one_versus_one')"
    study = write_study(
        tmp_path,
        losses=[loss],
        baseline=loss,
        primary="Accuracy()",
        training=TINY["training"] | {"mixup": 0.2},
    )
    answer = cli("run", study, "--store", tmp_path / "store")
    assert answer.code == 2
    assert "training.mixup: Hinge(lift='one_versus_one') cannot learn from blended cases: one_versus_one takes" in (
        answer.err
    )


def test_a_callable_that_takes_indices_alone_is_refused(tmp_path: Path):
    write_tiny(tmp_path, classes=3)
    code = """
import torch

def by_index(logits, target):
    return -logits.log_softmax(1).gather(1, target.unsqueeze(1)).mean()
"""
    loss = f"{write_code(tmp_path, code)}:by_index()"
    study = write_study(
        tmp_path,
        losses=["CrossEntropy()", loss],
        baseline="CrossEntropy()",
        primary="Accuracy()",
        training=TINY["training"] | {"mixup": 0.2},
    )
    answer = cli("run", study, "--store", tmp_path / "store")
    assert answer.code == 2
    assert "by_index() cannot learn from blended cases: " in answer.err


@pytest.mark.parametrize("alpha", ["0", "-1", "true", "a lot"])
def test_an_alpha_that_cannot_be(alpha: str, folder: Path, tmp_path: Path):
    answer = cli("run", write_study(folder), "--store", tmp_path / "store", "--set", f"training.mixup={alpha}")
    assert answer.code == 2
    assert "training.mixup: " in answer.err


@pytest.mark.parametrize("loss", [Dice(), SquaredError(of="probability")], ids=str)
def test_the_loss_is_asked_for_exclusive_classes(loss):
    assert Mixup(0.2, loss, THREE, Generator()).loss == loss.asking("exclusive")
    assert Mixup(0.2, loss, BINARY, Generator()).loss == loss
