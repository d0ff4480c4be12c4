"""Numbers that other loss libraries lose: too large, too small, or the difference of two that are nearly equal."""

import pytest
import torch

from whichloss import AdaptiveLog, Dice, Focal, FocalPower, GeneralizedCrossEntropy, Jaccard, Tversky, parse
from whichloss.core.question import Batch


def gradient(loss, logits, target, weight=None):
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, target, weight)
    return value.item(), torch.autograd.grad(value, leaf)[0]


@pytest.mark.parametrize("smooth", [1.0, 1e-5, 0.0])
@pytest.mark.parametrize("loss", [Dice, Jaccard, Tversky])
def test_sums_of_half_precision_do_not_overflow(loss, smooth):
    """A sum of 512 x 512 probabilities passes 65504, the largest number of float16."""
    logits = torch.linspace(-4, 8, 512 * 512).reshape(1, 1, 512, 512)
    target = (logits > 1).float()
    half = logits.half()
    value, slope = gradient(loss(smooth=smooth), half, target.half())
    exact, _ = gradient(loss(smooth=smooth), half.double(), target.double())
    assert value == pytest.approx(exact, rel=1e-5)
    assert slope.isfinite().all()


def test_half_precision_logits_beside_a_target_of_float32_do_not_overflow():
    """One library answers 1.0 here, silently."""
    logits, target = torch.full((1, 1, 512, 512), 2.2, dtype=torch.float16), torch.ones(1, 1, 512, 512)
    value, slope = gradient(Dice(), logits, target)
    assert value == pytest.approx(Dice()(logits.double(), target.double()).item(), rel=1e-5)
    assert value < 0.06
    assert slope.isfinite().all()


def test_adaptive_log_in_half_precision_is_that_of_float32():
    logits, target = torch.full((1, 1, 512, 512), 3.0, dtype=torch.float16), torch.ones(1, 1, 512, 512)
    assert AdaptiveLog(Dice())(logits, target).item() == pytest.approx(
        AdaptiveLog(Dice())(logits.float(), target).item()
    )


@pytest.mark.parametrize(("side", "p"), [(256, 1e-4), (128, 0.3)])
def test_a_small_lesion_is_not_lost_to_cancellation(side, p):
    """TP as (P + Y - |P - Y|) / 2 gave a Dice score of -0.064 where 0.000702 is right (256^3, p = 1e-4, float32)."""
    logits = torch.full((1, 1, side, side, side), p).logit()
    target = torch.zeros_like(logits)
    logits[0, 0, 0, 0, :30], target[0, 0, 0, 0, :30] = torch.tensor(0.02).logit(), 1
    loss = Dice(smooth=1e-9)
    n = loss.lifts[0](Batch(logits, target))
    exact = {"tp": 30 * 0.02, "fp": p * (side**3 - 30), "fn": 30 * 0.98}
    for name, size in exact.items():
        assert getattr(n, name).item() == pytest.approx(size, rel=3e-6), name
    score = 2 * exact["tp"] / (2 * exact["tp"] + exact["fp"] + exact["fn"])
    assert (1 - loss(logits, target)).item() == pytest.approx(score, abs=1.2e-7)  # one rounding of the loss
    assert score == pytest.approx({256: 0.000702, 128: 1.9e-6}[side], rel=5e-3)

    predicted = logits.sigmoid()
    subtracted = (predicted.sum() + target.sum() - (predicted - target).abs().sum()) / 2
    assert abs(subtracted.item() - exact["tp"]) > 3e-6 * exact["tp"]  # the other way does fail here


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9, 1.0, 1.5])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_focal_powers_below_one_survive_saturation(gamma, dtype):
    for logit in (100.0, -100.0):
        value, slope = gradient(Focal(gamma=gamma), torch.tensor([[logit]], dtype=dtype), torch.ones(1, 1, dtype=dtype))
        assert 0 <= value <= 100
        assert slope.isfinite().all()
    index = torch.tensor([0])
    value, slope = gradient(Focal(gamma=gamma), torch.tensor([[100.0, 0.0, 0.0]], dtype=dtype), index)
    assert value == pytest.approx(0, abs=1e-6)
    assert slope.isfinite().all()


def test_focal_keeps_the_last_digits_of_an_easy_case():
    """1 - p of a p that rounds to 1 is 0, and with it the value and the slope."""
    logits, yes = torch.tensor([[18.0]]), torch.ones(1, 1)
    (value, slope), (exact, expected) = (
        gradient(Focal(gamma=1.0), one, yes.to(one)) for one in (logits, logits.double())
    )
    assert value == pytest.approx(exact, rel=1e-5, abs=0)
    assert slope.item() == pytest.approx(expected.item(), rel=1e-5, abs=0)
    assert exact > 0


def test_focal_power_is_a_straight_line_within_the_last_rounding_error():
    value = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64) * 2.0**-52
    value.requires_grad_()
    height = FocalPower(Dice(), exponent=0.5).formula(value)
    (slope,) = torch.autograd.grad(height.sum(), value)
    assert height.tolist() == pytest.approx([0.0, 0.25 * 2.0**-26, 0.5 * 2.0**-26, 2.0**-26])
    assert slope.tolist() == pytest.approx([2.0**26] * 4)


@pytest.mark.parametrize("target", ["background", "lesion"])
@pytest.mark.parametrize("smooth", [1.0, 0.0])
def test_focal_tversky_has_a_gradient_where_its_value_is_zero(target, smooth):
    """A power of 0.75 has an infinite slope at 0: NaN on an all-background batch and on a perfect prediction."""
    truth = torch.zeros(2, 1, 8, 8) if target == "background" else torch.ones(2, 1, 8, 8)
    value, slope = gradient(FocalPower(Tversky(smooth=smooth)), torch.where(truth > 0, 200.0, -200.0), truth)
    assert value == pytest.approx(0, abs=1e-5)
    assert slope.isfinite().all()


SEVERAL = [
    "Dice()",
    "Dice(smooth=0.0)",
    "Jaccard(smooth=0.0)",
    "Tversky(smooth=0.0)",
    "GeneralizedDice(smooth=0.0)",
    "FocalPower(Tversky(smooth=0.0))",
    "SmpTversky(gamma=0.75)",
    "CrossEntropy()",
    "Focal(gamma=0.5)",
    "GeneralizedCrossEntropy()",
    "Poly1(gamma=0.5)",
    "ReverseCrossEntropy()",
    "Normalized(Focal(gamma=0.5))",
    "NegativeLearning()",
    "ModifiedFocal()",
    "BiTempered()",
    "SensitivitySpecificity()",
    "MCC()",
    "MCC(smooth=0.0)",
    "SquaredDice(smooth=0.0)",
    "PowerJaccard(smooth=0.0)",
    "NoiseRobustDice()",
    "LovaszSoftmax()",
    "CrossEntropy() + Dice()",
]


@pytest.mark.parametrize("text", SEVERAL)
def test_a_perfect_prediction_costs_nothing_and_has_a_slope(text):
    """A power below 1, or 0 / 0, makes the slope NaN where the value is 0."""
    index = torch.arange(64).reshape(1, 8, 8) % 3
    for size in (40.0, 200.0):
        perfect = size * torch.nn.functional.one_hot(index, 3).movedim(-1, 1).float()
        value, slope = gradient(parse(text), perfect, index)
        assert value == pytest.approx(0, abs=1e-5)
        assert slope.isfinite().all()


@pytest.mark.parametrize("text", SEVERAL)
@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize("target", ["index", "background", "foreground"])
def test_saturated_logits_have_finite_values_and_slopes(text, size, target):
    if target == "index":
        truth = torch.arange(64).reshape(1, 8, 8) % 3
        logits = size * torch.nn.functional.one_hot(truth, 3).movedim(-1, 1).float()
    else:
        truth = torch.full((1, 1, 8, 8), float(target == "foreground"))
        logits = torch.full_like(truth, size)
    value, slope = gradient(parse(text), logits, truth)
    assert 0 <= value < 1.1e5
    assert slope.isfinite().all()


def test_a_confidently_wrong_case_keeps_the_slope_that_it_has():
    """A probability clamped at 1e-7 has no slope; the true one, p^q at a gap of 40 logits, is 7e-13."""
    logits = torch.tensor([[40.0, 0.0]], dtype=torch.float64)
    _, slope = gradient(GeneralizedCrossEntropy(q=0.7), logits, torch.tensor([1]))
    assert slope[0].tolist() == pytest.approx([torch.tensor(-28.0).exp().item(), -torch.tensor(-28.0).exp().item()])
