"""Losses of different families that are the same function: in value and in slope, whatever the shape."""

from math import log

import pytest
import torch
import torch.nn.functional as F

from oracles_losses import batch, same
from whichloss import (
    AbsoluteError,
    AdaptiveLog,
    CrossEntropy,
    Dice,
    Focal,
    GeneralizedCrossEntropy,
    Hinge,
    Jaccard,
    KullbackLeibler,
    Logistic,
    Savage,
    SquaredError,
    Total,
    Tversky,
    parse,
    registry,
)
from whichloss.core import Loss

SHAPES = [(5, 3), (2, 3, 4, 3), (2, 3, 3, 2, 2)]
FORMS = ["index", "proportions", "yes/no"]
WEIGHTS = ["none", "element", "element and channel"]

everywhere = pytest.mark.parametrize("shape", SHAPES, ids=["plain", "2-D", "3-D"])
every_form = pytest.mark.parametrize("form", FORMS)
every_weight = pytest.mark.parametrize("weight", WEIGHTS)


def said(loss, form):
    """The loss, saying what a form leaves open."""
    return loss.asking({"index": "auto", "proportions": "exclusive", "yes/no": "independent"}[form])


def agree(one, other, shape, form, weight="none", factor=1.0):
    logits, target, w = batch(shape, form, weight)
    same(lambda u: said(one, form)(u, target, w), lambda u: factor * said(other, form)(u, target, w), logits)


def hard(shape, weight="none"):
    """Yes or no, and no third."""
    logits, target, w = batch(shape, "yes/no", weight)
    return logits, target.round(), w


# the identities of the cards, which the contract runs


def test_cards_name_identities():
    """The contract holds every pair to be equal; here, that there are pairs, and that they are not one text twice."""
    ours = {name: cls for name, cls in registry(Loss).items() if cls.__module__.startswith("whichloss.")}
    pairs = {(name, *pair) for name, cls in ours.items() for pair in cls.card.equals}
    assert len(pairs) >= 9
    assert {"Tversky", "Focal", "GeneralizedCrossEntropy", "Logistic", "FocalPower"} <= {name for name, *_ in pairs}
    for name, left, right in pairs:
        assert parse(left) != parse(right), f"{name}: {left} is {right}"
        assert name in left, f"{left} stands on the card of {name}"


# overlaps


@pytest.mark.parametrize("smooth", [0.0, 1e-5, 0.5, 1.0])
@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize(("price", "other"), [(0.5, Dice), (1.0, Jaccard)], ids=["Dice", "Jaccard"])
@pytest.mark.parametrize("weight", ["none", "element and channel"])
@every_form
@everywhere
def test_tversky_with_equal_prices_is_dice_or_jaccard(shape, form, weight, price, other, over, smooth):
    fields = {"over": over, "smooth": smooth}
    agree(Tversky(fp=price, fn=price, **fields), other(**fields), shape, form, weight)


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("smooth", [0.0, 2.0])
@every_form
@everywhere
def test_jaccard_is_a_function_of_dice(shape, form, smooth, over):
    """2 D / (1 + D), term by term; the smooth beside TP is that of both."""
    logits, target, _ = batch(shape, form)
    dice, jaccard = (said(one(smooth=smooth, over=over), form) for one in (Dice, Jaccard))

    def of_dice(u):
        d = dice.terms(u, target).value
        return (2 * d / (1 + d)).mean()

    same(lambda u: jaccard(u, target), of_dice, logits)


# cross-entropies


@pytest.mark.parametrize(
    "loss", [Focal(gamma=0.0), GeneralizedCrossEntropy(q=0.0)], ids=["focal, gamma 0", "generalised, q 0"]
)
@every_weight
@every_form
@everywhere
def test_powers_of_nothing_leave_cross_entropy(shape, form, weight, loss):
    agree(loss, CrossEntropy(), shape, form, weight)


@pytest.mark.parametrize("alpha", [0.5, 0.75])
@every_weight
@everywhere
def test_focal_without_focus_is_cross_entropy_with_a_price(shape, weight, alpha):
    """alpha = 0.5 is half the cross-entropy; 0.75 is a quarter of that in which a yes counts three times."""
    other = CrossEntropy(positive_weight=alpha / (1 - alpha))
    agree(Focal(gamma=0.0, alpha=alpha), other, shape, "yes/no", weight, factor=1 - alpha)


@pytest.mark.parametrize("beta", [0.5, 0.9])
@every_weight
@everywhere
def test_balanced_cross_entropy_of_known_shares_is_a_price(shape, weight, beta):
    one = parse(f"BalancedCrossEntropy(over='data', beta={beta})")
    agree(one, CrossEntropy(positive_weight=beta / (1 - beta)), shape, "yes/no", weight, factor=1 - beta)


@pytest.mark.parametrize("price", [0.2, 3.0])
@everywhere
def test_weighted_cross_entropy_is_torch_s(shape, price):
    logits, target, _ = batch(shape, "yes/no")
    by_torch = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(price, dtype=torch.float64))
    ours = said(CrossEntropy(positive_weight=price), "yes/no")
    same(lambda u: ours(u, target), lambda u: by_torch(u, target), logits)


@pytest.mark.parametrize("weighted", [False, True])
@everywhere
def test_the_total_of_cross_entropy_is_torch_s_sum(shape, weighted):
    logits, target, weight = batch(shape, "index", "element" if weighted else "none")

    def by_torch(u):
        value = F.cross_entropy(u, target, reduction="none")
        return (value if weight is None else weight * value).sum()

    same(lambda u: Total(CrossEntropy())(u, target, weight), by_torch, logits)


@every_weight
@everywhere
def test_kullback_leibler_is_cross_entropy_less_what_the_truth_keeps_for_itself(shape, weight):
    logits, target, w = batch(shape, "proportions", weight)
    kl, ce = (one(classes="exclusive") for one in (KullbackLeibler, CrossEntropy))
    surprise = torch.where(target > 0, target, 1.0).log()
    each = (target if w is None else target * (w if w.ndim == target.ndim else w.unsqueeze(1))).double()
    entropy = -(each * surprise).sum() / each.sum()
    same(lambda u: kl(u, target, w), lambda u: ce(u, target, w) - entropy, logits)


@every_weight
@everywhere
def test_kullback_leibler_of_hard_labels_is_cross_entropy(shape, weight):
    agree(KullbackLeibler(), CrossEntropy(), shape, "index", weight)


# absolute and squared errors of probabilities


@pytest.mark.parametrize("weight", ["none", "element"])
@everywhere
def test_generalised_cross_entropy_at_one_is_the_absolute_error(shape, weight):
    """1 - p of the truth; the other classes of several share as much again, so the sum over classes is twice it."""
    one, classes = GeneralizedCrossEntropy(q=1.0), shape[1]
    agree(one, AbsoluteError(of="probability"), shape, "index", weight, factor=classes / 2)

    logits, target, w = batch(shape, "index", weight)

    def by_hand(u):
        missing = 1 - u.softmax(1).gather(1, target.unsqueeze(1)).squeeze(1)
        return missing.mean() if w is None else (w * missing).sum() / w.sum()

    same(lambda u: one(u, target, w), by_hand, logits)


@every_weight
@everywhere
def test_generalised_cross_entropy_at_one_is_the_absolute_error_of_every_yes_and_no(shape, weight):
    logits, target, w = hard(shape, weight)
    one, other = GeneralizedCrossEntropy(q=1.0), AbsoluteError(of="probability")
    same(lambda u: said(one, "yes/no")(u, target, w), lambda u: said(other, "yes/no")(u, target, w), logits)


@every_weight
@everywhere
def test_savage_of_the_log_odds_is_the_brier_score(shape, weight):
    logits, target, w = hard(shape, weight)
    one, other = Savage(margin_is="log_odds"), SquaredError(of="probability")
    same(lambda u: said(one, "yes/no")(u, target, w), lambda u: said(other, "yes/no")(u, target, w), logits)


# margins


@every_weight
@everywhere
def test_one_against_the_rest_under_the_logistic_loss_is_binary_cross_entropy(shape, weight):
    agree(Logistic(), CrossEntropy(), shape, "yes/no", weight)

    logits, target, w = batch(shape, "index", weight)
    hot = F.one_hot(target, shape[1]).movedim(-1, 1).double()
    other = CrossEntropy(classes="independent")
    same(lambda u: Logistic()(u, target, w), lambda u: other(u, hot, w), logits)


def two_classes(shape, weight):
    n, _, *space = shape
    return batch((n, 2, *space), "index", weight)


@pytest.mark.parametrize("name", ["Hinge", "SquaredHinge", "SmoothHinge", "Logistic", "Lorenz", "Savage", "Tangent"])
@pytest.mark.parametrize(("lift", "part"), [("top_rival", 1.0), ("each_rival", 1.0), ("sum_to_zero", 0.5)])
@pytest.mark.parametrize("weight", ["none", "element"])
@everywhere
def test_two_classes_are_the_yes_or_no_of_their_difference(shape, weight, lift, part, name):
    """Against the one rival there is; or of half the difference, where scores are made to sum to zero."""
    logits, target, w = two_classes(shape, weight)
    rivals, binary = parse(f"{name}(lift={lift!r})"), parse(f"{name}()")

    def of_the_difference(u):
        return binary(part * (u[:, 1:] - u[:, :1]), target.unsqueeze(1), w)

    same(lambda u: rivals(u, target, w), of_the_difference, logits)


@pytest.mark.parametrize("other", [Logistic(), Logistic(lift="top_rival"), CrossEntropy()], ids=lambda one: one.label)
@pytest.mark.parametrize("weight", ["none", "element"])
@everywhere
def test_cross_entropy_of_two_classes_is_the_logistic_loss_of_their_difference(shape, weight, other):
    logits, target, w = two_classes(shape, weight)

    def of_the_difference(u):
        difference = u[:, 1:] - u[:, :1]
        if other.label.startswith("Logistic(lift"):
            return other(u, target, w)
        return other(difference, target.unsqueeze(1), w)

    same(lambda u: CrossEntropy()(u, target, w), of_the_difference, logits)


@pytest.mark.parametrize("name", ["Hinge", "Logistic", "Lorenz"])
@everywhere
def test_one_against_the_rest_of_opposite_scores_is_the_yes_or_no_of_one(shape, name):
    """Two scores u and -u ask the same question twice."""
    logits, target, w = two_classes(shape, "element")
    loss = parse(f"{name}()")
    same(
        lambda u: loss(torch.cat([-u, u], 1), target, w),
        lambda u: loss(u, target.unsqueeze(1), w),
        logits[:, :1],
    )


@pytest.mark.parametrize("name", ["Hinge", "Logistic", "Lorenz", "Tangent"])
@every_weight
@everywhere
def test_one_pair_of_classes_is_one_question(shape, weight, name):
    """one_versus_one of two classes has one output, and yes stands for the first of them."""
    logits, target, w = hard((shape[0], 1, *shape[2:]), weight)
    pair, binary = parse(f"{name}(lift='one_versus_one')"), parse(f"{name}()")
    same(lambda u: pair(u, target, w), lambda u: binary(u, target, w), logits)


@pytest.mark.parametrize("name", ["Hinge", "Logistic", "Savage"])
def test_ranking_one_yes_against_one_no_is_the_yes_or_no_of_their_difference(name):
    logits, _, _ = batch((2, 1), "yes/no")
    ranking, binary = parse(f"{name}(lift='ranking')"), parse(f"{name}()")
    same(
        lambda u: ranking(u, torch.tensor([[1], [0]])),
        lambda u: binary(u[:1] - u[1:], torch.tensor([[1]])),
        logits,
    )


# wrappers and sums


@pytest.mark.parametrize("text", ["Dice()", "Tversky(smooth=0.0, over='batch')", "CrossEntropy()", "Lorenz()"])
@pytest.mark.parametrize("weight", ["none", "element and channel"])
@every_form
@everywhere
def test_the_first_power_is_the_loss_itself(shape, form, weight, text):
    agree(parse(f"FocalPower({text}, exponent=1)"), parse(text), shape, form, weight)


@pytest.mark.parametrize("text", ["Dice()", "Jaccard(over='batch')", "CrossEntropy()"])
@pytest.mark.parametrize("threshold", [1e-6, 1e-3])
@every_form
@everywhere
def test_adaptive_log_far_above_its_threshold_is_the_loss_less_a_constant(shape, form, threshold, text):
    logits, target, _ = batch(shape, form)
    inner = said(parse(text), form)
    assert inner.terms(logits, target).value.min() > threshold
    constant = threshold - 10 * log(1 + threshold / 0.5)
    loss = AdaptiveLog(inner, threshold=threshold)
    same(lambda u: loss(u, target), lambda u: inner(u, target) - constant, logits)


@pytest.mark.parametrize("fields", ["", "threshold=0.3, offset=0.2"])
@everywhere
def test_a_smooth_join_is_a_scale(shape, fields):
    scale = 0.5 + 0.1 if not fields else 0.2 + 0.3
    comma = ", " if fields else ""
    smooth, printed = (
        parse(f"AdaptiveLog(Dice(smooth=8.0), {fields}{comma}{how})") for how in ("join='smooth'", f"scale={scale}")
    )
    agree(smooth, printed, shape, "index")


@everywhere
def test_combo_with_both_weights_one_half(shape):
    """alpha CE_beta - (1 - alpha) DSC with the 1 beside 2 TP of the papers; the constant is -(1 - alpha)."""
    logits, target, _ = hard(shape)
    alpha = beta = 0.5

    def by_hand(u):
        p = u.sigmoid()
        ce = -(beta * target * p.log() + (1 - beta) * (1 - target) * (1 - p).log()).mean()
        axes = [0, *range(2, u.ndim)]
        score = (2 * (p * target).sum(axes) + 1) / (p.sum(axes) + target.sum(axes) + 1)
        return alpha * ce - (1 - alpha) * score.mean()

    loss = said(parse("0.25 * CrossEntropy() + 0.5 * Dice(over='batch', smooth=0.5)"), "yes/no")
    same(lambda u: loss(u, target) - 0.5, by_hand, logits)


@every_form
@everywhere
def test_a_sum_is_the_sum_of_its_parts(shape, form):
    logits, target, w = batch(shape, form, "element")
    loss = parse("2 * CrossEntropy() + 0.5 * Dice() + AdaptiveLog(Hinge())")
    parts = [(2, CrossEntropy()), (0.5, Dice()), (1, AdaptiveLog(Hinge()))]
    same(
        lambda u: said(loss, form)(u, target, w),
        lambda u: sum(factor * said(part, form)(u, target, w) for factor, part in parts),
        logits,
    )
