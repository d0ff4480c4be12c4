"""Defects that other loss libraries have or had, and that these losses must not have. One test, one story."""

import pytest
import torch

from whichloss import (
    BalancedCrossEntropy,
    CrossEntropy,
    Dice,
    Focal,
    FocalPower,
    GeneralizedDice,
    Hinge,
    Tversky,
    parse,
)


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


@pytest.mark.parametrize("weighting", ["square", "simple", "uniform"])
@pytest.mark.parametrize("over", ["image", "batch"])
def test_generalised_dice_has_a_signal_where_a_class_is_absent(weighting, over):
    """A weight of 1 / (0 + 1e-10)^2 for the absent class swamps all others: the loss is 0 for any prediction."""
    index = torch.arange(32).reshape(2, 4, 4) % 2
    right = 4 * torch.nn.functional.one_hot(index, 3).movedim(-1, 1).double()
    loss = GeneralizedDice(weighting=weighting, over=over)
    good, _ = gradient(loss, right, index)
    bad, slope = gradient(loss, -right, index)
    assert good < 0.3 < 0.6 < bad
    assert slope.abs().sum() > 1e-2
    missing, slope = gradient(loss, torch.zeros_like(right), index)
    assert good < missing < bad
    assert slope.abs().sum() > 1e-2


@pytest.mark.parametrize(
    "text",
    [
        "CrossEntropy() + Dice()",
        "0.5 * CrossEntropy(positive_weight=0.7) + 0.5 * Dice()",
        "0.5 * Focal() + Dice(empty='volume')",
        "MonaiDiceCE()",
        "NnunetDiceCE(do_bg=True)",
    ],
)
def test_a_combination_charges_for_false_positives(text):
    """With the sign on the foreground term alone, background called lesion earns -1.156, or else -0.25."""
    clean, alarm = (torch.full((1, 1, 8, 8), p, dtype=torch.float64).logit() for p in (0.01, 0.99))
    background = torch.zeros_like(clean)
    value, slope = gradient(parse(text), alarm, background)
    assert value > parse(text)(clean, background) + 0.5
    assert (slope > 0).all()  # a step against it lowers the logit


def test_balanced_cross_entropy_can_charge_for_false_positives_in_an_image_without_foreground():
    """An image that is balanced by itself has beta = 1, and its false positives are free."""
    logits, target = torch.full((2, 1, 4, 4), 3.0, dtype=torch.float64), torch.zeros(2, 1, 4, 4, dtype=torch.float64)
    target[0, 0, 0, :2] = 1
    free = gradient(BalancedCrossEntropy(over="image"), logits, target)[1][1]
    assert (free == 0).all()
    for loss in (BalancedCrossEntropy(over="batch"), BalancedCrossEntropy(over="data", beta=0.9)):
        assert (gradient(loss, logits, target)[1][1] > 0).all()
    alone, slope = gradient(BalancedCrossEntropy(over="data", beta=0.9), logits[1:], target[1:])
    assert alone == pytest.approx(0.1 * torch.nn.functional.softplus(torch.tensor(3.0)).item(), rel=1e-6)
    assert (slope > 0).all()


def test_a_sum_is_over_all_voxels():
    """A reduction by "sum" that takes the mean over space first makes the loss smaller by the size of the image."""
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.randint(3, (2, 4, 4))
    assert parse("Total(Focal())")(logits, target).item() == pytest.approx(32 * Focal()(logits, target).item())
    one = sum(parse("Total(Focal())")(logits[k : k + 1], target[k : k + 1]).item() for k in range(2))
    assert parse("Total(Focal())")(logits, target).item() == pytest.approx(one)
