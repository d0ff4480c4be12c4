"""Defects that other loss libraries have or had, and that these losses must not have. One test, one story."""

import pytest
import torch

from whichloss import AdaptiveLog, CrossEntropy, Dice, Focal, FocalPower, Hinge, Jaccard, Tversky, parse
from whichloss.core.question import Batch


def gradient(loss, logits, target, weight=None):
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, target, weight)
    return value.item(), torch.autograd.grad(value, leaf)[0]


@pytest.mark.parametrize("p", [1e-12, 1e-6, 1e-2, 0.5])
def test_dice_is_no_step_function_on_a_background_patch(p):
    """With a smooth of 1e-5 the slope is 6e6 at p = 0 and 1e-6 at p = 0.5: none where it matters, all at the end."""
    value, slope = gradient(Dice(), torch.full((1, 1, 8, 8), p, dtype=torch.float64).logit(), torch.zeros(1, 1, 8, 8))
    steep = (slope / (p * (1 - p))).abs().sum().item()  # with respect to p
    assert value == pytest.approx(64 * p / (2 + 64 * p))
    assert steep == pytest.approx(128 / (2 + 64 * p) ** 2)
    assert 0.1 < steep <= 32


@pytest.mark.parametrize("text", ["Dice()", "Jaccard()", "Tversky()"])
def test_a_false_positive_in_a_lesion_free_patch_is_punished(text):
    clean, target = torch.full((1, 1, 8, 8), -8.0), torch.zeros(1, 1, 8, 8)
    spotted = clean.clone()
    spotted[0, 0, 3, 3] = 4.0
    value, slope = gradient(parse(text), spotted, target)
    assert value > parse(text)(clean, target) + 0.1
    assert slope[0, 0, 3, 3] > 1e-3


@pytest.mark.parametrize(
    "text", ["Dice()", "Jaccard(smooth=0.0)", "CrossEntropy()", "Focal()", "Hinge()", "Dice() + Focal()"]
)
def test_all_ignored_is_zero_and_not_nan(text):
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    value = parse(text)(logits, torch.full((2, 4, 4), 255), ignore_index=255)
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()


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


@pytest.mark.parametrize(
    "text", ["Dice()", "Dice(smooth=0.0)", "Focal()", "CrossEntropy()", "Hinge()", "Dice() + Focal()"]
)
def test_a_prediction_that_is_perfect_inside_the_mask_costs_nothing(text):
    """Logits multiplied by the mask become sigmoid(0) = 0.5 outside it, and a perfect prediction scores 0.75."""
    target = (torch.arange(64).reshape(1, 1, 8, 8) % 3 == 0).float()
    mask = (torch.arange(64).reshape(1, 8, 8) < 24).float()
    perfect = torch.where(target > 0, 30.0, -30.0)
    wrong_outside = torch.where(mask.unsqueeze(1) > 0, perfect, -perfect)
    assert parse(text)(wrong_outside, target, mask).item() == pytest.approx(0, abs=1e-6)


def test_focal_tversky_is_a_power_of_each_class():
    """TI = (.9, .5): mean of (1 - TI)^.75 is 0.386, (mean of 1 - TI)^.75 is 0.405, and 1 / .75 gives 0.443."""
    logits = torch.full((1, 2, 20), -1e4, dtype=torch.float64)
    target = torch.zeros(1, 2, 20, dtype=torch.float64)
    target[0, 0, :9], target[0, 1, :10] = 1, 1
    logits[0, 0, :10] = 1e4  # 9 true positives, 1 false positive: TI = 9 / 10 with fp = 1
    logits[0, 1, :20] = 1e4  # 10 true positives, 10 false positives: TI = 1 / 2
    inner = Tversky(fp=1.0, fn=1.0, smooth=0.0, classes="independent")
    value, _ = inner.terms(logits, target)
    assert value.flatten().tolist() == pytest.approx([0.1, 0.5])
    assert FocalPower(inner)(logits, target).item() == pytest.approx(0.3862, abs=5e-5)


def test_a_class_that_is_absent_does_not_shrink_the_loss():
    """Zeroing the value of an absent class, but dividing by all classes, makes a loss a third smaller."""
    logits, target = torch.zeros(1, 3, 12, dtype=torch.float64), torch.arange(12).reshape(1, 12) % 2
    skipped = Dice(empty="skip")(logits, target)
    values, weights = Dice(empty="skip").terms(logits, target)
    assert weights.tolist() == [[1.0, 1.0, 0.0]]
    assert skipped.item() == pytest.approx(values[0, :2].mean().item())


def test_focal_of_several_classes_is_the_focal_loss_of_the_softmax():
    """Others take a sigmoid of each class, or divide by the number of classes: a third of the reference."""
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.randint(3, (2, 4, 4))
    p = logits.softmax(1).gather(1, target.unsqueeze(1))
    assert Focal()(logits, target).item() == pytest.approx((-((1 - p) ** 2) * p.log()).mean().item(), abs=1e-12)


def test_the_mean_is_over_what_is_not_ignored():
    """Two libraries of four divide by all voxels, so that the loss falls as more is ignored."""
    logits, target = torch.zeros(1, 3, 10), torch.zeros(1, 10).long()
    target[0, 5:] = 255
    assert CrossEntropy()(logits, target, ignore_index=255).item() == pytest.approx(torch.tensor(3.0).log().item())


def test_an_ignore_index_that_occurs_nowhere_changes_nothing():
    """Dividing by a mask of one channel made the loss C times as large."""
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4), torch.randint(3, (2, 4))
    for loss in (Focal(), Dice(), Hinge(), CrossEntropy()):
        assert torch.equal(loss(logits, target, ignore_index=255), loss(logits, target))


def test_tversky_charges_the_kind_of_error_that_its_fields_name():
    """Letters differ between sources: one FP too many and one FN too many must cost fp and fn."""
    only_fp = torch.tensor([[[100.0] * 3 + [-100.0]]]), torch.tensor([[[1.0, 1, 0, 0]]])  # TP 2, FP 1
    only_fn = torch.tensor([[[100.0] + [-100.0] * 3]]), torch.tensor([[[1.0, 1, 0, 0]]])  # TP 1, FN 1
    loss = Tversky(fp=0.3, fn=0.7, smooth=0.0)
    assert loss(*only_fp).item() == pytest.approx(0.3 / 2.3)
    assert loss(*only_fn).item() == pytest.approx(0.7 / 1.7)


def test_background_confusion_is_visible_without_the_background_term():
    """Dropping channel 0 before the softmax hides a voxel that is wrongly called background."""
    logits, target = torch.tensor([[[5.0], [0.0], [0.0]]]), torch.tensor([[1]])
    right = torch.tensor([[[0.0], [5.0], [0.0]]])
    loss = Dice(background=False, smooth=0.0, empty="skip")
    assert loss(logits, target) > 0.98
    assert loss(right, target) < 0.02


def test_adaptive_log_in_half_precision_is_that_of_float32():
    logits, target = torch.full((1, 1, 512, 512), 3.0, dtype=torch.float16), torch.ones(1, 1, 512, 512)
    assert AdaptiveLog(Dice())(logits, target).item() == pytest.approx(
        AdaptiveLog(Dice())(logits.float(), target).item()
    )
