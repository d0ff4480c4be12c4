"""The promises can fail: each is broken by a loss that is wrong in one way, and only by what is wrong with it."""

import pytest

from whichloss import CrossEntropy, Dice, parse, registry
from whichloss.contract import PROMISES, check
from whichloss.core import Loss, catalogue, prepare
from whichloss.core.lifts.region import RegionSums

MASKS = {
    "sees_nothing_where_the_weight_is_zero",
    "sees_nothing_of_an_image_without_weight",
}
GRADIENTS = {"has_the_gradient_of_its_value", "has_the_gradients_of_its_terms"}
ALL_OR_NOTHING = "stays_finite_and_in_range_where_all_or_nothing_is_there"
EXTREMES = {"stays_finite_at_extreme_logits", ALL_OR_NOTHING}
IGNORED = {"ignores_an_index_as_it_does_zero_weight", "gives_zero_with_a_graph_when_all_is_ignored"}
CHANNEL, CLASS = "sees_nothing_of_a_channel_without_weight", "sees_nothing_of_a_class_that_is_ignored"
IMAGES, ORDER = "gives_a_batch_the_terms_of_its_images", "does_not_care_about_the_order_of_images"
NAMES = "does_not_care_which_class_is_called_which"
BOUNDED = "is_as_bounded_as_its_card_says"
TERM = "gives_each_term_a_weight"

REJECTED = {
    "ForgetsAField(width=2.0)": {"has_a_name_that_can_be_read_back"},
    "ForgetsWhenCopied(width=2.0)": {"equals_its_copies"},
    "NamesNoFormula()": {"states_its_formula_and_source"},
    "ReturnsTheScore()": {"has_the_golden_values_of_its_card"},
    "WrongGoldenValue()": {"has_the_golden_values_of_its_card"},
    "LeavesItsRange()": {"stays_in_its_range", ALL_OR_NOTHING, BOUNDED},
    "ClaimsToBeBounded()": {BOUNDED},
    "ClaimsNoBound()": {BOUNDED},
    "IsFarBelowItsBound()": {BOUNDED},
    "ClaimsToBeSmooth()": {"is_as_smooth_as_its_card_says"},
    "ClaimsToBeConvex()": {"is_as_convex_as_its_card_says"},
    "ClaimsEasyCases()": {"leaves_easy_cases_alone_if_its_card_says_so"},
    "FalseIdentity()": {"keeps_the_identities_of_its_card"},
    "DetachesItsGradient()": GRADIENTS,
    "GivesTermsWithoutGradient()": {"has_the_gradients_of_its_terms"},
    "SpreadsGradientsEvenly()": {"has_the_gradients_of_its_terms"},
    "HasNoProblem()": {"has_the_gradient_of_its_value"},
    "SumsInsteadOfMean()": {TERM, IMAGES},
    "OverflowsForWrongCases()": EXTREMES,
    "UnsafePower(Dice())": EXTREMES,
    "DividesByThePositives()": {ALL_OR_NOTHING},
    "SumsInHalfPrecision()": {"reads_half_precision_as_what_it_stands_for"},
    "SumsByMatrixProducts()": {"is_not_cast_down_by_autocast"},
    "TakesItsTypeFromTorch()": {"gives_the_same_bits_whatever_the_state_of_torch"},
    "TakesChannelsLastForFirst()": {"does_not_care_how_its_inputs_lie_in_memory"},
    "TakesNoWeightForHalf()": MASKS
    | {"takes_no_weight_for_a_weight_of_one", "ignores_an_index_as_it_does_zero_weight", TERM},
    "CountsIgnoredVoxels()": MASKS | {CLASS, TERM},
    "CountsImagesWithoutWeight()": {"sees_nothing_of_an_image_without_weight", CHANNEL, CLASS},
    "CountsChannelsWithoutWeight()": {CHANNEL},
    "IgnoresOnlyWhatIsNoClass()": {CLASS},
    "IgnoresTheWeights()": MASKS | IGNORED | {CHANNEL, TERM},
    "MasksTheLogits()": MASKS | IGNORED | {CHANNEL, IMAGES, ORDER, NAMES},
    "AveragesOverNothing()": {"gives_zero_with_a_graph_when_all_is_ignored"},
    "DoesNotKnowIgnoredIndices()": IGNORED | {CLASS},
    "CountsLaterImagesMore()": {ORDER, TERM},
    "ClaimsToSeeOneImage(over='batch')": {IMAGES},
    "PrefersTheFirstClass()": {NAMES},
    "SmoothsOnlyIndices()": {"takes_an_index_for_its_one_hot"},
    "GuessesOneHot()": {"refuses_a_target_that_could_mean_two_things"},
    "DependsOnVoxelOrder()": {"does_not_care_about_the_order_of_elements", TERM},
    "LooksToOneSide()": {"does_not_care_which_way_an_image_is_turned"},
    "TakesTheFrameForBackground()": {
        "does_not_care_where_an_image_lies_in_a_frame_without_weight",
        "sees_nothing_where_the_weight_is_zero",
        "ignores_an_index_as_it_does_zero_weight",
        CLASS,
    },
    "KnowsTwoAxesOnly()": {"takes_a_slice_for_a_volume_of_one_slice"},
    "ChangesItsInputs()": {"leaves_its_inputs_alone", IMAGES},
}


@pytest.fixture(autouse=True, scope="module")
def _known_here_only():
    """Wrong losses enter the catalogue when they are imported, and leave it with this module."""
    registry(Loss)  # a module imported meanwhile would never be known again
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalogue._known, Loss, dict(catalogue._known[Loss]))
        yield


def broken(loss):
    return {str(error).partition(":")[0] for error in check(loss)}


@pytest.mark.parametrize("text", REJECTED)
def test_a_wrong_loss_is_turned_down(text):
    loss = parse(f"wrong_losses:{text}", imports=True)
    assert broken(loss) == REJECTED[text]


def test_a_right_loss_is_not():
    assert check(Dice()) == []


@pytest.fixture
def kernel():
    """Puts a fused kernel in place for one test."""
    before = prepare._fused
    yield prepare.fill
    prepare.fill(before)


def test_a_kernel_that_errs_by_a_millionth_is_turned_down(kernel):
    def fused(batch, needs):
        counts = [need(batch) if isinstance(need, RegionSums) else None for need in needs]
        return [one and one._replace(fp=one.fp * (1 + 1e-6)) for one in counts]

    kernel(fused)
    assert broken(Dice()) == {"is_the_same_through_a_fused_kernel"}
    assert broken(CrossEntropy()) == set()  # it declines what it cannot do


def test_every_promise_can_be_broken():
    seen = set().union(*REJECTED.values()) | {"is_the_same_through_a_fused_kernel"}
    assert seen == {promise.__name__ for promise in PROMISES}


def test_a_broken_promise_says_what_and_where():
    (error,) = check(parse("wrong_losses:AveragesOverNothing()", imports=True))
    assert "gives_zero_with_a_graph_when_all_is_ignored: nan when nothing has weight" in str(error)
    assert "classes by index, logits (5, 3)" in str(error)


def test_a_loss_that_crashes_has_not_kept_its_promises():
    errors = check(parse("wrong_losses:Crashes()", imports=True))
    assert any("ZeroDivisionError" in str(error) for error in errors)
