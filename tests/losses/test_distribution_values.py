"""Losses that see the probability of every answer, against loops over questions and answers."""

from math import exp, log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles_likelihood import (
    asymmetric,
    bi_tempered,
    by_answer,
    focal_half,
    ldam,
    modified_focal,
    normalized,
    not_any_other,
    not_this,
    reverse,
    tempered_softmax,
)
from oracles_losses import agree, as_lists, asking, batch, likelihood_loss, slopes
from whichloss import BiTempered, Focal, Normalized, ReverseCrossEntropy, parse, plain
from whichloss.core import FieldError, UserError
from whichloss.core.lifts.distribution import log_not

# what an answer costs if it is the truth
COSTS = {
    "Normalized(CrossEntropy())": normalized(lambda log_p: -log_p),
    "Normalized(Focal(gamma=0.5))": normalized(focal_half),
    "Normalized(ReverseCrossEntropy())": normalized(reverse(-9.0)),
    "Normalized(GeneralizedCrossEntropy(q=0.3))": normalized(lambda log_p: 1 - exp(0.3 * log_p)),
    "NegativeLearning()": not_any_other,
    "NegativeLearning(labels='complementary')": not_this,
    "ModifiedFocal()": modified_focal(),
    "ModifiedFocal(delta=0.8, gamma=2.5)": modified_focal(0.8, 2.5),
    "ModifiedFocal(delta=0.3, gamma=1.5, suppress='all')": modified_focal(0.3, 1.5, both=True),
}
TEMPERATURES = [(0.8, 1.2), (0.2, 4.0), (0.0, 2.0), (1.0, 1.5), (1.0, 1.0), (0.4, 1.0), (0.5, 0.6)]
WEIGHTS = ["none", "element", "element and channel"]
FORMS = ["index", "proportions", "yes/no"]
QUESTIONS = {"index": "auto", "proportions": "exclusive", "yes/no": "independent"}

every_shape = pytest.mark.parametrize("shape", [(5, 3), (2, 3, 2, 2)])
every_weight = pytest.mark.parametrize("weight", WEIGHTS)
every_form = pytest.mark.parametrize("form", FORMS)


@every_shape
@every_weight
@every_form
@pytest.mark.parametrize("text", COSTS)
def test_every_cost_in_every_form(text, form, weight, shape):
    loss = parse(text).asking(QUESTIONS[form])
    agree(loss, by_answer(COSTS[text], exclusive=form != "yes/no"), *batch(shape, form, weight))


@every_weight
@every_form
@pytest.mark.parametrize(("t1", "t2"), TEMPERATURES)
def test_bi_tempered_in_every_form(t1, t2, form, weight):
    loss = BiTempered(t1=t1, t2=t2, classes=QUESTIONS[form])
    agree(loss, bi_tempered(t1, t2, exclusive=form != "yes/no"), *batch((2, 3, 2, 2), form, weight))


@every_shape
@every_weight
@pytest.mark.parametrize("fields", [{}, {"gamma_pos": 0.0}, {"gamma_neg": 0.5, "clip": 0.0}, {"clip": 0.6}], ids=str)
def test_asymmetric_of_every_channel(fields, weight, shape):
    text = f"Asymmetric({', '.join(f'{name}={value}' for name, value in fields.items())})"
    agree(
        parse(asking(text, "yes/no")), by_answer(asymmetric(**fields), exclusive=False), *batch(shape, "yes/no", weight)
    )


@every_weight
@pytest.mark.parametrize("form", ["index", "proportions"])
@pytest.mark.parametrize(
    ("counts", "margin", "scale"), [((1000, 10, 100), 0.5, 30), ((3, 3, 3), 1.0, 1), ((1, 2, 9), 0, 2)]
)
def test_ldam_in_every_form_of_several_classes(counts, margin, scale, form, weight):
    text = f"LDAM(counts={counts}, margin={margin}, scale={scale})"
    agree(parse(asking(text, form)), by_answer(ldam([*counts], margin, scale)), *batch((2, 3, 2, 2), form, weight))


@every_weight
def test_ldam_of_no_and_yes(weight):
    loss, oracle = parse("LDAM(counts=(900, 100), scale=1)"), by_answer(ldam([900, 100], scale=1), exclusive=False)
    agree(loss, oracle, *batch((2, 1, 2, 2), "yes/no", weight))


@settings(max_examples=60, deadline=None)
@given(
    text=st.sampled_from([*COSTS, "BiTempered()", "BiTempered(t1=0.3, t2=3.0)", "BiTempered(t1=0.3, t2=0.5)"]),
    images=st.integers(1, 3),
    channels=st.integers(2, 6),
    space=st.lists(st.integers(1, 3), max_size=3).map(tuple),
    size=st.floats(0.01, 4),
    ignored=st.floats(0, 0.7),
    seed=st.integers(0, 10**6),
)
def test_values_on_images_of_any_size_with_ignored_elements(text, images, channels, space, size, ignored, seed):
    random = torch.Generator().manual_seed(seed)
    logits = size * torch.randn((images, channels, *space), generator=random, dtype=torch.float64)
    target = torch.randint(channels, (images, *space), generator=random)
    gone = torch.rand(target.shape, generator=random) < ignored
    gone.flatten()[0] = False
    weight = torch.where(gone, 0.0, 1.0).unsqueeze(1).expand_as(logits).double()
    loss = parse(text)
    oracle = bi_tempered(loss.t1, loss.t2) if isinstance(loss, BiTempered) else by_answer(COSTS[text])
    expected = oracle(as_lists(logits, 2), as_lists(target, 1), as_lists(weight, 2))
    found = loss(logits, torch.where(gone, -100, target), ignore_index=-100)
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_ln_of_one_minus_p_where_p_rounds_to_one():
    """p = 1 / (1 + 2 e^-40): 1 - p is 0 in float64, and 2 e^-40 in truth."""
    log_p = torch.tensor([40.0, 0.0, 0.0], dtype=torch.float64).log_softmax(0).reshape(1, 1, 3)
    assert log_not(log_p).flatten().tolist() == pytest.approx([log(2) - 40, -exp(-40), -exp(-40)], rel=1e-12)
    tie = torch.zeros(1, 1, 2, dtype=torch.float64).log_softmax(2)
    assert log_not(tie).flatten().tolist() == pytest.approx([-log(2)] * 2)


# normalised losses, and pairs of an active and a passive one


def active_passive(logits: torch.Tensor, target: torch.Tensor, gamma: float) -> float:
    """Active-Passive-Losses' NFLandRCE with alpha = beta = 1 (gamma 0: NCEandRCE) and its clamps, case by case."""
    total = 0.0
    for u, y in zip(logits.tolist(), target.tolist(), strict=True):
        top = max(u)
        p = [exp(x - top) / sum(exp(z - top) for z in u) for x in u]
        costs = [-((1 - q) ** gamma) * log(q) for q in p]
        label = [max(float(k == y), 1e-4) for k in range(len(u))]
        total += costs[y] / sum(costs) - sum(min(max(q, 1e-7), 1.0) * log(one) for q, one in zip(p, label, strict=True))
    return total / len(target)


@pytest.mark.parametrize(
    ("text", "gamma"),
    [
        ("Normalized(CrossEntropy()) + ReverseCrossEntropy()", 0.0),
        ("Normalized(Focal(gamma=0.5)) + ReverseCrossEntropy()", 0.5),
    ],
)
@pytest.mark.parametrize("classes", [2, 10])
def test_active_passive_pairs_are_sums(text, gamma, classes):
    logits, target, _ = batch((6, classes), "index", seed=classes)
    assert parse(text)(logits, target).item() == pytest.approx(active_passive(logits, target, gamma), rel=1e-12)


@pytest.mark.parametrize("a", [-4.0, log(1e-4)])
def test_normalized_reverse_cross_entropy_is_a_ninth_at_most_for_ten_classes(a):
    """Active-Passive-Losses multiplies -A by (K - 1) / 4: 20.7. Dividing by 4 (K - 1), as meant, gives 0.256."""
    logits, target = torch.zeros(1, 10, dtype=torch.float64), torch.tensor([3])
    logits[0, 7] = 200
    assert 9 / 4 * -log(1e-4) == pytest.approx(20.7, abs=0.05)
    assert -log(1e-4) / 36 == pytest.approx(0.256, abs=5e-4)
    assert parse(f"Normalized(ReverseCrossEntropy(A={a}))")(logits, target).item() == pytest.approx(1 / 9)


@pytest.mark.parametrize("text", [text for text in COSTS if text.startswith("Normalized")])
def test_a_normalized_loss_is_a_share(text):
    """All labels together cost 1, whatever is predicted: even noise shifts the loss and moves no minimum."""
    logits = 3 * torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    total = sum(parse(text)(logits, torch.full((4,), k)) for k in range(5))
    assert total.item() == pytest.approx(1.0)


def test_the_gradient_of_normalized_focal_passes_through_its_factor():
    """Active-Passive-Losses detaches (1 - p)^gamma, above and below: the same value, and not its derivative."""
    logits, target, _ = batch((4, 3), "index")

    def detached(u: torch.Tensor) -> torch.Tensor:
        log_p = u.log_softmax(1)
        cost = -((1 - log_p.detach().exp()) ** 0.5) * log_p
        return (cost.gather(1, target.unsqueeze(1)).squeeze(1) / cost.sum(1)).mean()

    def gradient(function) -> torch.Tensor:
        leaf = logits.clone().requires_grad_()
        return torch.autograd.grad(function(leaf), leaf)[0]

    loss, oracle = Normalized(Focal(gamma=0.5)), by_answer(normalized(focal_half))
    ones = as_lists(torch.ones_like(logits), 2)
    true = torch.tensor(slopes(lambda u: oracle(u, as_lists(target, 1), ones), logits), dtype=torch.float64).reshape(
        4, 3
    )
    assert detached(logits).item() == pytest.approx(loss(logits, target).item())
    assert (gradient(detached) - true).abs().max() > 0.2 * true.abs().max()
    assert (gradient(lambda u: loss(u, target)) - true).abs().max() < 1e-8


@pytest.mark.parametrize("text", ["Dice()", "CrossEntropy() + Dice()", "Hinge()", "NegativeLearning()"])
def test_only_a_likelihood_loss_can_be_normalized(text):
    with pytest.raises(
        FieldError, match=r"not a function of the probability of the truth.*CrossEntropy\(\), Focal\(\)"
    ):
        Normalized(parse(text))


@pytest.mark.parametrize(
    "text", ["CrossEntropy(positive_weight=2.0)", "Focal(alpha=0.25)", "BalancedCrossEntropy()", "KullbackLeibler()"]
)
def test_what_has_prices_or_takes_something_off_has_no_share(text):
    with pytest.raises(FieldError, match="weighs yes against no, takes something off"):
        Normalized(parse(text))


def test_a_reverse_cross_entropy_needs_a_logarithm_of_nothing():
    with pytest.raises(FieldError, match=r"with A = 0 it is 0 everywhere.*such as -4"):
        ReverseCrossEntropy(A=0)
    with pytest.raises(FieldError, match="A is 4; it must be a finite number at most 0"):
        ReverseCrossEntropy(A=4)


# absolute error and Brier score of probabilities: the scale


def test_scales_of_the_absolute_error_and_the_brier_score():
    """p = (1/2, 1/4, 1/4), the first is true. Summed over classes: 1 and 3/8; Keras takes their means."""
    logits, target = torch.tensor([[2.0, 1.0, 1.0]], dtype=torch.float64).log(), torch.tensor([0])
    assert parse("AbsoluteError(of='probability')")(logits, target).item() == pytest.approx(1 / 3)
    assert parse("SquaredError(of='probability')")(logits, target).item() == pytest.approx(1 / 8)
    assert parse("GeneralizedCrossEntropy(q=1.0)")(logits, target).item() == pytest.approx(1 / 2)  # 1 - p_y, APL's MAE
    assert parse("ReverseCrossEntropy(A=-2.0)")(logits, target).item() == pytest.approx(1.0)  # 2 (1 - p_y)
    assert parse("Total(AbsoluteError(of='probability'))")(logits, target).item() == pytest.approx(1 / 3)


# bi-tempered


@pytest.mark.parametrize("classes", [2, 3, 40])
@pytest.mark.parametrize("t2", [0.3, 0.8, 1.0, 1.05, 1.7, 4.0])
@pytest.mark.parametrize("size", [0.1, 3.0, 100.0])
def test_the_tempered_softmax_is_that_of_a_bisection(size, t2, classes):
    logits = size * torch.randn(5, classes, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = BiTempered(t1=0.2, t2=t2).probability(logits)
    torch.testing.assert_close(found.sum(1), torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-11)
    for row, u in zip(found, logits.tolist(), strict=True):
        assert row.tolist() == pytest.approx(tempered_softmax(u, t2), rel=1e-7, abs=1e-12)


def test_five_fixed_point_steps_do_not_make_probabilities():
    """The authors' normalisation: ten classes, one ahead by 10, t2 = 2: the sum is 1.0099."""
    u = [10.0] + [0.0] * 9
    top, t = max(u), 2.0
    shifted = [x - top for x in u]
    for _ in range(5):
        z = sum((1 + (1 - t) * x) ** (1 / (1 - t)) for x in shifted)
        shifted = [(x - top) * z ** (1 - t) for x in u]
    z = sum((1 + (1 - t) * x) ** (1 / (1 - t)) for x in shifted)
    normalizer = -((1 / z) ** (1 - t) - 1) / (1 - t) + top
    theirs = sum((1 + (1 - t) * (x - normalizer)) ** (1 / (1 - t)) for x in u)
    assert theirs == pytest.approx(1.0099, abs=5e-5)
    ours = BiTempered(t1=0.2, t2=t).probability(torch.tensor([u], dtype=torch.float64))
    assert ours.sum().item() == pytest.approx(1, abs=1e-13)


def test_a_tempered_yes_is_one_of_two_classes():
    logits = torch.linspace(-6, 6, 9, dtype=torch.float64).unsqueeze(1)
    loss = BiTempered(t2=2.5)
    of_two = BiTempered(t2=2.5).probability(torch.cat([torch.zeros_like(logits), logits], 1))
    torch.testing.assert_close(loss.probability(logits), of_two[:, 1:])
    assert loss.probability(logits)[4].item() == pytest.approx(0.5)


def test_a_bi_tempered_loss_is_bounded_and_lets_go_of_outliers():
    """1 / (1 - t1) = 5 at most; a cross-entropy pulls with all its weight, however wrong."""
    slopes = []
    for gap in (2.0, 20.0, 200.0, 2e4):
        logits = torch.tensor([[gap, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
        value = BiTempered()(logits, torch.tensor([1]))
        slopes.append(torch.autograd.grad(value, logits)[0].abs().max().item())
        assert 0 < value.item() < 5
    assert slopes == sorted(slopes, reverse=True)
    assert slopes[-1] < 1e-3


@pytest.mark.parametrize(("t1", "t2"), [(0.8, 1.2), (0.2, 4.0), (1.0, 1.3)])
def test_second_derivatives_pass_through_the_normalisation(t1, t2):
    logits, target, _ = batch((2, 3, 2), "index")
    with plain():
        leaf = logits.requires_grad_()
        assert torch.autograd.gradgradcheck(lambda u: BiTempered(t1=t1, t2=t2)(u, target), leaf)


def test_a_probability_of_nothing_has_no_logarithm():
    with pytest.raises(FieldError, match=r"t2 below 1 gives probabilities of 0.*take t1 below 1"):
        BiTempered(t1=1.0, t2=0.9)


# LDAM


def test_margins_by_hand():
    """Counts of 10000 and 16: margins of 0.5 x (16 / 10000)^(1/4) = 0.1 and 0.5."""
    loss = parse("LDAM(counts=(10000, 16), scale=1)")
    logits = torch.zeros(1, 2, dtype=torch.float64)
    for y, margin in ((0, 0.1), (1, 0.5)):
        assert loss(logits, torch.tensor([y])).item() == pytest.approx(log(1 + exp(margin)))
    for yes, margin in ((0.0, 0.1), (1.0, 0.5)):
        assert loss(logits[:, :1], torch.tensor([[yes]])).item() == pytest.approx(log(1 + exp(margin)))


def test_a_weight_is_no_part_of_the_focal_power():
    """LDAM-DRW takes the power of 1 - exp(-weighted entropy): a weight of 4 makes p = 0.9 cost 15 times as much."""
    p, weight = 0.9, 4.0
    bent = (1 - exp(weight * log(p))) ** 2 * -weight * log(p)
    logits, target = torch.tensor([[p, 1 - p]], dtype=torch.float64).log(), torch.tensor([0])
    one = Focal()(logits, target).item()
    assert bent / one == pytest.approx(47.3, abs=0.1)
    by_weight = parse("Total(Focal())")(logits, target, torch.full((1,), weight)).item()
    assert by_weight / one == pytest.approx(weight)


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("LDAM(counts=(5, 3))", (4, 3), "counts has 2 entries, and there are 3 classes"),
        ("LDAM(counts=(5, 3, 1))", (4, 1), "counts has 3 entries, and there are 2 answers, no and yes"),
        ("LDAM(counts=(5, 3), classes='independent')", (4, 3), 'a yes/no for each channel: say classes="exclusive"'),
    ],
)
def test_counts_that_do_not_fit(text, shape, message):
    logits = torch.zeros(shape)
    target = torch.zeros(shape[0]).long() if shape[1] > 1 and "independent" not in text else torch.zeros(shape)
    with pytest.raises(UserError, match=message):
        parse(text)(logits, target)


def test_a_class_without_cases_has_no_margin():
    with pytest.raises(UserError, match=r"counts is .* each above 0"):
        parse("LDAM(counts=(5, 0))")
    with pytest.raises(UserError, match="counts"):
        parse("LDAM()")


# negative learning


def test_negative_learning_is_the_mean_over_the_labels_that_could_be_drawn():
    logits, target, weight = batch((3, 4, 2), "index", "element")
    drawn = [(target + shift) % 4 for shift in (1, 2, 3)]
    one = parse("NegativeLearning(labels='complementary')")
    mean = sum(one(logits, labels, weight) for labels in drawn) / 3
    assert parse("NegativeLearning()")(logits, target, weight).item() == pytest.approx(mean.item(), rel=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_negative_learning_begins_slowly(classes):
    logits, target = torch.zeros(1, classes, dtype=torch.float64, requires_grad=True), torch.tensor([1])
    slow, fast = (
        torch.autograd.grad(parse(text)(logits, target), logits)[0] for text in ("NegativeLearning()", "CrossEntropy()")
    )
    torch.testing.assert_close(slow, fast / (classes - 1) ** 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_an_answer_that_is_surely_wrong_keeps_its_slope(dtype):
    """1 - p clamped at 1e-5, as Active-Passive-Losses has it, has none; it is 1 at a gap of 20, and finite at 1e4."""
    for gap in (20.0, 1e4):
        logits = torch.tensor([[gap, 0.0, 0.0]], dtype=dtype, requires_grad=True)
        value = parse("NegativeLearning(labels='complementary')")(logits, torch.tensor([0]))
        (slope,) = torch.autograd.grad(value, logits)
        assert value.item() == pytest.approx(gap - log(2), rel=1e-6)
        assert slope[0].tolist() == pytest.approx([1.0, -0.5, -0.5], abs=1e-3)


# asymmetric


def test_asymmetric_in_half_precision_is_finite_where_an_epsilon_is_lost():
    """timm keeps probabilities above 1e-8, which float16 has not: infinite at -20, with a slope of NaN."""
    logits = torch.tensor([[-20.0]], dtype=torch.float16)
    leaf = logits.clone().requires_grad_()
    p = leaf.sigmoid()
    theirs = -((1 - p) * p.clamp(min=1e-8).log()).sum()
    theirs.backward()
    assert theirs.isinf() and leaf.grad.isnan().all()
    ours = logits.clone().requires_grad_()
    value = parse("Asymmetric()")(ours, torch.ones_like(logits))
    value.backward()
    assert value.item() == pytest.approx(20.0, rel=1e-6)
    assert ours.grad.item() == pytest.approx(-1.0, rel=1e-3)


def test_asymmetric_is_the_mean_of_what_timm_sums():
    """Its formula for 3 classes of 2 images, in float64, where no epsilon matters."""
    logits, target, _ = batch((2, 3), "yes/no")
    target = target.round()
    p = logits.sigmoid()
    no = (1 - p + 0.05).clamp(max=1)
    entropy = target * p.log() + (1 - target) * no.log()
    w = (1 - (p * target + no * (1 - target))) ** (1 * target + 4 * (1 - target))
    value = parse("Asymmetric(classes='independent')")(logits, target)
    assert value.item() == pytest.approx((-entropy * w).mean().item(), rel=1e-12)


@pytest.mark.parametrize("p", [0.001, 0.049])
def test_a_no_below_the_clip_teaches_nothing(p):
    logit = torch.tensor([[p]], dtype=torch.float64).logit().requires_grad_()
    value = parse("Asymmetric(gamma_neg=0.5)")(logit, torch.zeros(1, 1))
    assert value.item() == 0
    assert torch.autograd.grad(value, logit)[0].item() == 0


def test_asymmetric_of_exclusive_classes_is_focal_and_says_so():
    """timm's AsymmetricLossSingleLabel without smoothing: only the truth counts, with the focus of a yes."""
    logits, target, _ = batch((4, 3), "index")
    p = logits.softmax(1)
    y = torch.nn.functional.one_hot(target, 3).double()
    w = (1 - p * y - (1 - p) * (1 - y)) ** (1 * y + 4 * (1 - y))
    single = -(y * w * p.log()).sum(1).mean()
    assert Focal(gamma=1.0)(logits, target).item() == pytest.approx(single.item(), rel=1e-12)
    with pytest.raises(UserError, match=r'Focal\(gamma=1.0\); or say classes="independent"'):
        parse("Asymmetric()")(logits, target)


# the modified focal loss


@pytest.mark.parametrize(("delta", "gamma"), [(0.7, 2.0), (0.6, 0.5)])
def test_modified_focal_is_twice_monai_s(delta, gamma):
    """MONAI 1.6.1 takes the mean over voxels and both classes, of which one is nothing."""
    losses = pytest.importorskip("monai.losses.unified_focal_loss", reason="MONAI is the oracle here")
    logits, target, _ = batch((2, 2, 5, 4), "index")
    theirs = losses.AsymmetricFocalLoss(delta=delta, gamma=gamma)
    hot = torch.nn.functional.one_hot(target, 2).movedim(-1, 1).double()
    ours = parse(f"ModifiedFocal(delta={delta}, gamma={gamma})")(logits, target)
    assert ours.item() == pytest.approx(2 * theirs(logits.softmax(1), hot).item(), rel=1e-6)


# Poly-1


@pytest.mark.parametrize("epsilon", [-1.0, -0.5, 2.0])
def test_epsilon_is_a_factor_of_the_slope_where_a_case_is_nearly_right(epsilon):
    slopes = {}
    for logit in (9.0, -9.0):
        leaf = torch.tensor([[logit]], dtype=torch.float64, requires_grad=True)
        value = parse(f"Poly1(epsilon={epsilon})")(leaf, torch.ones(1, 1))
        slopes[logit] = torch.autograd.grad(value, leaf)[0].item() / (torch.sigmoid(leaf) - 1).item()
    assert slopes[9.0] == pytest.approx(1 + epsilon, abs=1e-3)
    assert slopes[-9.0] == pytest.approx(1, abs=1e-3)


def test_poly1_of_soft_labels_takes_the_probability_of_the_mixture():
    """The authors' and optax' form: 1 minus the sum of label times probability."""
    logits, target, _ = batch((4, 3), "proportions")
    p = logits.softmax(1)
    expected = (-(target * p.log()).sum(1) + 2.0 * (1 - (target * p).sum(1))).mean()
    assert parse("Poly1(classes='exclusive')")(logits, target).item() == pytest.approx(expected.item(), rel=1e-12)


def test_symmetric_cross_entropy_is_a_sum():
    """0.1 CE + RCE with A = ln 1e-4, as in the authors' code: -sum of p times ln of the clamped label."""
    logits, target, _ = batch((5, 4), "index")
    label = torch.nn.functional.one_hot(target, 4).double().clamp(1e-4, 1.0)
    reverse = -(logits.softmax(1) * label.log()).sum(1).mean()
    expected = 0.1 * torch.nn.functional.cross_entropy(logits, target) + reverse
    found = parse("0.1 * CrossEntropy() + ReverseCrossEntropy()")(logits, target)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    plus = likelihood_loss(lambda log_p: -0.1 * log_p + 4 * (1 - exp(log_p)))
    agree(parse("0.1 * CrossEntropy() + ReverseCrossEntropy(A=-4.0)"), plus, logits, target)
