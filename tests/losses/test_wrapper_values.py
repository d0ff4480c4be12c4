"""Wrappers change each term of another loss: per image and class, per voxel, or the total of a sum."""

from math import log

import pytest
import torch

from oracles_losses import adaptive_log, agree, batch, dice, likelihood_loss, region_loss, tversky
from whichloss import AdaptiveLog, Dice, parse
from whichloss.core import FieldError, UserError


def nearly_right(size):
    """Logits that are right by `size` everywhere."""
    logits, target, _ = batch((3, 3, 5))
    return size * torch.nn.functional.one_hot(target, 3).movedim(-1, 1).to(logits), target


@pytest.mark.parametrize("exponent", [0.3, 0.75, 1.0, 2.5])
@pytest.mark.parametrize("over", ["image", "batch"])
def test_focal_power_is_a_power_of_each_class_and_image(exponent, over):
    loss = parse(f"FocalPower(Tversky(over={over!r}), exponent={exponent})")
    agree(loss, region_loss(tversky(0.3, 0.7), over=over, bend=lambda v: v**exponent), *batch((3, 3, 5)))


def test_focal_power_of_a_likelihood_is_a_power_of_each_voxel():
    agree(
        parse("FocalPower(CrossEntropy(), exponent=0.5)"),
        likelihood_loss(lambda log_p: (-log_p) ** 0.5),
        *batch((3, 3, 5)),
    )


@pytest.mark.parametrize("size", [0.5, 2.0, 5.0])
@pytest.mark.parametrize(
    ("fields", "bend"),
    [
        ("", adaptive_log()),
        (", threshold=0.3, scale=2.0, offset=1.0", adaptive_log(0.3, 2.0, 1.0)),
        (", join='smooth'", adaptive_log(0.1, 0.6, 0.5)),
        (", threshold=0.25, offset=0.75, join='smooth'", adaptive_log(0.25, 1.0, 0.75)),
    ],
)
def test_adaptive_log_of_each_class_and_image(fields, bend, size):
    agree(parse(f"AdaptiveLog(Dice(){fields})"), region_loss(dice, bend=bend), *nearly_right(size))


def test_adaptive_log_as_the_paper_ran_it():
    loss = parse("AdaptiveLog(Dice(over='batch', smooth=0.5))")
    agree(loss, region_loss(dice, over="batch", smooth=0.5, bend=adaptive_log()), *nearly_right(4.0))


def test_a_wrapper_of_a_sum_changes_the_total():
    oracle_dice, oracle_entropy = region_loss(dice), likelihood_loss(lambda log_p: -log_p)

    def oracle(logits, target, weight):
        return (2 * oracle_dice(logits, target, weight) + oracle_entropy(logits, target, weight)) ** 0.75

    agree(parse("FocalPower(2 * Dice() + CrossEntropy())"), oracle, *batch((3, 3, 5)))


def test_a_sum_of_wrappers_adds_their_means():
    one, other = region_loss(dice, bend=adaptive_log()), region_loss(tversky(0.3, 0.7), bend=lambda v: v**0.5)

    def oracle(logits, target, weight):
        return 0.5 * one(logits, target, weight) + 3 * other(logits, target, weight)

    agree(parse("0.5 * AdaptiveLog(Dice()) + 3 * FocalPower(Tversky(), exponent=0.5)"), oracle, *batch((3, 3, 5)))


# AdaptiveLog: what the formula has, and what its paper says it has


def gradient(text, logits, target):
    leaf = logits.clone().requires_grad_()
    value = parse(text)(leaf, target)
    return value.item(), torch.autograd.grad(value, leaf)[0]


ONE_LESION = torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)


def test_adaptive_log_trains_as_dice_does_above_the_threshold():
    logits = torch.tensor([[[1.0, -1.0]]], dtype=torch.float64)
    inner, slope = gradient("Dice()", logits, ONE_LESION)
    value, steep = gradient("AdaptiveLog(Dice())", logits, ONE_LESION)
    assert inner >= 0.1
    assert torch.equal(steep, slope)
    assert value == pytest.approx(inner + 10 * log(1.2) - 0.1)  # D + 1.723: curves of the two cannot be compared


@pytest.mark.parametrize("size", [3.5, 5.0, 10.0])
def test_adaptive_log_multiplies_the_gradient_below_the_threshold(size):
    logits = torch.tensor([[[size, -size]]], dtype=torch.float64)
    inner, slope = gradient("Dice()", logits, ONE_LESION)
    _, steep = gradient("AdaptiveLog(Dice())", logits, ONE_LESION)
    assert inner < 0.1
    assert torch.allclose(steep, slope * 10 / (0.5 + inner), rtol=1e-12, atol=0)
    assert 16.6 < (steep / slope).mean() <= 20


@pytest.mark.parametrize(("join", "left"), [("continuous", 10 / 0.6), ("smooth", 1.0)])
def test_the_slope_of_adaptive_log_at_its_threshold(join, left):
    loss = parse(f"AdaptiveLog(Dice(), join={join!r})")
    value = torch.tensor([0.1 - 1e-9, 0.1 + 1e-9], dtype=torch.float64, requires_grad=True)
    height = loss.formula(value)
    (slope,) = torch.autograd.grad(height.sum(), value)
    assert slope.tolist() == pytest.approx([left, 1.0], abs=1e-6)
    assert height[1].item() == pytest.approx(height[0].item(), abs=1e-7)  # continuous either way


def test_adaptive_log_at_the_ends_of_dice():
    heights = parse("AdaptiveLog(Dice())").formula(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert heights.tolist() == pytest.approx([0.0, 2.7232155], abs=1e-6)


def test_a_smooth_join_has_one_scale():
    assert parse("AdaptiveLog(Dice(), join='smooth')") == parse("AdaptiveLog(Dice(), scale=3.0, join='smooth')")
    assert parse("AdaptiveLog(Dice(), threshold=0.2, join='smooth')").scale == pytest.approx(0.7)


def test_a_smooth_join_refuses_a_scale_that_no_number_can_hold():
    with pytest.raises(FieldError):
        AdaptiveLog(Dice(), threshold=1e308, offset=1e308, join="smooth")


@pytest.mark.parametrize(
    ("text", "says"),
    [("FocalPower(1)", "it must be a loss, such as Dice"), ("FocalPower()", "FocalPower needs loss")],
)
def test_a_wrapper_needs_a_loss(text, says):
    with pytest.raises(UserError, match=says):
        parse(text)


# ranges, which wrappers and reports rely on


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("Dice()", 0, 1),
        ("2 * Dice() + 3 * Tversky()", 0, 5),
        ("FocalPower(4 * Dice(), exponent=0.5)", 0, 2),
        ("AdaptiveLog(Dice())", 0, 2.7232155),
        ("AdaptiveLog(CrossEntropy())", 0, float("inf")),
        ("Lorenz(per_class='sum')", 0, float("inf")),
        ("Tangent()", 0, 5.5516525),
        ("Tangent(form='original')", 0, 17.1528),
    ],
)
def test_the_range_of_terms(text, low, high):
    assert parse(text).range == pytest.approx((low, high), rel=1e-5)


@pytest.mark.parametrize("text", ["Tangent(per_class='sum')", "FocalPower(Tangent(per_class='sum'))"])
def test_the_range_of_a_sum_over_classes_holds_its_terms(text):
    loss, logits = parse(text), torch.tensor([[-30.0, 30.0, 30.0, 30.0]])
    value, _ = loss.terms(logits, torch.tensor([0]))
    assert value.max() > 20**0.75
    assert value.max() <= loss.range[1]
