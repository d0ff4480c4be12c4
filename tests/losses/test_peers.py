"""The numbers that other libraries gave when they were run on the same inputs, as they were written down then.

Each number is a text, and must be met to its last digit. The random inputs are those of torch's generator.
"""

from decimal import Decimal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from whichloss import parse

P = torch.tensor([[0.9, 0.8, 0.3, 0.1], [0.6, 0.2, 0.1, 0.05]], dtype=torch.float64).unsqueeze(1)
Y = torch.tensor([[1.0, 1, 0, 0], [0, 1, 0, 0]], dtype=torch.float64).unsqueeze(1)


def recorded(number: str):
    """Equal to half a unit of the last digit that is written; a whole number is meant exactly."""
    exponent = Decimal(number).as_tuple().exponent
    assert isinstance(exponent, int)
    exact = exponent == 0
    return pytest.approx(float(number), abs=1e-6 * max(1.0, abs(float(number))) if exact else 0.501 * 10.0**exponent)


def random_batch(seed: int, classes: int) -> tuple[Tensor, Tensor]:
    """Logits of three classes, and an index target of so many of them."""
    torch.manual_seed(seed)
    return torch.randn(2, 3, 4, 4), torch.randint(classes, (2, 4, 4))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("MonaiDice()", "0.4828"),
        ("Dice(smooth=0.0)", "0.4828"),  # Keras, axis=(1, 2, 3)
        ("MonaiDice(batch=True)", "0.3719"),
        ("SmpDice()", "0.3719"),
        ("ToolbeltDice()", "0.3719"),
        ("KerasDice()", "0.3719"),
        ("KerasTversky()", "0.3719"),
        ("SmpTversky()", "0.3719"),
        ("NnunetDice(batch_dice=True)", "-0.6809"),
        ("NnunetDice(batch_dice=True, smooth=1e-5)", "-0.6281"),
        ("SmpDice(smooth=1.0)", "0.2795"),
        ("ToolbeltDice(smooth=1.0)", "0.3191"),
    ],
)
def test_the_same_batch_is_called_dice_and_costs_what_each_library_says(text: str, number: str):
    assert float(parse(text)(P.logit(), Y)) == recorded(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("MonaiDice()", "0.7728"),  # the absent class costs 1
        ("SmpDice()", "0.4411"),  # and here nothing, so that the mean is smaller
        ("ToolbeltDice()", "0.4411"),
        ("KorniaDice()", "0.7173"),
        ("MonaiGeneralizedDice()", "0.7227"),
    ],
)
def test_a_class_that_is_absent_costs_what_each_library_says(text: str, number: str):
    assert float(parse(text)(*random_batch(seed=0, classes=2))) == recorded(number)


# value, and the sum of the sizes of the slopes on p, at p -> 0, 1e-6, 1e-2 and 0.5; None where none was recorded
EMPTY = {
    "MonaiDice()": [("0", "6.4e6"), ("0.865", "1.2e5"), ("0.99998", "1.6e-3"), ("1.0", "1e-6")],
    "MonaiGeneralizedDice()": [("0", "0")] * 4,
    "SmpDice()": [("0", "0")] * 4,
    "SmpTversky()": [("0", "0")] * 4,
    "SmpJaccard()": [("0", "0")] * 4,
    "ToolbeltDice()": [("0", "0")] * 4,
    "NnunetDice(smooth=1e-5)": [("-1", "6.4e6"), ("-0.135", "1.2e5"), ("-1.6e-5", "1.6e-3"), ("-3e-7", "1e-6")],
    "NnunetDice()": [("-1", "64"), ("-0.99994", "64"), ("-0.610", "23.8"), ("-0.030", "0.06")],
    "KerasDice()": [("1", None)] * 4,
}


@pytest.mark.parametrize(
    ("text", "p", "value", "slope"),
    [
        (text, p, *numbers)
        for text, row in EMPTY.items()
        for p, numbers in zip((1e-13, 1e-6, 1e-2, 0.5), row, strict=True)
    ],
)
def test_an_image_without_foreground_costs_what_each_library_says(text: str, p: float, value: str, slope: str | None):
    logits = torch.full((1, 1, 8, 8), p, dtype=torch.float64).logit().requires_grad_()
    found = parse(text)(logits, torch.zeros_like(logits))
    (gradient,) = torch.autograd.grad(found, logits)
    assert float(found.detach()) == recorded(value)
    if slope is not None:
        steep = float((gradient / (p * (1 - p))).abs().sum())
        rough = pytest.approx(64, rel=2e-4) if slope == "64" else recorded(slope)  # 63.99 beside 1e-6
        assert steep == rough


@pytest.mark.parametrize("logit", [3.0, -3.0])
def test_toolbelt_s_balanced_cross_entropy_of_background_teaches_nothing(logit: float):
    logits = torch.full((1, 1, 8, 8), logit, requires_grad=True)
    value = parse("ToolbeltBalancedBCE()")(logits, torch.zeros_like(logits))
    (gradient,) = torch.autograd.grad(value, logits)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Focal()", "0.8213"),  # the softmax focal loss per voxel
        ("MonaiFocal()", "0.2819"),
        ("SmpFocal()", "0.2819"),
        ("MonaiSoftmaxFocal(num_classes=3)", "0.2738"),
        ("KorniaFocal(num_classes=3)", "0.2738"),
        ("Total(Focal())", "26.28"),  # MONAI's reduction="sum" gives 1.64, having averaged over space
    ],
)
def test_focal_loss_of_several_classes_is_what_each_library_says(text: str, number: str):
    logits, index = random_batch(seed=1, classes=3)
    loss = parse(text)
    yes_or_no = {leaf.classes for leaf in loss.leaves()} == {"independent"}
    target = F.one_hot(index, 3).movedim(-1, 1).float() if yes_or_no else index
    assert float(loss(logits, target)) == recorded(number)


def test_the_mean_of_cross_entropy_is_over_the_half_that_is_not_ignored():
    """torch and nnU-Net; smp and toolbelt divide by all voxels, and have 0.7331."""
    logits, index = random_batch(seed=1, classes=3)
    index[:, :2] = 255
    assert float(parse("CrossEntropy()")(logits, index, ignore_index=255)) == recorded("1.4661")


@pytest.mark.parametrize(("yes", "number"), [(0.9, "0.3269"), (0.95, "0.2269")])
def test_smoothing_of_yes_and_no(yes: float, number: str):
    """smoothing=0.1 is 0.9 and 0.1 in smp and toolbelt, and 0.95 and 0.05 where the two classes share it."""
    logit = torch.full((1, 1), 2.0, dtype=torch.float64)
    assert float(parse("CrossEntropy()")(logit, torch.full_like(logit, yes))) == recorded(number)


def hard(tp: int, fp: int, fn: int, tn: int) -> tuple[Tensor, Tensor]:
    """Hard predictions with so many voxels of each kind."""
    kinds = [(1e4, 1.0)] * tp + [(1e4, 0.0)] * fp + [(-1e4, 1.0)] * fn + [(-1e4, 0.0)] * tn
    logits, target = zip(*kinds, strict=True)
    return torch.tensor([[logits]], dtype=torch.float64), torch.tensor([[target]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("text", "only_fp", "only_fn"),
    [
        ("MonaiTversky(alpha=0.3, beta=0.7)", "0.231", "0.512"),  # Salehi's letters: alpha on false positives
        ("SmpTversky(alpha=0.3, beta=0.7)", "0.231", "0.512"),
        ("Tversky(fp=0.7, fn=0.3, smooth=0.0)", "0.412", "0.310"),  # Yuan's: beta on false positives
        ("KerasTversky(alpha=0.3, beta=0.7)", "0.412", "0.310"),  # what Keras 3.15.1 computes, whatever it says
    ],
)
def test_a_price_of_three_tenths_is_of_the_errors_that_each_library_means(text: str, only_fp: str, only_fn: str):
    """As many false positives as true ones; one and a half times as many false negatives."""
    assert float(parse(text)(*hard(2, 2, 0, 3))) == recorded(only_fp)
    assert float(parse(text)(*hard(2, 0, 3, 3))) == recorded(only_fn)


TVERSKY = "Tversky(fp=0.5, fn=0.5, over='batch', smooth=0.0)"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (f"FocalPower({TVERSKY}, exponent=0.75)", "0.386"),
        (f"Total(FocalPower({TVERSKY}, exponent=0.75))", "0.772"),
        ("SmpTversky(gamma=0.75)", "0.405"),
        (f"Total(FocalPower({TVERSKY}, exponent={4 / 3}))", "0.443"),
    ],
)
def test_powers_of_tversky_indices_of_nine_tenths_and_a_half(text: str, number: str):
    """Yuan's exponent is gamma, Abraham's 1 / gamma; smp takes the power of the mean."""
    logits, target = (torch.cat(pair, 1) for pair in zip(hard(9, 1, 1, 4), hard(5, 5, 5, 0), strict=True))
    assert float(parse(text).asking("independent")(logits, target)) == recorded(number)


def test_a_violation_of_one_half_among_three_classes():
    """Divided by three classes, not by two rivals."""
    logits = torch.tensor([[1.0, 0.5, -9.0]], dtype=torch.float64)
    assert float(parse("TorchMultiMargin()")(logits, torch.tensor([0]))) == recorded("0.1667")
