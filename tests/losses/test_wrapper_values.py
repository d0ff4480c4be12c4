"""Wrappers change each term of another loss: per image and class, per voxel, or the total of a sum."""

from math import cosh, log, tanh

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles_losses import (
    adaptive_log,
    agree,
    as_lists,
    batch,
    dice,
    likelihood_loss,
    region_loss,
    same,
    surprise,
    tversky,
)
from oracles_wrap import smoothed
from small_studies import cli
from whichloss import AdaptiveLog, Dice, LogCosh, NegativeLogPower, parse
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


def test_the_exponential_logarithmic_loss_is_a_sum():
    """Wong et al.: 0.8 E[(-ln Dice)^0.3] + 0.2 E[w (-ln p)^0.3], with 2 TP + 1 over the volumes + 1."""
    dice_part = region_loss(dice, smooth=0.5, bend=lambda v: (-log(1 - v)) ** 0.3)
    entropy = likelihood_loss(lambda log_p: (-log_p) ** 0.3)

    def oracle(logits, target, weight):
        return 0.8 * dice_part(logits, target, weight) + 0.2 * entropy(logits, target, weight)

    text = "0.8 * NegativeLogPower(Dice(smooth=0.5), exponent=0.3) + 0.2 * FocalPower(CrossEntropy(), exponent=0.3)"
    agree(parse(text), oracle, *batch((3, 3, 5), weight="element"))


def seg_loss_exp_log(logits, target, smooth=1.0):
    """As SegLoss's ExpLog_loss does it."""
    p, y = logits.softmax(1), F.one_hot(target, logits.shape[1]).movedim(-1, 1).to(logits)
    tp, fp, fn = ((part.flatten(2)).sum(2) for part in (p * y, p * (1 - y), (1 - p) * y))
    score = ((2 * tp + smooth) / (2 * tp + fp + fn + smooth)).mean()
    return 0.8 * (-score.clamp(1e-6).log()) ** 0.3 + 0.2 * F.cross_entropy(logits, target)


def test_seg_loss_takes_the_power_of_the_mean_dice_and_none_of_the_cross_entropy():
    logits, target, _ = batch((3, 3, 5))
    mean_dice = "0.5 * Dice(smooth=0.5) + 0.5 * Dice(smooth=0.5)"  # a sum has one term
    as_there = parse(f"0.8 * NegativeLogPower({mean_dice}, exponent=0.3) + 0.2 * CrossEntropy()")
    same(lambda u: as_there(u, target), lambda u: seg_loss_exp_log(u, target), logits)
    published = (
        "0.8 * NegativeLogPower(Dice(smooth=0.5), exponent=0.3) + 0.2 * FocalPower(CrossEntropy(), exponent=0.3)"
    )
    assert parse(published)(logits, target).item() != pytest.approx(seg_loss_exp_log(logits, target).item(), rel=0.01)


def test_a_class_that_is_not_found_at_all_still_teaches():
    """SegLoss clamps its score at 1e-6, so that only the cross-entropy is left there."""
    target = torch.ones(1, 8, dtype=torch.long)
    logits = torch.tensor([30.0, 0.0], dtype=torch.float64).reshape(1, 2, 1).repeat(1, 1, 8).requires_grad_()
    (theirs,) = torch.autograd.grad(seg_loss_exp_log(logits, target, smooth=0.0), logits)
    (entropy,) = torch.autograd.grad(0.2 * F.cross_entropy(logits, target), logits)
    torch.testing.assert_close(theirs, entropy, rtol=1e-12, atol=0)
    ours = parse("NegativeLogPower(Dice(smooth=0), exponent=0.3)")(logits, target)
    (slope,) = torch.autograd.grad(ours, logits)
    assert (slope[:, 1] < -1e-3).all()  # the missed class is pulled up


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("exponent", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("truth", ["lesion", "background"])
@pytest.mark.parametrize("size", [200.0, 1e4])
@pytest.mark.parametrize("right", [True, False])
def test_the_logarithm_of_an_overlap_is_finite_where_all_or_nothing_is_found(right, size, truth, exponent, dtype):
    """ln 0 where nothing is found and there is no smooth; an infinitely steep power where all is."""
    target = torch.full((2, 1, 4, 4), float(truth == "lesion"), dtype=dtype)
    logits = ((2 * target - 1) * (size if right else -size)).requires_grad_()
    value = parse(f"NegativeLogPower(Dice(smooth=0), exponent={exponent})")(logits, target)
    (slope,) = torch.autograd.grad(value, logits)
    assert value.isfinite()
    assert slope.isfinite().all()
    if truth == "lesion":  # without smooth the least probability in the background is a wrong answer, too
        assert value.item() == pytest.approx(0, abs=1e-2) if right else value.item() > 1


def test_the_worst_overlap_still_has_a_slope():
    """A clamp would leave a class that is not found at all without one."""
    value = torch.tensor([0.9, 1.0], requires_grad=True)
    height = NegativeLogPower(Dice()).formula(value)
    (slope,) = torch.autograd.grad(height.sum(), value)
    tip = torch.finfo(torch.float32).eps
    assert height.tolist() == pytest.approx([log(10), 1 - log(tip)])
    assert slope.tolist() == pytest.approx([10, 1 / tip])


@pytest.mark.parametrize("text", ["CrossEntropy()", "2 * Dice()", "Dice() + Jaccard()", "LogCosh(CrossEntropy())"])
def test_the_logarithm_of_an_overlap_needs_an_overlap(text):
    with pytest.raises(FieldError, match="NegativeLogPower needs a loss of at most 1, such as Dice"):
        NegativeLogPower(parse(text))


def test_half_of_two_overlaps_is_one():
    assert parse("NegativeLogPower(0.5 * Dice() + 0.5 * Jaccard())").range[0] == 0


def test_log_cosh_dice_has_no_slope_at_a_perfect_prediction():
    value = torch.tensor([0.0, 1e-4, 1.0], dtype=torch.float64, requires_grad=True)
    height = LogCosh(Dice()).formula(value)
    (slope,) = torch.autograd.grad(height.sum(), value)
    assert height.tolist() == pytest.approx([0.0, 0.5e-8, log(cosh(1))], rel=1e-7)
    assert slope.tolist() == pytest.approx([0.0, 1e-4, tanh(1)], rel=1e-7)


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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "TopK(CrossEntropy(), fraction=10)",
            "TopK: fraction is 10; it must be a finite number at least 0 and at most 1",
        ),
        ("TopK(CrossEntropy() + Dice())", "wrap what it is made of"),
        ("HardExamples(Total(Dice()))", "wrap what it is made of"),
        ("NegativeLogPower(CrossEntropy())", "NegativeLogPower needs a loss of at most 1"),
        ("LabelSmoothing(Huber())", "softens classes, and Huber does not ask for them"),
        ("DeepSupervision(Triplet())", "are embeddings, of one resolution"),
        ("Quantile(tau=1)", "say 0.05 or 0.95"),
    ],
)
def test_a_mistake_on_the_command_line_is_answered_in_words(text, says):
    answer = cli("losses", text)
    assert (answer.code, answer.out) == (2, "")
    assert says in " ".join(answer.err.split())
    assert "Traceback" not in answer.err


@settings(max_examples=60, deadline=None)
@given(
    space=st.lists(st.integers(1, 4), max_size=2).map(tuple),
    images=st.integers(1, 3),
    share=st.floats(0, 1),
    exponent=st.floats(0.2, 3),
    ignored=st.floats(0, 0.8),
    seed=st.integers(0, 10**6),
)
def test_with_weights_and_ignored_elements_they_are_those_of_the_oracles(space, images, share, exponent, ignored, seed):
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn((images, 3, *space), generator=random, dtype=torch.float64)
    target = torch.randint(3, (images, *space), generator=random)
    weight = 0.1 + torch.rand(target.shape, generator=random, dtype=torch.float64)
    gone = torch.rand(target.shape, generator=random) < ignored
    gone.flatten()[0] = False
    spread = (weight * ~gone).unsqueeze(1).expand_as(logits)
    lists = as_lists(logits, 2), as_lists(target, 1), as_lists(spread, 2)
    for text, oracle in (
        ("LogCosh(Dice())", region_loss(dice, bend=lambda v: log(cosh(v)))),
        (f"NegativeLogPower(Dice(), exponent={exponent})", region_loss(dice, bend=lambda v: (-log(1 - v)) ** exponent)),
        (f"LabelSmoothing(CrossEntropy(), share={share})", smoothed(likelihood_loss(surprise), share)),
        (f"LabelSmoothing(Dice(), share={share})", smoothed(region_loss(dice), share)),
    ):
        value = parse(text)(logits, torch.where(gone, 255, target), weight, ignore_index=255)
        assert value.item() == pytest.approx(oracle(*lists), rel=1e-9, abs=1e-12), text


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
