"""Losses of embeddings and of cosines beside those of pytorch-metric-learning, in value and in gradient."""

from math import degrees

import pytest
import torch
from torch import Tensor

from oracles_losses import batch, same
from whichloss import parse
from whichloss.networks.layers import CosineHead

peers = pytest.importorskip("pytorch_metric_learning.losses", reason="the extra dev brings the peer")

LABELS = {
    "pairs": [0, 0, 1, 1, 2, 2, 3, 3],
    "several of each": [0, 0, 0, 1, 1, 1, 1, 2],
    "two classes": [0, 1, 0, 0, 1, 0, 1, 0],
    "most alone": [0, 1, 2, 3, 4, 5, 6, 6],
}


def theirs(name: str, **fields: float) -> torch.nn.Module:
    return getattr(peers, name)(**fields)


EMBEDDING = {
    "NTXent(temperature=0.07)": lambda: theirs("NTXentLoss"),
    "NTXent(temperature=0.5)": lambda: theirs("NTXentLoss", temperature=0.5),
    "MultiSimilarity()": lambda: theirs("MultiSimilarityLoss"),
    "MultiSimilarity(alpha=0.5, beta=8, threshold=0.1)": lambda: theirs(
        "MultiSimilarityLoss", alpha=0.5, beta=8, base=0.1
    ),
    "SupervisedContrastive()": lambda: theirs("SupConLoss", temperature=0.1),
    "Triplet(margin=0.05, mining='violating')": lambda: theirs("TripletMarginLoss"),
    "Triplet(margin=0.3, mining='violating')": lambda: theirs("TripletMarginLoss", margin=0.3),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("text", EMBEDDING)
def test_embeddings(text: str, labels: list[int]):
    embeddings, _, _ = batch((8, 5))
    loss, target = parse(text), torch.tensor(labels)
    same(lambda x: loss(x, target), lambda x: EMBEDDING[text]()(x, target), embeddings)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 5.0])
def test_two_views_of_each_image_are_supervised_contrastive_and_simclr(temperature: float):
    """With two of each class there is one friend, and all three are cross-entropy over the others of the batch."""
    views, _, _ = batch((10, 4))
    target = torch.arange(5).repeat(2)

    def simclr(x: Tensor) -> Tensor:
        unit = x / x.norm(dim=1, keepdim=True)
        similarity = (unit @ unit.T / temperature).masked_fill(torch.eye(10).bool(), -torch.inf)
        return torch.nn.functional.cross_entropy(similarity, (torch.arange(10) + 5) % 10)

    one, other = (parse(f"{name}(temperature={temperature})") for name in ("NTXent", "SupervisedContrastive"))
    same(lambda x: one(x, target), simclr, views)
    same(lambda x: one(x, target), lambda x: other(x, target), views)


def test_three_of_a_class_are_not_supervised_contrastive():
    """By hand: three friends at one point and a stranger opposite, at temperature 1."""
    points = torch.tensor([[1.0, 0.0]] * 3 + [[-1.0, 0.0]], dtype=torch.float64)
    target = torch.tensor([0, 0, 0, 1])
    e = torch.tensor(1.0, dtype=torch.float64).exp()
    pair = -(e / (e + 1 / e)).log()  # the friend and the stranger
    group = -(e / (2 * e + 1 / e)).log()  # both friends and the stranger
    assert parse("NTXent(temperature=1)")(points, target).item() == pytest.approx(pair.item())
    assert parse("SupervisedContrastive(temperature=1)")(points, target).item() == pytest.approx(group.item())


COSINE = {
    "CosFace()": lambda: theirs("CosFaceLoss", num_classes=4, embedding_size=6),
    "CosFace(margin=0.1, scale=10)": lambda: theirs(
        "CosFaceLoss", num_classes=4, embedding_size=6, margin=0.1, scale=10
    ),
    "ArcFace()": lambda: theirs("ArcFaceLoss", num_classes=4, embedding_size=6, margin=degrees(0.5)),
    "ArcFace(margin=1.5, scale=8)": lambda: theirs(
        "ArcFaceLoss", num_classes=4, embedding_size=6, margin=degrees(1.5), scale=8
    ),
}


def copied(text: str, dtype: torch.dtype = torch.float64) -> tuple[torch.nn.Module, CosineHead]:
    """Their loss, and our head with its class vectors."""
    torch.manual_seed(3)
    loss = COSINE[text]().to(dtype)
    head = CosineHead(6, 4).to(dtype)
    head.weight.data = loss.W.detach().T.clone()
    return loss, head


@pytest.mark.parametrize("text", COSINE)
def test_cosines(text: str):
    """The class vectors live in their loss, and in our network."""
    features, target, _ = batch((40, 6), classes=4)
    loss, head = copied(text)
    ours = parse(text)
    same(lambda x: ours(head(x), target), lambda x: loss(x, target), features)
    ours(head(features), target).backward()
    loss(features, target).backward()
    assert head.weight.grad is not None
    torch.testing.assert_close(head.weight.grad.T, loss.W.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("text", ["ArcFace()", "ArcFace(margin=1.5, scale=8)"])
def test_features_that_point_at_their_class_have_a_finite_gradient(text: str):
    """The slope of an angle is infinite where it is 0, and theirs is NaN for some of such features; ours never is."""
    loss, head = copied(text, torch.float32)
    target = torch.arange(4).repeat(25)
    lengths = torch.linspace(0.5, 9, 100).unsqueeze(1)
    slopes = []
    for compute in (lambda x: loss(x, target), lambda x: parse(text)(head(x), target)):
        leaf = (lengths * head.weight.detach()[target]).requires_grad_()
        slopes.append(torch.autograd.grad(compute(leaf), leaf)[0])
    assert not slopes[0].isfinite().all()
    assert slopes[1].isfinite().all()
