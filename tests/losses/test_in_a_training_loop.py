"""A loss where it is used: a plain loop, mixed precision, an `nn.Module`, a pickle, another device's worker."""

import copy
import pickle

import pytest
import torch
from torch import nn

from whichloss import CrossEntropy, Dice, Hinge, Logistic, parse, plain

TEXTS = ["Lorenz()", "CrossEntropy() + 0.5 * Dice()", "FocalPower(Tversky(), exponent=0.75)", "AdaptiveLog(Dice())"]
EMBEDDINGS = [
    "SupervisedContrastive()",
    "SupervisedContrastive(temperature=1.0, normalize=False)",
    "Triplet()",
    "Triplet(mining='all')",
    "Triplet(mining='violating')",
    "Triplet(normalize=False)",
    "ContrastivePair()",
    "ContrastivePair(normalize=False)",
    "NTXent()",
    "MultiSimilarity()",
]


def two_moons(seed=0):
    torch.manual_seed(seed)
    images = torch.randn(16, 1, 8, 8)
    return images, (images > 0.3).float()


def train(loss, steps=60, autocast=False):
    images, target = two_moons()
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    values = []
    for _ in range(steps):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            value = loss(network(images), target)
        value.backward()
        optimizer.step()
        values.append(value.item())
    return values


@pytest.mark.parametrize("text", TEXTS)
def test_a_plain_loop_learns(text):
    values = train(parse(text))
    assert values[-1] < 0.7 * values[0]


def nearest_neighbours_agree(embeddings, target):
    """The share of cases whose nearest other case is of their class."""
    distance = torch.cdist(embeddings, embeddings).fill_diagonal_(torch.inf)
    return (target[distance.argmin(1)] == target).float().mean().item()


@pytest.mark.parametrize("text", EMBEDDINGS)
def test_an_embedding_brings_classes_apart(text):
    """Two classes that one weak input tells apart, under seven loud ones that tell nothing."""
    torch.manual_seed(0)
    target = torch.arange(32) % 2
    cases = 2 * torch.randn(32, 8)
    cases[:, 0] = 2.0 * target - 1 + 0.1 * torch.randn(32)
    network, loss = nn.Linear(8, 4), parse(text)
    assert nearest_neighbours_agree(network(cases).detach(), target) < 0.8
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    first = loss(network(cases), target).item()
    for _ in range(150):
        optimizer.zero_grad()
        value = loss(network(cases), target)
        value.backward()
        optimizer.step()
    embeddings = network(cases).detach()
    learned = nn.functional.normalize(embeddings) if loss.normalize else embeddings
    assert nearest_neighbours_agree(learned, target) == 1
    assert value.item() < 0.9 * first


@pytest.mark.parametrize("text", TEXTS)
def test_a_loop_in_mixed_precision_learns_the_same(text):
    mixed, full = train(parse(text), autocast=True), train(parse(text))
    assert mixed[0] == pytest.approx(full[0], rel=0.02)
    assert mixed[-1] < 0.7 * mixed[0]


def test_values_in_mixed_precision_are_float32():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for text in (*TEXTS, "Focal()", "Hinge(lift='top_rival')"):
            logits = torch.zeros(2, 3, 4, dtype=torch.bfloat16, requires_grad=True)
            value = parse(text)(logits, torch.zeros(2, 4).long())
            value.backward()
            assert value.dtype == torch.float32
            assert logits.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.float16, torch.float64])
def test_a_yes_or_no_target_of_any_type(dtype):
    logits, target = torch.tensor([[0.5], [-2.0]]), torch.tensor([[1], [0]])
    assert torch.equal(Dice()(logits, target.to(dtype)), Dice()(logits, target.float()))


def test_the_module_of_a_loss():
    loss = CrossEntropy() + 0.5 * Dice()
    module = loss.module()
    logits, target = torch.randn(2, 3, 4), torch.zeros(2, 4).long()
    weight = torch.rand(2, 4)
    assert isinstance(module, nn.Module)
    assert not list(module.parameters())
    assert not module.state_dict()
    assert torch.equal(module(logits, target), loss(logits, target))
    assert torch.equal(module(logits, target, weight), loss(logits, target, weight))
    assert "CrossEntropy + 0.5 * Dice" in repr(module)
    assert torch.equal(copy.deepcopy(module)(logits, target), loss(logits, target))


@pytest.mark.parametrize("text", TEXTS)
def test_a_pickled_loss_is_the_loss(text):
    loss = parse(text)
    logits, target = torch.randn(2, 1, 4), torch.ones(2, 1, 4)
    for other in (pickle.loads(pickle.dumps(loss)), copy.copy(loss), copy.deepcopy(loss)):
        assert other == loss
        assert hash(other) == hash(loss)
        assert repr(other) == repr(loss)
        assert torch.equal(other(logits, target), loss(logits, target))


def test_a_loss_is_frozen_and_takes_its_fields_by_name():
    with pytest.raises(AttributeError):
        Dice().smooth = 2.0
    with pytest.raises(TypeError):
        Dice("batch")


def test_weights_need_no_list_in_the_algebra():
    assert 2 * (CrossEntropy() + 0.5 * Dice()) == 2 * CrossEntropy() + Dice()
    assert 1 * Dice() == Dice()
    assert repr(0.5 * (Dice() + Dice())) == repr(0.5 * Dice() + 0.5 * Dice())
    for wrong in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite number above 0"):
            wrong * Dice()
    for wrong in (True, "2", None, torch.tensor(2.0)):
        with pytest.raises(TypeError):
            wrong * Dice()
    with pytest.raises(TypeError):
        Dice() + 1
    with pytest.raises(ValueError, match="beyond what a number can hold"):
        1e-300 * (1e-300 * Dice())


def test_second_derivatives_of_the_plain_formula():
    logits = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.randint(3, (2, 4))
    with plain():
        for loss in (Logistic(), Dice(), CrossEntropy()):
            assert torch.autograd.gradgradcheck(lambda u, loss=loss: loss(u, target), logits)


@pytest.mark.parametrize("loss", [Hinge(), Dice(), CrossEntropy()], ids=lambda one: one.label)
def test_logits_that_are_not_contiguous(loss):
    logits = torch.randn(2, 5, 4, 3).permute(0, 3, 1, 2)
    target = torch.randint(3, (2, 4, 5)).transpose(1, 2)
    assert torch.allclose(loss(logits, target), loss(logits.contiguous(), target.contiguous()))


@pytest.mark.parametrize(
    "text", ["Hinge()", "Hinge(lift='top_rival')", "Focal()", "CrossEntropy()", "Dice()", "AdaptiveLog(Dice())"]
)
def test_an_empty_batch_is_zero_with_a_graph(text):
    logits = torch.zeros(0, 3, 4, requires_grad=True)
    value = parse(text)(logits, torch.zeros(0, 4).long())
    value.backward()
    assert value.item() == 0
