"""Likelihood losses, against loops over elements and answers."""

from math import exp, log

import pytest
import torch

from oracles_likelihood import poly1, reverse
from oracles_losses import agree, asking, batch, likelihood_loss
from whichloss import parse
from whichloss.core import UserError

FORMULAS = {
    "CrossEntropy()": lambda log_p: -log_p,
    "Focal()": lambda log_p: -((1 - exp(log_p)) ** 2) * log_p,
    "Focal(gamma=0.0)": lambda log_p: -log_p,
    "Focal(gamma=0.5)": lambda log_p: -((1 - exp(log_p)) ** 0.5) * log_p,
    "Focal(gamma=3.5)": lambda log_p: -((1 - exp(log_p)) ** 3.5) * log_p,
    "Poly1()": poly1(2.0),
    "Poly1(epsilon=-1.0)": poly1(-1.0),
    "Poly1(epsilon=0.5, gamma=0.5)": poly1(0.5, 0.5),
    "ReverseCrossEntropy()": reverse(log(1e-4)),
    "ReverseCrossEntropy(A=-4.0)": reverse(-4.0),
}
WEIGHTS = ["none", "element", "element and channel"]


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 2, 2)])
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("form", ["index", "proportions", "yes/no"])
@pytest.mark.parametrize("text", FORMULAS)
def test_every_formula_in_every_form(text, form, weight, shape):
    oracle = likelihood_loss(FORMULAS[text], exclusive=form != "yes/no")
    agree(parse(asking(text, form)), oracle, *batch(shape, form, weight))


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("text", "formula", "prices"),
    [
        ("CrossEntropy(positive_weight=3.0)", "CrossEntropy()", (3.0, 1.0)),
        ("CrossEntropy(positive_weight=0.25)", "CrossEntropy()", (0.25, 1.0)),
        ("Focal(alpha=0.25)", "Focal()", (0.25, 0.75)),
        ("Focal(alpha=0.0)", "Focal()", (0.0, 1.0)),
        ("Focal(gamma=0.5, alpha=1.0)", "Focal(gamma=0.5)", (1.0, 0.0)),
    ],
)
def test_prices_of_yes_and_no_are_part_of_the_formula(text, formula, prices, channels, weight):
    oracle = likelihood_loss(FORMULAS[formula], exclusive=False, prices=prices)
    agree(parse(asking(text, "yes/no")), oracle, *batch((3, channels, 4), "yes/no", weight))


@pytest.mark.parametrize("text", ["CrossEntropy(positive_weight=3.0)", "Focal(alpha=0.25)"])
def test_exclusive_classes_have_no_price(text):
    with pytest.raises(UserError, match=r'weigh classes with a weight map \(N, C, \*S\), or say classes="independent"'):
        parse(text)(torch.zeros(2, 3), torch.zeros(2).long())


def test_cross_entropy_of_soft_labels_by_hand():
    # p = (1/2, 1/4, 1/4), y = (0.5, 0.3, 0.2): 0.5 ln 2 + 0.5 ln 4 = 1.5 ln 2
    logits = torch.tensor([[2.0, 1.0, 1.0]], dtype=torch.float64).log()
    value = parse("CrossEntropy(classes='exclusive')")(logits, torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64))
    assert value.item() == pytest.approx(1.0397207708399179, abs=1e-12)
