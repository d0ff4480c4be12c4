"""Terms keep their grain: a value for each case or voxel, or for each image and class, and the say that it has."""

import pytest
import torch

from oracles_losses import asking, batch
from whichloss import CrossEntropy, Dice, FocalPower, Hinge, parse
from whichloss.core import Terms, mean

LIFTS = ["one_versus_rest", "one_versus_one", "each_rival", "top_rival", "sum_to_zero"]
ELEMENTWISE = [
    *(f"Lorenz(lift={lift!r}, per_class={per_class!r})" for lift in LIFTS for per_class in ("mean", "sum")),
    "CrossEntropy()",
    "Focal()",
]


@pytest.mark.parametrize("form", ["index", "proportions"])
@pytest.mark.parametrize("text", ELEMENTWISE)
def test_a_term_weighs_as_its_element_does(text, form):
    logits, target, weight = batch((2, 3, 4, 2), form, "element")
    loss = parse(asking(text, form))
    value, say = loss.terms(logits, target, weight)
    assert value.shape == weight.shape
    torch.testing.assert_close(say, weight)
    alone = loss.terms(logits[1:, :, 2:3, 1:], target[1:, ..., 2:3, 1:])
    torch.testing.assert_close(value[1, 2, 1], alone.value[0, 0, 0])


@pytest.mark.parametrize("text", ["CrossEntropy()", "Hinge()", "Focal(alpha=0.25)"])
def test_a_term_of_independent_channels_weighs_as_their_mean(text):
    logits, target, weight = batch((2, 3, 4), "yes/no", "element and channel")
    value, say = parse(asking(text, "yes/no")).terms(logits, target, weight)
    assert value.shape == (2, 4)
    torch.testing.assert_close(say, weight.mean(1))


@pytest.mark.parametrize(
    ("fields", "shape", "say"),
    [
        ({}, (2, 3), [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]),
        ({"over": "batch"}, (1, 3), [[1.0, 1.0, 1.0]]),
        ({"background": False}, (2, 2), [[1.0, 1.0], [0.0, 0.0]]),
        ({"class_weight": (1.0, 2.0, 5.0)}, (2, 3), [[1.0, 2.0, 5.0], [0.0, 0.0, 0.0]]),
        ({"empty": "skip"}, (2, 3), [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]),
        ({"empty": "zero"}, (2, 3), [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]),
    ],
    ids=str,
)
def test_a_region_loss_has_a_term_for_each_image_and_class(fields, shape, say):
    """The last class is nowhere, and the second image is masked: it has no say."""
    logits, target, _ = batch((2, 3, 6), classes=2)
    weight = torch.ones(2, 6, dtype=torch.float64)
    weight[1] = 0
    value, found = Dice(**fields).terms(logits, target, weight)
    assert value.shape == shape
    assert found.tolist() == say


def test_a_sum_is_one_term():
    logits, target, weight = batch((2, 3, 4), weight="element")
    value, say = (Dice() + 2 * Hinge()).terms(logits, target, weight)
    assert say.tolist() == [1.0]
    assert value.item() == pytest.approx((Dice()(logits, target, weight) + 2 * Hinge()(logits, target, weight)).item())


@pytest.mark.parametrize("loss", [Dice(), CrossEntropy()], ids=lambda loss: loss.label)
def test_a_wrapper_changes_each_term(loss):
    logits, target, weight = batch((2, 3, 4), weight="element")
    inner, outer = loss.terms(logits, target, weight), FocalPower(loss, exponent=0.5).terms(logits, target, weight)
    torch.testing.assert_close(outer.value, inner.value.sqrt())
    assert torch.equal(outer.weight, inner.weight)


def test_the_mean_asks_only_those_with_a_say():
    terms = Terms(torch.tensor([1.0, 4.0, float("nan"), float("inf")]), torch.tensor([3.0, 1.0, 0.0, 0.0]))
    assert mean(terms).item() == pytest.approx(7 / 4)
    value = torch.tensor([5.0, float("nan")], requires_grad=True)
    nothing = mean(Terms(value, torch.zeros(2)))
    nothing.backward()
    assert nothing.item() == 0
    assert value.grad.tolist() == [0.0, 0.0]


def test_a_channel_without_say_may_hold_anything():
    logits, target, weight = batch((2, 3, 4), weight="element and channel")
    weight[:, 2] = 0
    hollow = logits.clone()
    hollow[:, 2] = float("nan")
    leaf = hollow.requires_grad_()
    value = Hinge()(leaf, target, weight)
    value.backward()
    assert value.item() == pytest.approx(Hinge()(logits, target, weight).item())
    assert (leaf.grad[:, 2] == 0).all()
