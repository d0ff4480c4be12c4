"""The same numbers as other libraries where definitions agree, after translating their conventions."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from oracles_losses import batch
from whichloss import CrossEntropy, Dice, Focal, Hinge, Jaccard, Tversky

monai = pytest.importorskip("monai.losses", reason="MONAI is not installed")


def same(one, other, logits):
    """Two losses, given as functions of the logits, agree in value and gradient."""
    results = []
    for function in (one, other):
        leaf = logits.clone().requires_grad_()
        value = function(leaf)
        results.append((value.detach(), torch.autograd.grad(value, leaf)[0]))
    # some of theirs is computed in float32, whatever they are given
    exact = results[1][0].dtype == torch.float64
    for ours, theirs in zip(*results, strict=True):
        tolerance = {"rtol": 1e-9, "atol": 1e-11} if exact else {"rtol": 1e-5, "atol": 1e-7}
        torch.testing.assert_close(ours, theirs, **tolerance, check_dtype=False)


def yes_or_no(shape=(3, 2, 6, 5)):
    logits, target, _ = batch(shape, "yes/no")
    return logits, target.round()


def with_class_axis(target):
    return target.unsqueeze(1)


# torch


@pytest.mark.parametrize("shape", [(6, 4), (2, 4, 5), (2, 4, 3, 2, 2)])
def test_torch_cross_entropy_of_indices(shape):
    logits, target, _ = batch(shape)
    same(lambda u: CrossEntropy()(u, target), lambda u: F.cross_entropy(u, target), logits)


def test_torch_cross_entropy_of_proportions():
    logits, target, _ = batch((2, 4, 5), "proportions")
    same(lambda u: CrossEntropy(classes="exclusive")(u, target), lambda u: F.cross_entropy(u, target), logits)


def test_torch_cross_entropy_with_class_weights_is_a_weight_map():
    logits, target, _ = batch((2, 3, 5))
    prices = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    by_channel = prices.reshape(1, 3, 1).expand_as(logits)
    same(lambda u: CrossEntropy()(u, target, by_channel), lambda u: F.cross_entropy(u, target, prices), logits)


def test_torch_cross_entropy_with_ignored_voxels_is_the_mean_of_the_others():
    logits, target, _ = batch((2, 3, 8))
    target[:, ::2] = -100
    same(lambda u: CrossEntropy()(u, target, ignore_index=-100), lambda u: F.cross_entropy(u, target), logits)


def test_torch_cross_entropy_with_label_smoothing_is_proportions():
    logits, target, _ = batch((2, 4, 5))
    smoothed = 0.9 * F.one_hot(target, 4).movedim(-1, 1).double() + 0.1 / 4
    ours = CrossEntropy(classes="exclusive")
    same(lambda u: ours(u, smoothed), lambda u: F.cross_entropy(u, target, label_smoothing=0.1), logits)


@pytest.mark.parametrize("positive_weight", [1.0, 3.0])
def test_torch_binary_cross_entropy(positive_weight):
    logits, target, _ = batch((3, 2, 4), "yes/no")
    price = torch.tensor(positive_weight, dtype=torch.float64)
    ours = CrossEntropy(classes="independent", positive_weight=positive_weight)
    theirs = nn.BCEWithLogitsLoss(pos_weight=price)
    same(lambda u: ours(u, target), lambda u: theirs(u, target), logits)


@pytest.mark.parametrize("text", ["sum", "mean"])
def test_torch_multi_margin_divides_the_sum_over_rivals_by_the_number_of_classes(text):
    logits, target, _ = batch((6, 4))
    asked = 4 if text == "sum" else 4 / 3
    ours = Hinge(lift="each_rival", per_class=text)
    same(lambda u: ours(u, target) / asked, lambda u: F.multi_margin_loss(u, target), logits)


# MONAI; its smooth_nr and smooth_dr beside 2 TP are twice our smooth


@pytest.mark.parametrize("smooth", [1.0, 0.5, 1e-5])
@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize(("ours", "jaccard"), [(Dice, False), (Jaccard, True)])
def test_monai_dice_and_jaccard(ours, jaccard, over, smooth):
    logits, target = yes_or_no()
    loss = ours(over=over, smooth=smooth, classes="independent")
    theirs = monai.DiceLoss(
        sigmoid=True, jaccard=jaccard, batch=over == "batch", smooth_nr=2 * smooth, smooth_dr=2 * smooth
    )
    same(lambda u: loss(u, target), lambda u: theirs(u, target), logits)


@pytest.mark.parametrize("background", [True, False])
def test_monai_dice_of_exclusive_classes(background):
    logits, target, _ = batch((2, 3, 6, 5))
    theirs = monai.DiceLoss(softmax=True, to_onehot_y=True, include_background=background, smooth_nr=2.0, smooth_dr=2.0)
    ours = Dice(background=background)
    same(lambda u: ours(u, target), lambda u: theirs(u, with_class_axis(target)), logits)


def test_monai_weighs_classes_without_dividing_by_the_weights():
    logits, target, _ = batch((2, 3, 6, 5))
    theirs = monai.DiceLoss(softmax=True, to_onehot_y=True, weight=[1.0, 2.0, 5.0], smooth_nr=2.0, smooth_dr=2.0)
    ours = Dice(class_weight=(1.0, 2.0, 5.0))
    same(lambda u: ours(u, target) * 8 / 3, lambda u: theirs(u, with_class_axis(target)), logits)


@pytest.mark.parametrize(("fp", "fn"), [(0.3, 0.7), (0.5, 0.5), (1.0, 0.25)])
def test_monai_tversky_has_alpha_on_false_positives(fp, fn):
    logits, target = yes_or_no()
    theirs = monai.TverskyLoss(sigmoid=True, alpha=fp, beta=fn, smooth_nr=1.0, smooth_dr=1.0)
    ours = Tversky(fp=fp, fn=fn, classes="independent")
    same(lambda u: ours(u, target), lambda u: theirs(u, target), logits)


@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("gamma", [2.0, 0.5])
def test_monai_focal_of_independent_classes(gamma, alpha):
    logits, target = yes_or_no()
    theirs = monai.FocalLoss(gamma=gamma, alpha=alpha)
    ours = Focal(gamma=gamma, alpha=alpha, classes="independent")
    same(lambda u: ours(u, target), lambda u: theirs(u, target), logits)


def test_monai_focal_of_exclusive_classes_divides_by_the_number_of_classes():
    logits, target, _ = batch((2, 3, 4, 4))
    theirs = monai.FocalLoss(gamma=2.0, use_softmax=True, to_onehot_y=True)
    same(lambda u: Focal()(u, target) / 3, lambda u: theirs(u, with_class_axis(target)), logits)


def test_two_samples_that_every_library_scores_differently():
    """p = [.9 .8 .3 .1], [.6 .2 .1 .05]; y = [1 1 0 0], [0 1 0 0]: the two numbers that have a name here."""
    p = torch.tensor([[[0.9, 0.8, 0.3, 0.1]], [[0.6, 0.2, 0.1, 0.05]]], dtype=torch.float64)
    target = torch.tensor([[[1.0, 1, 0, 0]], [[0.0, 1, 0, 0]]], dtype=torch.float64)
    assert Dice(smooth=1e-9)(p.logit(), target).item() == pytest.approx(0.4828, abs=5e-5)
    assert Dice(over="batch", smooth=1e-9)(p.logit(), target).item() == pytest.approx(0.3719, abs=5e-5)
    assert Dice(over="batch", smooth=0.5)(p.logit(), target).item() == pytest.approx(0.3191, abs=5e-5)
    assert Dice(over="batch", smooth=1.0)(p.logit(), target).item() == pytest.approx(0.2795, abs=5e-5)
