"""Mistakes that papers and libraries have published: each is turned down by a promise, named here."""

from pathlib import Path

import pytest
import torch

from whichloss import parse, registry
from whichloss.contract import check
from whichloss.core import Counts, Loss, catalogue

GOLDEN, RANGE = "has_the_golden_values_of_its_card", "stays_in_its_range"
ALL_OR_NOTHING = "stays_finite_and_in_range_where_all_or_nothing_is_there"
EXTREME = "stays_finite_at_extreme_logits"
IDENTITY = "keeps_the_identities_of_its_card"
NAMES = "does_not_care_which_class_is_called_which"
INDEX = "ignores_an_index_as_it_does_zero_weight"
CLASS = "sees_nothing_of_a_class_that_is_ignored"

# the loss, where it was published, and all the promises that turn it down; MONAI's MaskedLoss, which multiplies logits
# by the mask, is `MasksTheLogits` of wrong_losses.py
MISTAKES = {
    "ActivePassiveNormalizer()": ("Active-Passive-Losses, loss.py:73", {GOLDEN, RANGE, ALL_OR_NOTHING}),
    "ActivePassiveClamp()": ("Active-Passive-Losses, loss.py", {GOLDEN, RANGE, ALL_OR_NOTHING}),
    "FocalOfRoundedProbabilities()": ("torchvision, smp, pytorch-toolbelt", {EXTREME, ALL_OR_NOTHING}),
    "PenaltyOfANegativeDice()": ("SegLoss, PenaltyGDiceLoss", {GOLDEN, RANGE, ALL_OR_NOTHING}),
    "SensitivitySpecificityAsPrinted()": ("the survey, eq. (15)", {GOLDEN}),
    "ComboHalfNegated()": ("ComboLoss, official code", {RANGE, ALL_OR_NOTHING}),
    "HingeAsPrinted()": ("paper 002, eq. (1)", {IDENTITY}),
    "HingeOfZeroAndOne()": ("Keras 1, hinge", {IDENTITY}),
    "FocalOfTwoActivations()": ("pytorch-toolbelt, functional.py:144", {IDENTITY}),
    "SoftmaxWithoutBackground()": ("MONAI, focal_loss.py:172", {NAMES, "gives_each_term_a_weight"}),
    "OneHotPlusEpsilon()": ("kornia, one_hot.py:70", {"takes_an_index_for_its_one_hot"}),
    "LovaszOfClassIds()": ("kornia, lovasz_softmax.py:119", {NAMES}),
    "AsymmetricInHalf()": ("timm, AsymmetricLossMultiLabel", {"reads_half_precision_as_what_it_stands_for"}),
    "SmoothCountsDouble()": ("smp, _functional.py:208", {IDENTITY}),
    "GeneralizedDiceWithoutSignal()": ("SegLoss, GDiceLoss", {IDENTITY}),
    "IgnoresAClassForOthers()": ("MONAI, focal_loss.py:243", {INDEX, CLASS}),
    "MeanOverIgnored()": ("smp, pytorch-toolbelt, SoftCrossEntropyLoss", {INDEX, CLASS}),
}


@pytest.fixture(autouse=True, scope="module")
def _known_here_only():
    """These losses enter the catalogue when they are imported, and leave it with this module."""
    registry(Loss)  # a module imported meanwhile would never be known again
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalogue._known, Loss, dict(catalogue._known[Loss]))
        patch.syspath_prepend(Path(__file__).parent)
        yield


def mistake(text: str) -> Loss:
    return parse(f"published_mistakes:{text}", imports=True)


def broken(loss: Loss) -> set[str]:
    return {str(error).partition(":")[0] for error in check(loss)}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_published_mistake_is_turned_down(text: str):
    _, promises = MISTAKES[text]
    assert broken(mistake(text)) == promises


def test_the_same_sort_done_rightly_is_not_turned_down_by_that_promise():
    assert NAMES not in broken(mistake("LovaszOfClassIds(beside='foreground')"))


# the numbers that were measured on the libraries themselves


def test_combo_pays_for_false_positives():
    """A background patch of 10 x 10: all wrong scores better than all right."""
    right, wrong = (torch.full((1, 1, 10, 10), p, dtype=torch.float64).logit() for p in (0.01, 0.99))
    combo, target = mistake("ComboHalfNegated(smooth=0.5)"), torch.zeros(1, 1, 10, 10)
    assert combo(right, target).item() == pytest.approx(-0.2525, abs=5e-5)
    assert combo(wrong, target).item() == pytest.approx(-1.156, abs=5e-4)


def test_normalized_reverse_cross_entropy_is_81_times_what_it_should_be():
    worst = torch.tensor(-torch.inf, dtype=torch.float64)
    true = 1 / 9
    assert mistake("ActivePassiveNormalizer()").formula(worst).item() == pytest.approx(81 * true)
    assert mistake("ActivePassiveClamp()").formula(worst).item() == pytest.approx(0.256, abs=5e-4)


def test_a_wholly_wrong_answer_costs_a_quarter_where_ids_are_sorted():
    target = torch.arange(5).repeat(20).reshape(1, 100)
    wrong = 60.0 * torch.nn.functional.one_hot((target + 1) % 5, 5).movedim(-1, 1).double()
    assert mistake("LovaszOfClassIds()")(wrong, target).item() < 0.5
    assert mistake("LovaszOfClassIds(beside='foreground')")(wrong, target).item() == pytest.approx(1.0)


def test_sorted_class_ids_pass_a_check_of_the_gradient_and_are_wrong_by_three_quarters():
    """kornia b4f5a78a1: 0.253 where all is wrong in 5 classes, with a gradient that is that of its value."""
    torch.manual_seed(0)
    target = torch.randint(5, (1, 4, 5))
    wrong = 100.0 * torch.nn.functional.one_hot((target + 1) % 5, 5).movedim(-1, 1).double()
    ids, ours = mistake("LovaszOfClassIds()"), parse("LovaszSoftmax()")
    assert ids(wrong, target).item() == pytest.approx(0.253, abs=5e-4)
    assert ours(wrong, target).item() == pytest.approx(1.0)
    tame = torch.randn(1, 5, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u: ids(u, target), tame)
    right = mistake("LovaszOfClassIds(beside='foreground')")
    assert ours(tame, target).item() == pytest.approx(right(tame, target).item(), rel=1e-12)
    assert abs(ids(tame, target).item() - ours(tame, target).item()) > 0.1


def test_a_penalty_of_a_negative_dice_lies_between_minus_a_sixth_and_nothing():
    low, high = (
        mistake("PenaltyOfANegativeDice()").formula(Counts(*(torch.tensor(float(x)) for x in (tp, fp, 0, 9))))
        for tp, fp in ((5, 0), (0, 4))
    )
    assert low.item() == pytest.approx(-1 / 6)
    assert high.item() == 0
    assert parse("PenaltyGeneralizedDice()").range == (0.0, 1.0)


def test_the_printed_hinge_unlearns_the_true_class():
    """N = 10: a true score of 1 costs 1.8, and one of -1 costs 0.2."""
    good = torch.zeros(1, 10)
    good[0, 3] = 1
    hinge, target = mistake("HingeAsPrinted()"), torch.tensor([3])
    assert hinge(good, target).item() == pytest.approx(1.8)
    assert hinge(-good, target).item() == pytest.approx(0.2)


def test_one_smooth_is_two():
    p = torch.tensor([[[0.9, 0.8, 0.3, 0.1]], [[0.6, 0.2, 0.1, 0.05]]], dtype=torch.float64)
    target = torch.tensor([[[1.0, 1, 0, 0]], [[0.0, 1, 0, 0]]], dtype=torch.float64)
    assert mistake("SmoothCountsDouble(over='batch')")(p.logit(), target).item() == pytest.approx(0.2795, abs=5e-5)
    assert parse("Dice(over='batch', smooth=0.5)")(p.logit(), target).item() == pytest.approx(0.3191, abs=5e-5)


def test_subtracted_true_positives_leave_the_range_on_a_volume_of_common_size():
    """No small problem shows it: 256^3 voxels at p = 1e-4, a lesion of 30 at p = 0.02, in float32."""
    logits = torch.full((1, 1, 256, 256, 256), 1e-4).logit()
    target = torch.zeros_like(logits)
    logits[0, 0, 0, 0, :30], target[0, 0, 0, 0, :30] = torch.tensor(0.02).logit(), 1
    subtracted = mistake("SubtractsForTruePositives(smooth=0.0)")
    assert broken(subtracted) == set()
    assert not subtracted.range[0] <= subtracted(logits, target).item() <= subtracted.range[1]
    assert 0 <= parse("Dice(smooth=0.0)")(logits, target).item() <= 1


def test_generalized_dice_falls_silent_where_a_class_is_absent():
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    for loss, heard in ((mistake("GeneralizedDiceWithoutSignal()"), False), (parse("GeneralizedDice()"), True)):
        (slope,) = torch.autograd.grad(loss(logits, torch.arange(32).reshape(2, 4, 4) % 2), logits)
        assert (slope[:, :2].abs().max().item() > 1e-6) == heard
