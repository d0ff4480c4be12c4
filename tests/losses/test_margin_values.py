"""Margin losses under every lift, against loops over elements and questions."""

from math import atan, exp, log, log1p, pi

import pytest
import torch

from oracles_losses import agree, asking, batch, margin_loss
from whichloss import parse
from whichloss.core import UserError


def smooth_hinge(h):
    return lambda m: 0.0 if m > 1 + h else 1 - m if m < 1 - h else (1 + h - m) ** 2 / (4 * h)


FORMULAS = {
    "Hinge()": lambda m: max(0.0, 1 - m),
    "SquaredHinge()": lambda m: max(0.0, 1 - m) ** 2,
    "SmoothHinge()": smooth_hinge(0.1),
    "SmoothHinge(half_width=0.8)": smooth_hinge(0.8),
    "Logistic()": lambda m: log1p(exp(-m)),
    "Lorenz()": lambda m: log(1 + (m - 1) ** 2) if m <= 1 else 0.0,
    "Tangent()": lambda m: (atan(m) - pi / 4) ** 2 if m <= 1 else 0.0,
    "Tangent(form='original')": lambda m: (2 * atan(m) - 1) ** 2,
}
LIFTS = ["one_versus_rest", "one_versus_one", "each_rival", "top_rival", "sum_to_zero"]
WEIGHTS = ["none", "element", "element and channel"]


@pytest.mark.parametrize("form", ["index", "proportions"])
@pytest.mark.parametrize("lift", LIFTS)
@pytest.mark.parametrize("text", FORMULAS)
def test_every_formula_under_every_lift(text, lift, form):
    loss = parse(asking(text, form, lift=lift))
    agree(loss, margin_loss(FORMULAS[text], lift), *batch((2, 3, 4), form, "element"))


@pytest.mark.parametrize("per_class", ["mean", "sum"])
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("form", ["index", "proportions"])
@pytest.mark.parametrize("lift", LIFTS)
def test_every_lift_with_weights_and_sums(lift, form, weight, per_class):
    loss = parse(asking("Lorenz()", form, lift=lift, per_class=per_class))
    oracle = margin_loss(FORMULAS["Lorenz()"], lift, summed=per_class == "sum")
    agree(loss, oracle, *batch((2, 3, 2, 2), form, weight))


@pytest.mark.parametrize("lift", LIFTS)
def test_plain_classification_is_the_same_code(lift):
    loss = parse(asking("SquaredHinge()", "index", lift=lift))
    agree(loss, margin_loss(FORMULAS["SquaredHinge()"], lift), *batch((5, 3)))


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("per_class", ["mean", "sum"])
@pytest.mark.parametrize("text", ["Logistic()", "Hinge()"])
def test_independent_classes_are_one_question_each(text, per_class, weight):
    loss = parse(asking(text, "yes/no", per_class=per_class))
    oracle = margin_loss(FORMULAS[text], exclusive=False, summed=per_class == "sum")
    agree(loss, oracle, *batch((2, 3, 4), "yes/no", weight))


@pytest.mark.parametrize("form", ["index", "proportions", "yes/no"])
@pytest.mark.parametrize("per_class", ["mean", "sum"])
@pytest.mark.parametrize("targets", ["signed", "zero_one"])
@pytest.mark.parametrize("scores", ["logits", "softmax"])
@pytest.mark.parametrize("text", ["Hinge()", "SquaredHinge()"])
def test_the_eight_readings_of_a_hinge(text, scores, targets, per_class, form):
    loss = parse(asking(text, form, scores=scores, targets=targets, per_class=per_class))
    oracle = margin_loss(
        FORMULAS[text],
        exclusive=form != "yes/no",
        summed=per_class == "sum",
        probabilities=scores == "softmax",
        zero_one=targets == "zero_one",
    )
    agree(loss, oracle, *batch((2, 3, 4), form, "element"))


@pytest.mark.parametrize("lift", ["each_rival", "top_rival", "sum_to_zero"])
def test_rivals_of_probabilities(lift):
    loss = parse(asking("SquaredHinge()", "index", lift=lift, scores="softmax"))
    agree(loss, margin_loss(FORMULAS["SquaredHinge()"], lift, probabilities=True), *batch((2, 3, 4)))


@pytest.mark.parametrize("lift", LIFTS)
def test_one_output_has_no_rivals(lift):
    oracle = margin_loss(FORMULAS["Lorenz()"], exclusive=False)
    agree(parse(f"Lorenz(lift={lift!r})"), oracle, *batch((4, 1, 3), "yes/no", "element"))


@pytest.mark.parametrize("weight", WEIGHTS)
def test_six_outputs_are_the_pairs_of_four_classes(weight):
    loss = parse("Logistic(lift='one_versus_one', per_class='sum')")
    oracle = margin_loss(FORMULAS["Logistic()"], "one_versus_one", summed=True)
    agree(loss, oracle, *batch((2, 6, 4), "index", weight, classes=4))


def test_lee_lin_and_wahba_by_hand():
    # u = (3, 0, 0), minus its mean (2, -1, -1); y = 1: hinge of -u_k for the others: (1 + 2) and (1 - 1)
    loss = parse("Hinge(lift='sum_to_zero', per_class='sum')")
    assert loss(torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([1])).item() == pytest.approx(3.0)


def test_crammer_singer_and_weston_watkins_by_hand():
    logits, target = torch.tensor([[0.5, 1.0, 0.25]]), torch.tensor([0])
    assert parse("Hinge(lift='top_rival')")(logits, target).item() == pytest.approx(1.5)
    assert parse("Hinge(lift='each_rival', per_class='sum')")(logits, target).item() == pytest.approx(1.5 + 0.75)
    assert parse("Hinge(lift='each_rival')")(logits, target).item() == pytest.approx((1.5 + 0.75) / 2)


def test_pairs_refuse_what_is_no_number_of_pairs():
    with pytest.raises(UserError, match=r"an output for each pair of classes \(1, 3, 6, 10, ...\), not 4"):
        parse("Hinge(lift='one_versus_one')")(torch.zeros(2, 4), torch.zeros(2).long())


def test_pairs_refuse_proportions_of_other_than_three_classes():
    with pytest.raises(UserError, match="use an index target"):
        parse("Hinge(lift='one_versus_one', classes='exclusive')")(torch.zeros(2, 6), torch.zeros(2, 6))


@pytest.mark.parametrize("lift", LIFTS[1:])
def test_rivals_refuse_independent_classes(lift):
    with pytest.raises(UserError, match='needs exclusive classes; ask yes/no with lift="one_versus_rest"'):
        parse(f"Hinge(lift={lift!r}, classes='independent')")(torch.zeros(2, 3), torch.zeros(2, 3))


def test_pairs_of_classes_have_no_softmax():
    with pytest.raises(ValueError, match="softmax has no meaning over pairs"):
        parse("Hinge(lift='one_versus_one', scores='softmax')")


def test_torch_multi_margin_has_a_slope_at_its_margin():
    with pytest.raises(ValueError, match=r"p is 0\.5"):
        parse("TorchMultiMargin(p=0.5)")
