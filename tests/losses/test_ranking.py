"""Rank losses: surrogates of 1 - the area under the ROC curve, over all pairs of a batch."""

import csv
from math import exp, log1p
from pathlib import Path

import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from oracles_losses import batch, same
from small_studies import cli, execute_here, write_study, write_tiny
from whichloss import parse
from whichloss.core import UserError
from whichloss.core.lifts import ranking
from whichloss.core.loss import Loss


def clinic(cases: int = 60, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, rare yes among no, and weights of which some are 0."""
    random = torch.Generator().manual_seed(seed)
    target = (torch.rand(cases, 1, generator=random) < 0.2).long()
    scores = torch.randn(cases, 1, generator=random, dtype=torch.float64) + target
    weight = 2 * torch.rand(cases, generator=random, dtype=torch.float64)
    return scores, target, torch.where(weight < 0.3, 0.0, weight)


# what LibAUC's PairwiseAUCLoss computes: the mean of a surrogate of f_pos - f_neg


SURROGATES = {
    "SquaredHinge": lambda t: max(0.0, 1 - t) ** 2,
    "Logistic": lambda t: log1p(exp(-t)),
    "Hinge": lambda t: max(0.0, 1 - t),
    "Lorenz": lambda t: log1p(max(0.0, 1 - t) ** 2),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", SURROGATES)
def test_the_mean_of_a_surrogate_over_pairs_of_yes_and_no(name: str, weighted: bool):
    scores, target, weight = clinic()
    w = weight.tolist() if weighted else [1.0] * len(scores)
    yes, no = (
        [(u[0], v) for u, y, v in zip(scores.tolist(), target.tolist(), w, strict=True) if y[0] == said]
        for said in (1, 0)
    )
    total = sum(v * z * SURROGATES[name](p - n) for p, v in yes for n, z in no)
    expected = total / sum(v * z for _, v in yes for _, z in no)
    found = parse(f"{name}(lift='ranking')")(scores, target, weight if weighted else None)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_a_shift_of_all_scores_changes_nothing_so_that_there_is_no_threshold_and_no_probability():
    scores, target, weight = clinic()
    loss = parse("Logistic(lift='ranking')")
    assert loss(scores + 7, target, weight).item() == pytest.approx(loss(scores, target, weight).item(), rel=1e-12)
    assert loss.probability(scores) is None
    assert parse("Logistic()").probability(scores) is not None
    assert loss.reach == "pairs"


def test_in_a_study_a_threshold_is_tuned_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Scores that lie anywhere, and an answer that is as good as the ranking once a threshold is found."""
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    labels = torch.arange(48) // 2 % 2
    images = labels[:, None, None] + 0.3 * torch.randn(48, 8, 8, generator=torch.Generator().manual_seed(0))
    write_tiny(tmp_path, cases=48, images=images.numpy())
    file = write_study(
        tmp_path, losses=["Logistic(lift='ranking')"], baseline="Logistic(lift='ranking')", primary="Accuracy()",
        secondary=["RocAuc()"], network="SmallConvNet(width=8, depth=1, features=16, normalize=False)",
        training={"optimizer": "Adam(lr=0.02)", "stages": [{"epochs": 15, "batch": 12}], "device": "cpu"},
    )  # fmt: skip
    answer = cli("run", file, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 0, answer.err
    with (tmp_path / "store" / "studies" / "tiny" / "results.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == "test"]
    found = {word: [float(row["value"]) for row in rows if word in row["metric"]] for word in ("tuned", "RocAuc")}
    assert min(found["RocAuc"]) > 0.9 and min(found["tuned"]) > 0.8


# classes and channels


def test_classes_that_are_on_one_side_only_have_no_say_and_the_others_count_alike():
    """Class 2 is absent; class 0 against the rest has two pairs, class 1 the same two turned round."""
    scores = torch.tensor([[0.0, 1.0, 9.0], [3.0, 1.5, 9.0], [1.0, 0.0, -9.0]], dtype=torch.float64)
    target = torch.tensor([0, 1, 1])
    # class 0: 0 - 3 and 0 - 1, hinges 4 and 2; class 1: 1.5 - 1 and 0 - 1, hinges 0.5 and 2
    assert parse("Hinge(lift='ranking')")(scores, target).item() == pytest.approx((3 + 1.25) / 2)
    terms = parse("Hinge(lift='ranking')").terms(scores, target)
    assert terms.weight.sum().item() == pytest.approx(4)  # as many as there are pairs


def test_a_rare_class_counts_as_much_as_a_common_one():
    """Twelve cases of two classes, and one of a third that is ranked badly: a third of the loss, not 12 of 96 pairs."""
    target = torch.tensor([0] * 6 + [1] * 6 + [2])
    scores = 9.0 * torch.nn.functional.one_hot(target, 3).double()
    scores[-1, 2] = -1
    value = parse("ZeroOne(lift='ranking')")(scores, target).item()
    assert value == pytest.approx(1 / 3)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
@pytest.mark.parametrize("large", [False, True])
def test_where_one_side_is_missing_the_value_is_0_with_a_graph(
    labels: list[int], large: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ranking, "AT_ONCE", 1 if large else 1 << 22)
    leaf = torch.randn(3, 1, requires_grad=True)
    value = parse("SquaredHinge(lift='ranking')")(leaf, torch.tensor(labels).unsqueeze(1))
    value.backward()
    assert value.item() == 0
    assert leaf.grad is not None and (leaf.grad == 0).all()


# many elements


@pytest.mark.parametrize("at_once", [1, 7, 300, 2000])
@pytest.mark.parametrize("form", ["index", "proportions", "yes/no"])
@pytest.mark.parametrize("text", ["Hinge", "Logistic", "Savage", "TorchMarginRanking"])
def test_in_parts_it_is_the_same(text: str, form: str, at_once: int, monkeypatch: pytest.MonkeyPatch):
    logits, target, weight = batch((3, 3, 3, 3), form, "element and channel")
    asks = {"proportions": "exclusive", "yes/no": "independent"}.get(form, "auto")
    loss = parse(f"{text}(lift='ranking', classes={asks!r})")
    calls = []

    def in_parts(u: Tensor) -> Tensor:
        with monkeypatch.context() as patch:
            patch.setattr(ranking, "AT_ONCE", at_once)
            calls.append(u.requires_grad)
            value = loss(u, target, weight)
            return value

    monkeypatch.setattr(ranking, "AT_ONCE", 1 << 22)
    same(in_parts, lambda u: loss(u, target, weight), logits)
    assert calls == [True]


def test_memory_grows_with_the_elements_and_not_with_the_pairs(monkeypatch: pytest.MonkeyPatch):
    """No tensor that the formula sees is larger than what may be in memory at once, and nothing is kept."""
    seen: list[int] = []

    class Counted(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            found = function(*args, **(kwargs or {}))
            if isinstance(found, Tensor):
                seen.append(found.numel())
            return found

    monkeypatch.setattr(ranking, "AT_ONCE", 1000)
    scores, target, weight = clinic(400)
    leaf = scores.requires_grad_()
    kept: list[int] = []

    def keep(x: Tensor) -> Tensor:
        kept.append(x.numel())
        return x

    with Counted(), torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        value = parse("Hinge(lift='ranking')")(leaf, target, weight)
    value.backward()
    assert max(seen) <= 1000
    assert max(kept) <= 400
    assert leaf.grad is not None and leaf.grad.abs().sum() > 0


@pytest.mark.parametrize("at_once", [5, 1 << 22])
def test_it_has_second_derivatives(at_once: int, monkeypatch: pytest.MonkeyPatch):
    scores, target, weight = clinic(12)
    target[:3] = 1
    loss, leaf = parse("Logistic(lift='ranking')"), scores.requires_grad_()
    monkeypatch.setattr(ranking, "AT_ONCE", at_once)
    assert torch.autograd.gradgradcheck(lambda u: loss(u, target, weight), leaf)


def test_too_many_elements_are_refused_with_a_remedy():
    """Dense volumes: 2 x 64^3 voxels make 2.7e11 pairs, and a step would take an hour."""
    volume = torch.zeros(1).expand(2, 1, 64, 64, 64)  # takes no memory
    with pytest.raises(UserError, match=r"make 2\.7e\+11 pairs.*\n.*rank cases, not voxels; or train on smaller"):
        parse("Hinge(lift='ranking')")(volume, volume)
    few = torch.zeros(1).expand(1, 1, 1024)
    assert parse("Hinge(lift='ranking')")(few, few).item() == 0


@pytest.mark.parametrize(
    ("training", "code"),
    [
        ({"stages": [{"epochs": 1, "batch": 8}]}, 2),
        ({"stages": [{"epochs": 1, "batch": 2}]}, 0),
        ({"stages": [{"epochs": 1, "batch": 8}], "patches": "Patches(size=(4, 4))"}, 0),
    ],
)
def test_a_study_of_too_many_voxels_is_refused_and_its_remedies_work(
    tmp_path: Path, training: dict, code: int, monkeypatch: pytest.MonkeyPatch
):
    """Masks of 8 x 8: a batch of eight makes 512 voxels, one of two, or of patches, 128."""
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    monkeypatch.setattr(ranking, "MOST", 150**2)
    write_tiny(tmp_path)
    file = write_study(
        tmp_path, losses=["Hinge(lift='ranking')"], baseline="Hinge(lift='ranking')", primary="Jaccard()",
        data='Arrays("tiny.npz", target="masks", group="patients")', network="UNet(width=2, depth=2, dropout=0.0)",
        training={"optimizer": "Adam(lr=0.01)", "device": "cpu", **training},
    )  # fmt: skip
    answer = cli("run", file, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == code, answer.err
    assert ("rank cases, not voxels" in answer.err) == (code == 2) and "Traceback" not in answer.err


# the AUC margin loss, which is not here: why the squared hinge is not it, and what it is on a batch


def auc_margin(scores: Tensor, target: Tensor, m: float) -> float:
    """The min-max over a, b and alpha >= 0, as LibAUC prints it, solved by a general optimiser; over p (1 - p)."""
    yes, no = scores[target == 1].numpy(), scores[target == 0].numpy()

    def value(a: float, b: float, alpha: float) -> float:
        spread = ((yes - a) ** 2).mean() + ((no - b) ** 2).mean()
        return float(spread + 2 * alpha * (m + no.mean() - yes.mean()) - alpha**2)

    def largest(ab: Tensor) -> float:
        found = minimize(lambda x: -value(*ab, x[0]), [0.5], bounds=[(0, None)])
        return -float(found.fun)

    return float(minimize(largest, [0.1, -0.1], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12}).fun)


def closed(scores: Tensor, target: Tensor, m: float) -> float:
    yes, no = scores[target == 1], scores[target == 0]
    spread = yes.var(correction=0) + no.var(correction=0)
    return (spread + (m - yes.mean() + no.mean()).clamp_min(0) ** 2).item()


@pytest.mark.parametrize(("gap", "below"), [(0.0, True), (0.7, True), (3.0, False)])
def test_the_auc_margin_loss_of_a_batch_is_not_the_squared_hinge_of_its_pairs(gap: float, below: bool):
    scores, target, _ = clinic(40, seed=2)
    u, y = (scores - scores.mean() + (gap - 1) * target).flatten(), target.flatten()
    u = u - (u[y == 1].mean() - u[y == 0].mean() - gap) * y  # the means lie exactly a gap apart
    m = 1.0
    assert auc_margin(u, y, m) == pytest.approx(closed(u, y, m), rel=1e-6)
    squares = torch.stack([(m - (p - n)) ** 2 for p in u[y == 1] for n in u[y == 0]]).mean().item()
    assert (closed(u, y, m) == pytest.approx(squares, rel=1e-12)) is below
    hinge = parse("SquaredHinge(lift='ranking')")(u.unsqueeze(1), target).item()
    assert hinge < 0.97 * closed(u, y, m)


def test_where_no_pair_leads_by_more_than_the_margin_they_are_one():
    scores, target, _ = clinic(40, seed=2)
    u = 0.1 * scores
    hinge: Loss = parse("SquaredHinge(lift='ranking')")
    assert hinge(u, target).item() == pytest.approx(closed(u.flatten(), target.flatten(), 1.0), rel=1e-12)
