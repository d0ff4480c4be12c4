"""Label smoothing: torch's around cross-entropy, and what other libraries mean by the same number."""

from math import exp, log

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from oracles_losses import batch, same
from whichloss import CrossEntropy, Dice, Hinge, LabelSmoothing, SupervisedContrastive, parse
from whichloss.core import FieldError

SHAPES = {"cases": (7, 4), "2-D": (3, 4, 6, 5), "3-D": (2, 4, 3, 4, 2)}


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize("share", [0.05, 0.1, 0.5, 1.0])
def test_around_cross_entropy_it_is_that_of_torch(share: float, space: str):
    logits, target, _ = batch(SHAPES[space])
    ours, theirs = LabelSmoothing(CrossEntropy(), share=share), nn.CrossEntropyLoss(label_smoothing=share)
    same(lambda u: ours(u, target), lambda u: theirs(u, target), logits)


@pytest.mark.parametrize("space", SHAPES)
def test_of_proportions_it_is_that_of_torch(space: str):
    logits, target, _ = batch(SHAPES[space], "proportions")
    ours = LabelSmoothing(CrossEntropy(classes="exclusive"), share=0.1)
    same(lambda u: ours(u, target), lambda u: nn.CrossEntropyLoss(label_smoothing=0.1)(u, target), logits)


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize("label", [-100, 255, 2])
def test_ignored_elements_stay_ignored(label: int, space: str):
    logits, target, _ = batch(SHAPES[space])
    if label != 2:
        target.flatten()[::3] = label
    ours = LabelSmoothing(CrossEntropy())
    theirs = nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=label)
    same(lambda u: ours(u, target, ignore_index=label), lambda u: theirs(u, target), logits)


def test_with_class_weights_only_what_is_divided_by_differs():
    """torch divides by the weights of the true classes; a weight map by those of the smoothed ones."""
    logits, target, _ = batch((3, 4, 5))
    prices = torch.tensor([1.0, 2.0, 5.0, 0.5], dtype=torch.float64)
    weight = prices.reshape(1, 4, 1).expand_as(logits)
    smoothed = 0.9 * F.one_hot(target, 4).movedim(-1, 1).double() + 0.1 / 4
    torchs = prices[target].sum() / (smoothed * weight).sum()
    ours, theirs = LabelSmoothing(CrossEntropy()), nn.CrossEntropyLoss(prices, label_smoothing=0.1)
    same(lambda u: ours(u, target, weight), lambda u: torchs * theirs(u, target), logits)


def test_yes_and_no_are_moved_by_half_the_share():
    """Of a yes at a logit of 2: 0.95 ln(1 + e^-2) + 0.05 ln(1 + e^2) = 0.2269; smp's 0.1 gives 0.3269."""
    logit, yes = torch.tensor([[2.0]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    value = LabelSmoothing(CrossEntropy(), share=0.1)(logit, yes).item()
    assert value == pytest.approx(0.95 * log(1 + exp(-2)) + 0.05 * log(1 + exp(2)))
    assert value == pytest.approx(0.2269, abs=5e-5)
    smp = F.binary_cross_entropy_with_logits(logit, (1 - yes) * 0.1 + yes * 0.9)  # its smooth_factor=0.1
    assert smp.item() == pytest.approx(0.3269, abs=5e-5)
    assert LabelSmoothing(CrossEntropy(), share=0.2)(logit, yes).item() == pytest.approx(smp.item())


def test_as_keras_smooths_yes_and_no():
    """Keras: y (1 - e) + e / 2."""
    logits, target, _ = batch((4, 3, 5), "yes/no")
    ours = LabelSmoothing(CrossEntropy(classes="independent"), share=0.3)
    same(
        lambda u: ours(u, target),
        lambda u: F.binary_cross_entropy_with_logits(u, 0.7 * target + 0.15),
        logits,
    )


def test_any_loss_of_classes_may_be_smoothed():
    logit, yes = torch.tensor([[0.5]]), torch.ones(1, 1)
    assert LabelSmoothing(Hinge(), share=0.4)(logit, yes).item() == pytest.approx(0.8 * 0.5 + 0.2 * 1.5)
    p = torch.tensor(0.5).sigmoid().item()
    tp, fp, fn = 0.8 * p, 0.2 * p, 0.8 * (1 - p)
    expected = 1 - 2 * (tp + 1) / (2 * (tp + 1) + fp + fn)
    assert LabelSmoothing(Dice(), share=0.4)(logit, yes).item() == pytest.approx(expected)


def test_the_optimum_is_a_sure_answer_no_more():
    """Cross-entropy pays for ever larger logits; smoothed, for those whose softmax is 0.9 + 0.1 / K."""
    logits = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([1])
    optimizer = torch.optim.LBFGS([logits], max_iter=100, line_search_fn="strong_wolfe")

    def step():
        optimizer.zero_grad()
        value = LabelSmoothing(CrossEntropy(), share=0.1)(logits, target)
        value.backward()
        return value

    optimizer.step(step)
    assert logits.softmax(1)[0].tolist() == pytest.approx([0.025, 0.925, 0.025, 0.025], abs=1e-4)


def test_in_a_sum_only_its_own_part_is_smoothed():
    logits, target, weight = batch((2, 3, 4), weight="element")
    both = parse("LabelSmoothing(CrossEntropy()) + 2 * Dice()")
    apart = LabelSmoothing(CrossEntropy())(logits, target, weight) + 2 * Dice()(logits, target, weight)
    assert both(logits, target, weight).item() == pytest.approx(apart.item(), rel=1e-12)
    assert both(logits, target, weight).item() != pytest.approx(parse("CrossEntropy() + 2 * Dice()")(
        logits, target, weight
    ).item())  # fmt: skip


def test_a_wrapper_changes_its_terms():
    logits, target, _ = batch((2, 3, 4))
    inner = LabelSmoothing(CrossEntropy()).terms(logits, target).value
    outer = parse("FocalPower(LabelSmoothing(CrossEntropy()), exponent=2)").terms(logits, target).value
    torch.testing.assert_close(outer, inner.square())


@pytest.mark.parametrize("text", ["AbsoluteError()", "Huber()", "Triplet()", "CrossEntropy() + SquaredError()"])
def test_what_asks_for_no_classes_is_refused(text: str):
    with pytest.raises(ValueError, match=r"LabelSmoothing softens classes, and .* does not ask for them"):
        LabelSmoothing(parse(text))


def test_embeddings_and_what_is_somebody_else_s_are_refused():
    with pytest.raises(FieldError, match="softens classes, and SupervisedContrastive"):
        LabelSmoothing(SupervisedContrastive())
    with pytest.raises(FieldError, match="softens classes, and CrossEntropyLoss"):
        LabelSmoothing(parse("torch.nn:CrossEntropyLoss()", imports=True))


def test_a_share_beyond_one_is_refused():
    with pytest.raises(FieldError, match=r"share is 10.*at most 1"):
        LabelSmoothing(CrossEntropy(), share=10)
