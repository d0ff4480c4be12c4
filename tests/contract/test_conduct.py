"""What anybody's loss is expected to do: kept by ours and by sound ones of others, broken by each fault."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F

from whichloss import parse, registry
from whichloss.contract import EXPECTATIONS, computing, conduct, examine, subject, takes_proportions
from whichloss.contract.portrait import cost, portrait
from whichloss.core import Foreign, Loss

OURS = [cls for cls in registry(Loss).values() if cls.__module__.startswith("whichloss.")]
EXAMPLES = [example for cls in OURS for example in cls.examples()]
# the promises of ours hold these, at their own tolerances, and each takes seconds
SLOW = {
    computing.sums_large_images_without_cancellation,
    computing.keeps_half_precision_finite,
    computing.compiles_to_one_graph,
    computing.is_the_same_under_autocast,
}
QUICK = [one for one in EXPECTATIONS if one not in SLOW]


def read(text: str) -> Loss:
    return parse(text, imports=True)


def broken(text: str) -> dict[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {one.promise: one.why for one in conduct(subject(read(text))) if one.status == "broken"}


@pytest.mark.parametrize("loss", EXAMPLES, ids=lambda loss: loss.label)
def test_ours_are_sound(loss: Loss) -> None:
    asked = subject(loss)
    if not asked.readings:
        # it gives embeddings, is for evaluation only, or is told what is not there: its promises alone hold it
        says_not = "complementary" in repr(loss)
        assert says_not or any(not leaf.answers or not leaf.trains or leaf.reach == "pairs" for leaf in loss.leaves())
        return
    assert [one for one in conduct(asked, QUICK) if one.status == "broken"] == []


def test_nearly_all_of_ours_are_asked() -> None:
    asked = [loss for loss in EXAMPLES if subject(loss).readings]
    assert len(asked) > 0.8 * len(EXAMPLES)


# how it is asked


@pytest.mark.parametrize(
    ("text", "link", "target"),
    [
        ("torch.nn:CrossEntropyLoss()", "logits", "class indices (N, *S)"),
        ("torch.nn:CrossEntropyLoss(label_smoothing=0.1)", "logits", "class indices (N, *S)"),
        ("torch.nn:MultiMarginLoss()", "logits", "class indices (N, *S)"),
        ("torch.nn:NLLLoss()", "log-probabilities", "class indices (N, *S)"),
        ("torch.nn:KLDivLoss()", "log-probabilities", "one-hot classes (N, C, *S)"),
        ("torch.nn:BCEWithLogitsLoss()", "logits", "yes or no for each channel"),
        ("torch.nn:BCELoss()", "probabilities", "yes or no for each channel"),
        ("torch.nn:SoftMarginLoss()", "logits", "+1 or -1 for each channel"),
        ("torch.nn:MSELoss()", "logits", "quantities, of the output's shape"),
        ("faulty_losses:keras_order", "probabilities", "yes or no for each channel"),
        ("faulty_losses:make(gamma=1.0)", "logits", "one-hot classes (N, C, *S)"),
        ("monai.losses:DiceLoss()", "probabilities", "yes or no for each channel"),
        ("monai.losses:DiceLoss(squared_pred=True)", "probabilities", "yes or no for each channel"),
        ("monai.losses:DiceLoss(sigmoid=True)", "logits", "yes or no for each channel"),
        ("monai.losses:DiceLoss(softmax=True)", "logits", "one-hot classes (N, C, *S)"),
        ("monai.losses:DiceCELoss(softmax=True, to_onehot_y=True)", "logits", "class indices (N, 1, *S)"),
        ("monai.losses:AsymmetricUnifiedFocalLoss()", "probabilities", "yes or no for each channel"),
        ("monai.losses:SoftclDiceLoss()", "probabilities", "yes or no for each channel"),
    ],
)
def test_how_a_loss_wants_to_be_asked_is_told_from_what_it_does(text: str, link: str, target: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        readings = subject(read(text)).readings
    assert (readings[0].link, readings[0].form.name) == (link, target)
    assert {one.link for one in readings} == {link}


def test_a_loss_for_ten_classes_is_asked_of_ten() -> None:
    assert subject(read("faulty_losses:NormalizedReverseCrossEntropy()")).readings[0].classes == 10


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("text", ["CrossEntropy()", "torch.nn:CrossEntropyLoss()"])
def test_an_answer_has_every_class_in_every_image(text: str, classes: int) -> None:
    from dataclasses import replace

    reading = replace(subject(read(text)).readings[0], classes=classes)
    for share in (0.25, 0.5, 0.75):
        for image in reading.answer(share=share):
            assert set(image.unique().tolist()) == set(range(classes))


# what expectations can find: each loss is wrong in one way


@pytest.mark.parametrize(
    ("text", "promise", "sentence"),
    [
        ("score", "scores_right_answers_better_than_wrong_ones", "a right answer scores"),
        ("DetachesAFactor()", "has_the_gradient_of_its_values", "and the gradient says"),
        ("changes_its_target", "leaves_output_and_target_alone", "it changed its own input"),
        ("reads_channels_last", "does_not_care_how_its_input_lies_in_memory", "lies otherwise in memory"),
        ("Random()", "gives_the_same_value_twice", "the first time"),
        ("ForgetsTheCount()", "sees_nothing_of_what_is_ignored", "without these elements"),
        ("weighted", "takes_a_weight_of_one_for_none_and_of_zero_for_absent", "with weight = 0 for some elements"),
        ("counts_later_images_more", "does_not_care_about_the_order_of_the_images", "with the images in another order"),
        ("rises_again", "is_least_at_its_target", "while the output comes nearer to its target"),
        ("combo", "scores_nothing_better_than_a_right_answer", "and one with errors -0."),
        ("combo", "scores_nothing_worse_than_a_wholly_wrong_answer", "one that is partly right"),
        ("Crashes()", "takes_some_batch", "RuntimeError: the cat sat on"),
        ("CrashesOnEmptyImages()", "stays_finite_at_ordinary_logits", "ZeroDivisionError: no foreground"),
    ],
)
def test_a_fault_is_found(text: str, promise: str, sentence: str) -> None:
    assert sentence in broken(f"faulty_losses:{text}")[promise]


@pytest.mark.parametrize(
    ("text", "promise", "sentence"),
    [
        ("faulty_losses:cast_down", "is_the_same_under_autocast", "under autocast"),
        ("faulty_losses:dead_when_wrong", "still_teaches_who_is_wholly_wrong", "wrong by 8: they are never put right"),
        ("faulty_losses:AsymmetricMultiLabel()", "is_the_mean_over_its_batch", "it is a sum"),
        ("faulty_losses:lovasz_softmax", "is_the_mean_over_its_batch", "more than the mean of its images"),
        ("monai.losses:DiceLoss(sigmoid=True)", "compiles_to_one_graph", "no single graph"),
        ("monai.losses:DiceLoss(sigmoid=True)", "keeps_half_precision_finite", "in float16 on 384 x 384"),
        (
            "monai.losses:GeneralizedDiceLoss(sigmoid=True)",
            "does_not_reward_false_positives_on_an_empty_image",
            "cost nothing",
        ),
        (
            "monai.losses:FocalLoss(use_softmax=True, alpha=0.3)",
            "does_not_care_how_classes_are_numbered",
            "class 0 is no",
        ),
        ("torch.nn:CrossEntropyLoss(label_smoothing=0.1)", "is_never_worse_for_being_more_right", "being surer than"),
        ("torch.nn:SoftMarginLoss()", "stays_finite_at_ordinary_logits", "wrong by 100"),
        ("HausdorffDistance()", "does_not_care_where_elements_lie", "it sees where elements lie"),
    ],
)
def test_what_its_user_should_know_is_a_remark(text: str, promise: str, sentence: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {one.promise: one for one in conduct(subject(read(text)))}[promise]
    assert found.status == "remark" and sentence in found.why


@pytest.mark.parametrize(
    ("text", "soft"),
    [
        ("CrossEntropy()", [True, True, True]),
        ("torch.nn:CrossEntropyLoss()", [True]),
        ("torch.nn:BCEWithLogitsLoss()", [True, True]),
        ("torch.nn:MultiMarginLoss()", [False]),
        ("torch.nn:MSELoss()", [False]),
    ],
)
def test_whether_proportions_are_taken(text: str, soft: list[bool]) -> None:
    assert [takes_proportions(one) for one in subject(read(text)).readings] == soft


@pytest.mark.parametrize("text", ["soundly_weighted", "INSTANCE", "make(gamma=1.0)", "keras_order"])
def test_what_is_not_wrong_is_not_turned_down(text: str) -> None:
    assert broken(f"faulty_losses:{text}") == {}


def test_what_does_not_apply_is_not_kept() -> None:
    found = {one.promise: one for one in conduct(subject(read("torch.nn:BCEWithLogitsLoss()")))}
    for name in ("sees_nothing_of_what_is_ignored", "is_least_at_its_target", "equals_what_it_should_be_like"):
        assert found[name].status == "not applicable" and found[name].why
    promised = {one.promise: one.status for one in examine(read("SquaredError()"))}
    assert promised["takes_an_index_for_its_one_hot"] == "not applicable"
    assert promised["has_the_gradient_of_its_value"] == "kept"


def test_a_fault_comes_with_an_input_that_shows_it() -> None:
    """The ids of classes sorted: the loss itself, called with the input that is told, has the value that is told."""
    import faulty_losses

    loss = read("faulty_losses:lovasz_softmax")
    (fault,) = [one for one in conduct(subject(loss)) if one.status == "broken"]
    assert fault.at is not None
    value = faulty_losses.lovasz_softmax(fault.at.output, fault.at.target).item()
    assert fault.why.startswith(f"{value:.5g} became ")


def test_a_broken_promise_of_ours_names_its_problem() -> None:
    wrong = read("wrong_losses:DetachesItsGradient()")
    fault = next(one for one in examine(wrong) if one.promise == "has_the_gradient_of_its_value")
    assert fault.status == "broken" and fault.at is not None
    assert fault.at.form in fault.why and fault.at.output.shape[0] == fault.at.target.shape[0]


# portraits


def test_a_portrait_is_drawn_from_values_and_slopes() -> None:
    """All of a yes/no answer right by x: ln(1 + e^-x), worked out again."""
    (reading, *_) = subject(read("torch.nn:BCEWithLogitsLoss()")).readings
    seen = portrait(reading)
    for x, value, slope in zip(seen.x, seen.value, seen.slope, strict=True):
        assert value == pytest.approx(math.log1p(math.exp(-x)))
        assert slope == pytest.approx(-1 / (1 + math.exp(x)))
    assert seen.smooth and seen.convex and not seen.bounded and seen.easy_from is None


@pytest.mark.parametrize(
    ("text", "smooth", "convex", "bounded", "easy"),
    [
        ("Hinge()", False, True, False, True),
        ("SmoothHinge()", True, True, False, True),
        ("Lorenz()", True, False, False, True),
        ("Savage()", True, False, True, False),
        ("torch.nn:CrossEntropyLoss()", True, True, False, False),
        ("torch.nn:L1Loss()", False, True, False, False),
    ],
)
def test_a_portrait_tells_the_shape(text: str, smooth: bool, convex: bool, bounded: bool, easy: bool) -> None:
    seen = portrait(subject(read(text)).readings[-1])
    assert (seen.smooth, seen.convex, seen.bounded) == (smooth, convex, bounded)
    assert (seen.easy_from is not None) == easy


def test_cost_is_that_of_the_loss_beside_another() -> None:
    """Against itself the memory is the same; the time is not asked about."""
    measured = cost(subject(read("torch.nn:CrossEntropyLoss()")).readings[0])
    assert measured is not None and measured.memory == pytest.approx(1.0, rel=0.01)
    assert measured.threads == torch.get_num_threads() and measured.shape == (2, 3, 128, 128)


def test_a_factory_is_called_once_with_its_arguments() -> None:
    loss = read("faulty_losses:make(1.0)")
    assert isinstance(loss, Foreign)
    logits, target = torch.randn(2, 3, 4), F.one_hot(torch.randint(3, (2, 4)), 3).movedim(-1, 1).float()
    log_p = logits.log_softmax(1)
    assert loss(logits, target).item() == pytest.approx((-(target * (1 - log_p.exp()) * log_p).mean()).item(), rel=1e-5)
