"""What an output means under a loss: a decision, and a probability where the loss implies one."""

import pytest
import torch

from whichloss import Focal, Hinge, Lorenz, Tangent, parse
from whichloss.core import Task, UserError

LINKED = ["Logistic()", "SquaredHinge()", "Lorenz()", "Tangent()", "Tangent(form='original')"]


@pytest.mark.parametrize("p", [0.02, 0.1, 0.3, 0.49, 0.6, 0.8, 0.97])
@pytest.mark.parametrize("text", LINKED)
def test_a_probability_is_the_minimiser_of_the_expected_loss_turned_round(text, p):
    """If a share p of equal cases says yes, the best score is where p l(m) + (1 - p) l(-m) is least."""
    loss = parse(text)
    margin = torch.linspace(-6, 6, 240_001, dtype=torch.float64)
    best = margin[(p * loss.formula(margin) + (1 - p) * loss.formula(-margin)).argmin()]
    assert loss.probability(best.reshape(1, 1)).item() == pytest.approx(p, abs=2e-3)


@pytest.mark.parametrize("text", LINKED)
def test_probabilities_rise_from_zero_to_one_through_a_half(text):
    margin = torch.linspace(-9, 9, 4001, dtype=torch.float64).unsqueeze(1)
    p = parse(text).probability(margin)
    assert p.shape == margin.shape
    assert (p.diff(dim=0) >= -1e-12).all()
    assert 0 <= p[0] < 2e-4
    assert 1 - 2e-4 < p[-1] <= 1
    assert p[2000].item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    "text",
    [
        "Hinge()",
        "SmoothHinge()",
        "Logistic(scores='softmax')",
        "SquaredHinge(targets='zero_one')",
    ],
)
def test_some_losses_imply_no_probability(text):
    assert parse(text).probability(torch.zeros(3, 1)) is None


def test_margins_of_several_classes_imply_no_probability_of_a_class():
    assert Lorenz().probability(torch.zeros(3, 4)) is None
    assert Lorenz(classes="independent").probability(torch.zeros(3, 4)).tolist() == [[0.5] * 4] * 3


@pytest.mark.parametrize(
    "text", ["CrossEntropy()", "Dice()", "Focal()", "CrossEntropy() + 0.5 * Dice()", "AdaptiveLog(Dice())"]
)
def test_other_losses_use_softmax_or_sigmoid(text):
    logits = torch.randn(3, 4, 2)
    assert torch.equal(parse(text).probability(logits), logits.softmax(1))
    assert torch.equal(parse(text).probability(logits[:, :1]), logits[:, :1].sigmoid())


def test_independent_classes_have_a_sigmoid_each():
    logits = torch.randn(3, 4, 2)
    assert torch.equal(Focal(classes="independent").probability(logits), logits.sigmoid())


def test_a_decision_is_a_class_or_a_yes_per_channel():
    logits = torch.tensor([[[0.2], [3.0], [-1.0]], [[5.0], [3.0], [-1.0]]])
    assert Hinge().decide(logits).tolist() == [[1], [0]]
    assert Hinge(classes="independent").decide(logits).tolist() == [[[1], [1], [0]], [[1], [1], [0]]]
    assert Hinge().decide(logits[:, 2:]).tolist() == [[[0]], [[0]]]


def test_a_wrapped_or_summed_loss_decides_as_its_first_part_does():
    logits = torch.tensor([[1.0, 1.0, -1.0]])
    for text in ("FocalPower({})", "2 * {} + {}", "AdaptiveLog({} + {})"):
        first = parse(text.replace("{}", "Logistic(lift='one_versus_one')"))
        assert first.decide(logits).tolist() == [0]
    assert parse("Dice() + CrossEntropy()").decide(logits).shape == (1,)


def test_pairs_of_classes_vote():
    # outputs: 0 against 1, 0 against 2, 1 against 2
    loss = Tangent(lift="one_versus_one")
    logits = torch.tensor([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0], [-1.0, -1.0, -1.0], [0.1, -9.0, 0.1]])
    assert loss.decide(logits).tolist() == [0, 1, 2, 2]  # the last: a vote each, broken by the margins
    scores = loss.class_scores(logits)
    assert scores.shape == (4, 3)
    assert torch.equal(scores.argmax(1), loss.decide(logits))


def test_margins_never_outvote_votes():
    # class 0 wins both of its pairs by little, class 1 loses one by little and wins one by far
    logits = torch.tensor([[0.01, 0.01, 1e6]])
    assert Tangent(lift="one_versus_one").decide(logits).tolist() == [0]


def test_how_many_outputs_a_network_has_under_a_loss():
    binary = Task(kind="classification", classes=("no", "yes"))
    four = Task(kind="segmentation", classes=("a", "b", "c", "d"), size=(8, 8))
    for text in ("Hinge()", "Dice()", "CrossEntropy() + Dice()", "AdaptiveLog(Dice())"):
        assert parse(text).outputs(binary) == 1
        assert parse(text).outputs(four) == 4
    assert Hinge(lift="one_versus_one").outputs(binary) == 1
    assert Hinge(lift="one_versus_one").outputs(four) == 6


def test_a_sum_cannot_ask_for_two_networks():
    four = Task(kind="classification", classes=("a", "b", "c", "d"))
    with pytest.raises(UserError, match="need networks with different outputs"):
        parse("CrossEntropy() + Hinge(lift='one_versus_one')").outputs(four)
