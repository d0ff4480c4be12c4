"""Region losses with every field, against loops that count element by element."""

import pytest
import torch

from oracles_losses import agree, asking, batch, dice, jaccard, region_loss, tversky
from whichloss import Dice, Jaccard, parse
from whichloss.core import UserError

FORMULAS = {
    "Dice()": dice,
    "Jaccard()": jaccard,
    "Tversky()": tversky(0.3, 0.7),
    "Tversky(fp=1.5, fn=0.2)": tversky(1.5, 0.2),
}
FIELDS = [
    {},
    {"over": "batch"},
    {"over": "ranks"},
    {"smooth": 0.0},
    {"smooth": 0.0, "over": "batch"},
    {"smooth": 1e-5},
    {"smooth": 7.5},
    {"empty": "skip"},
    {"empty": "zero"},
    {"empty": "volume"},
    {"empty": "skip", "over": "batch", "smooth": 0.0},
    {"background": False},
    {"background": False, "empty": "volume", "over": "batch"},
    {"class_weight": (1.0, 2.0, 5.0)},
    {"class_weight": (0.0, 2.0, 5.0), "empty": "skip"},
    {"class_weight": (1.0, 2.0, 5.0), "background": False, "over": "batch"},
]


def scarce(shape=(3, 3, 5), form="index", weight="none"):
    """A batch in which the last class is nowhere, the first image has background only, and the second has no say."""
    logits, target, weights = batch(shape, form, weight, classes=shape[1] - 1)
    target[0] = 0
    if form != "index":
        target[0, 0] = 1.0
        target[:, -1] = 0
    if weights is not None:
        weights[1] = 0
    return logits, target, weights


@pytest.mark.parametrize("form", ["index", "proportions", "yes/no"])
@pytest.mark.parametrize("weight", ["none", "element", "element and channel"])
@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_in_every_form(name, weight, form):
    oracle = region_loss(FORMULAS[name], exclusive=form != "yes/no")
    agree(parse(asking(name, form)), oracle, *scarce((3, 3, 2, 2), form, weight))


@pytest.mark.parametrize("form", ["index", "yes/no"])
@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_every_field(fields, form):
    oracle = region_loss(dice, exclusive=form != "yes/no", **fields)
    for weight in ("none", "element and channel"):
        agree(parse(asking("Dice()", form, **fields)), oracle, *scarce(form=form, weight=weight))


@pytest.mark.parametrize("fields", [{}, {"over": "batch"}, {"empty": "skip"}], ids=str)
def test_plain_classification_has_images_of_one_element(fields):
    agree(
        parse(asking("Jaccard()", "index", **fields)), region_loss(jaccard, **fields), *scarce((6, 3), weight="element")
    )


@pytest.mark.parametrize("empty", ["formula", "skip", "zero", "volume"])
def test_a_lesion_free_patch(empty):
    logits = torch.linspace(-3, 1, 8, dtype=torch.float64).reshape(2, 1, 4)
    oracle = region_loss(dice, exclusive=False, empty=empty)
    agree(Dice(empty=empty), oracle, logits, torch.zeros_like(logits))


def test_empty_classes_by_hand():
    # p = 1/2 on four background voxels, smooth 1: TP 0, FP 2, FN 0, so Dice = 1 - 2 / (2 + 2)
    logits, target = torch.zeros(1, 1, 4, dtype=torch.float64), torch.zeros(1, 1, 4)
    values = {empty: Dice(empty=empty)(logits, target).item() for empty in ("formula", "skip", "zero", "volume")}
    assert values == {"formula": 0.5, "skip": 0.0, "zero": 0.0, "volume": 0.5}


def test_a_skipped_class_leaves_the_mean_and_a_zero_one_stays_in_it():
    logits = torch.tensor([[[9.0] * 4, [-9.0] * 4]], dtype=torch.float64)
    logits[0, 1, 0] = 9.0  # independent channels: the first is right everywhere, the second wrong at one voxel
    target = torch.tensor([[[1.0] * 4, [0.0] * 4]], dtype=torch.float64)
    of_two = Dice(empty="zero", classes="independent")(logits, target)
    of_one = Dice(empty="skip", classes="independent")(logits, target)
    assert of_two.item() == pytest.approx(of_one.item() / 2)


def test_smooth_counts_as_imagined_true_positives():
    # TP 1, FP 1, FN 0 with p in {0, 1}: Dice 1 - 2 (1 + s) / (2 (1 + s) + 1), the papers' s = 1 is 0.5 here
    logits = torch.tensor([[[100.0, 100.0, -100.0]]], dtype=torch.float64)
    target = torch.tensor([[[1.0, 0.0, 0.0]]], dtype=torch.float64)
    assert Dice()(logits, target).item() == pytest.approx(1 / 5)
    assert Dice(smooth=0.5)(logits, target).item() == pytest.approx(1 / 4)
    assert Jaccard()(logits, target).item() == pytest.approx(1 / 3)


def test_class_weight_must_name_every_class():
    with pytest.raises(UserError, match="class_weight has 2 entries for 3 classes"):
        Dice(class_weight=(1.0, 2.0))(*scarce()[:2])


def test_class_weight_counts_the_background_whether_or_not_it_has_a_say():
    with pytest.raises(UserError, match="class_weight has 2 entries for 3 classes"):
        Dice(class_weight=(1.0, 2.0), background=False)(*scarce()[:2])


def test_one_output_has_no_background():
    with pytest.raises(UserError, match="background=False leaves nothing"):
        Dice(background=False)(torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))
