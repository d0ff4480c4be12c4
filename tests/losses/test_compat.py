"""Other libraries' losses under their own name: the same numbers, where these are finite."""

import pytest
import torch
from torch import nn

from whichloss import (
    KerasDice,
    KerasHinge,
    MonaiDice,
    MonaiDiceCE,
    NnunetDice,
    NnunetDiceCE,
    SmpDice,
    TorchMultiMargin,
    parse,
)

monai = pytest.importorskip("monai.losses", reason="MONAI is not installed")

P = torch.tensor([[0.9, 0.8, 0.3, 0.1], [0.6, 0.2, 0.1, 0.05]], dtype=torch.float64).unsqueeze(1)
Y = torch.tensor([[1.0, 1, 0, 0], [0, 1, 0, 0]], dtype=torch.float64).unsqueeze(1)
SHAPES = [(3, 4, 6, 5), (2, 3, 4, 5, 3)]


def draw(shape: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape, generator=random, dtype=torch.float64)
    index = torch.randint(shape[1], (shape[0], *shape[2:]), generator=random)
    return logits, index, torch.randint(2, shape, generator=random).double()


@pytest.mark.parametrize(
    ("text", "recorded"),
    [
        ("MonaiDice()", 0.4828),
        ("MonaiDice(batch=True)", 0.3719),
        ("SmpDice()", 0.3719),
        ("SmpDice(smooth=1.0)", 0.2795),
        ("KerasDice()", 0.3719),
        ("NnunetDice(batch_dice=True)", -0.6809),
        ("NnunetDice(batch_dice=True, smooth=1e-5)", -0.6281),
    ],
)
def test_the_same_batch_is_called_dice_and_costs_what_each_library_says(text: str, recorded: float):
    assert float(parse(text)(P.logit(), Y)) == pytest.approx(recorded, abs=6e-5)


@pytest.mark.parametrize(
    ("text", "p", "recorded"),
    [
        ("MonaiDice()", 1e-6, 0.865),
        ("MonaiDice()", 1e-2, 0.99998),
        ("SmpDice()", 1e-2, 0.0),
        ("NnunetDice(smooth=1e-5)", 1e-6, -0.135),
        ("NnunetDice()", 1e-2, -0.610),
        ("NnunetDice()", 0.5, -0.030),
        ("KerasDice()", 0.5, 1.0),
    ],
)
def test_an_image_without_foreground_costs_what_each_library_says(text: str, p: float, recorded: float):
    logits = torch.full((1, 1, 8, 8), p, dtype=torch.float64).logit()
    assert float(parse(text)(logits, torch.zeros_like(logits))) == pytest.approx(recorded, abs=6e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_monai_dice(shape: tuple[int, ...], batch: bool, background: bool):
    logits, index, yes = draw(shape)
    ours = MonaiDice(batch=batch, include_background=background)
    options = {"batch": batch, "include_background": background}
    theirs = monai.DiceLoss(softmax=True, to_onehot_y=True, **options)
    assert float(ours(logits, index)) == pytest.approx(float(theirs(logits, index.unsqueeze(1))), abs=1e-9)
    binary = MonaiDice(batch=batch)
    theirs = monai.DiceLoss(sigmoid=True, batch=batch)
    assert float(binary(logits[:, :1], yes[:, :1])) == pytest.approx(float(theirs(logits[:, :1], yes[:, :1])), abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_monai_dice_ce(shape: tuple[int, ...]):
    logits, index, yes = draw(shape, 1)
    theirs = monai.DiceCELoss(softmax=True, to_onehot_y=True, lambda_dice=0.7, lambda_ce=1.3)
    ours = MonaiDiceCE(lambda_dice=0.7, lambda_ce=1.3)
    assert float(ours(logits, index)) == pytest.approx(float(theirs(logits, index.unsqueeze(1))), abs=1e-9)
    theirs = monai.DiceCELoss(sigmoid=True)
    one = float(MonaiDiceCE()(logits[:, :1], yes[:, :1]))
    assert one == pytest.approx(float(theirs(logits[:, :1], yes[:, :1])), abs=1e-9)


@pytest.mark.parametrize("p", [1.0, 2.0])
@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_torch_multi_margin(p: float, margin: float):
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 5, generator=random, dtype=torch.float64)
    index = torch.randint(5, (7,), generator=random)
    theirs = nn.MultiMarginLoss(p=int(p), margin=margin)(logits, index)
    assert float(TorchMultiMargin(p=p, margin=margin)(logits, index)) == pytest.approx(float(theirs), abs=1e-12)


def test_torch_multi_margin_of_one_violation():
    """A violation of 0.5 among three classes is divided by three classes, not by two rivals."""
    logits = torch.tensor([[1.0, 0.5, -9.0]], dtype=torch.float64)
    assert float(TorchMultiMargin()(logits, torch.tensor([0]))) == pytest.approx(0.5 / 3)


def test_keras_hinge_brings_labels_to_plus_and_minus_one():
    logits = torch.tensor([[0.3, -2.0], [1.5, 0.0]], dtype=torch.float64)
    yes = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    expected = (0.7 + 0.0 + 2.5 + 1.0) / 4
    assert float(parse("Hinge(classes='independent')")(logits, yes)) == pytest.approx(expected)
    assert float(KerasHinge()(logits, torch.tensor([0, 1]))) == pytest.approx(expected)


def test_nnunet_dice_and_cross_entropy_leave_out_the_background_of_dice_alone():
    logits, index, _ = draw((2, 3, 6, 5), 2)
    p, y = logits.softmax(1), nn.functional.one_hot(index, 3).movedim(-1, 1).double()
    above, below = 2 * (p * y).sum((0, 2, 3)) + 1e-5, (p + y).sum((0, 2, 3)) + 1e-5
    expected = nn.functional.cross_entropy(logits, index) - (above / below)[1:].mean()
    assert float(NnunetDiceCE()(logits, index)) == pytest.approx(float(expected), rel=1e-12)


def test_an_absent_class_makes_smp_dice_smaller():
    logits, index, _ = draw((2, 3, 4, 4), 3)
    index[index == 2] = 0
    p, y = logits.softmax(1), nn.functional.one_hot(index, 3).movedim(-1, 1).double()
    each = 1 - 2 * (p * y).sum((0, 2, 3)) / (p + y).sum((0, 2, 3))
    assert float(SmpDice()(logits, index)) == pytest.approx(float(each[:2].sum()) / 3, rel=1e-12)


def test_all_overlaps_are_one_under_keras():
    logits, _, yes = draw((2, 1, 6, 5), 4)
    p = logits.sigmoid()
    expected = 1 - 2 * (p * yes).sum() / (p + yes).sum()
    assert float(KerasDice()(logits, yes)) == pytest.approx(float(expected), rel=1e-12)


def test_a_negative_loss_is_not_wrapped():
    with pytest.raises(ValueError, match="never negative"):
        parse("AdaptiveLog(NnunetDice())")
    assert NnunetDice().range == (-1.0, 0.0)
