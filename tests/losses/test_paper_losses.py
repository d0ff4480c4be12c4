"""The rarer losses of the papers, each against plain arithmetic on lists."""

from math import exp, log

import pytest
import torch

from oracles_losses import likelihood_loss, log_softmax, margin_loss, sigmoid
from whichloss import (
    BalancedCrossEntropy,
    CrossEntropy,
    Dice,
    GeneralizedDice,
    Hinge,
    KullbackLeibler,
    SensitivitySpecificity,
    Total,
    Tversky,
    ZeroOne,
    parse,
)
from whichloss.core import FieldError, UserError

N, C, V = 3, 4, 7


def draw(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits (N, C, V), indices (N, V), yes or no (N, C, V), weights (N, V)."""
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(N, C, V, generator=random, dtype=torch.float64)
    index = torch.randint(C, (N, V), generator=random)
    yes = torch.randint(2, (N, C, V), generator=random).double()
    return logits, index, yes, torch.rand(N, V, generator=random, dtype=torch.float64) + 0.1


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("Savage()", lambda m: 1 / (1 + exp(2 * m)) ** 2),
        ("Savage(margin_is='log_odds')", lambda m: 1 / (1 + exp(m)) ** 2),
        ("ZeroOne()", lambda m: float(m <= 0)),
    ],
)
@pytest.mark.parametrize("lift", ["one_versus_rest", "each_rival", "top_rival", "sum_to_zero"])
def test_margins(text: str, formula, lift: str):
    logits, index, _, weight = draw()
    loss = parse(text.replace(")", f", lift='{lift}')").replace("(, ", "("))
    everywhere = weight.unsqueeze(1).expand(N, C, V).tolist()
    expected = margin_loss(formula, lift)(logits.tolist(), index.tolist(), everywhere)
    assert float(loss(logits, index, weight)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("q", [0.0, 0.3, 0.7, 1.0])
def test_generalized_cross_entropy(q: float):
    logits, index, yes, weight = draw(1)
    formula = (lambda log_p: (1 - exp(log_p) ** q) / q) if q else (lambda log_p: -log_p)
    loss = parse(f"GeneralizedCrossEntropy(q={q})")
    everywhere = weight.unsqueeze(1).expand(N, C, V).tolist()
    expected = likelihood_loss(formula)(logits.tolist(), index.tolist(), everywhere)
    assert float(loss(logits, index, weight)) == pytest.approx(expected, rel=1e-10)
    independent = parse(f"GeneralizedCrossEntropy(q={q}, classes='independent')")
    expected = likelihood_loss(formula, exclusive=False)(logits.tolist(), yes.tolist(), everywhere)
    assert float(independent(logits, yes, weight)) == pytest.approx(expected, rel=1e-10)


def test_a_confidently_wrong_case_does_not_recover_under_generalized_cross_entropy():
    logits = torch.tensor([[0.0, 40.0]], dtype=torch.float64, requires_grad=True)
    parse("GeneralizedCrossEntropy()")(logits, torch.tensor([0])).backward()
    assert logits.grad is not None
    assert float(logits.grad[0, 0]) == pytest.approx(-(exp(-40) ** 0.7), rel=1e-6)  # tiny, and yet not zero


def test_kullback_leibler_is_cross_entropy_less_entropy():
    logits, index, _, weight = draw(2)
    soft = torch.rand(N, C, V, generator=torch.Generator().manual_seed(5), dtype=torch.float64).softmax(1)
    soft[0, 0] = 0  # 0 ln 0 = 0
    soft = soft / soft.sum(1, keepdim=True)
    total = say = 0.0
    for n in range(N):
        for v in range(V):
            logs = log_softmax([float(logits[n, c, v]) for c in range(C)])
            t = [float(soft[n, c, v]) for c in range(C)]
            one = sum(t[c] * (log(t[c]) - logs[c]) for c in range(C) if t[c] > 0)
            total, say = total + float(weight[n, v]) * one, say + float(weight[n, v])
    loss = KullbackLeibler(classes="exclusive")
    assert float(loss(logits, soft, weight)) == pytest.approx(total / say, rel=1e-12)
    assert float(KullbackLeibler()(logits, index)) == pytest.approx(float(CrossEntropy()(logits, index)), rel=1e-12)
    met = soft.clamp_min(1e-300).log()
    assert float(loss(met, soft)) == pytest.approx(0.0, abs=1e-12)
    entropy = -(soft * soft.clamp_min(1e-300).log()).sum(1)
    cross = float(CrossEntropy(classes="exclusive")(logits, soft))
    assert float(loss(logits, soft)) == pytest.approx(cross - float(entropy.mean()), rel=1e-12)


@pytest.mark.parametrize("over", ["image", "batch", "data"])
def test_balanced_cross_entropy(over: str):
    logits, _, yes, weight = draw(3)
    yes[1, 2] = 0  # an image without foreground in one channel
    total = say = 0.0
    for n in range(N):
        for c in range(C):
            images = range(N) if over == "batch" else [n]
            mass = sum(float(weight[i, v]) for i in images for v in range(V))
            beta = 1 - sum(float(weight[i, v] * yes[i, c, v]) for i in images for v in range(V)) / mass
            beta = 0.8 if over == "data" else beta
            for v in range(V):
                p, y, w = sigmoid(float(logits[n, c, v])), float(yes[n, c, v]), float(weight[n, v])
                total += w * -(beta * y * log(p) + (1 - beta) * (1 - y) * log(1 - p))
                say += w
    loss = BalancedCrossEntropy(over=over, beta=0.8 if over == "data" else None, classes="independent")
    assert float(loss(logits, yes, weight)) == pytest.approx(total / say, rel=1e-10)


def test_balanced_cross_entropy_says_what_it_needs():
    with pytest.raises(FieldError, match="share of no in the data set"):
        BalancedCrossEntropy(over="data")
    with pytest.raises(FieldError, match="share of no in the data set"):
        BalancedCrossEntropy(beta=0.9)
    logits, index, _, _ = draw()
    with pytest.raises(UserError, match="exclusive classes have neither"):
        BalancedCrossEntropy()(logits, index)


def test_false_positives_of_an_empty_image_are_free_under_balanced_cross_entropy_by_image():
    logits = torch.full((1, 1, 8, 8), 3.0, requires_grad=True)
    value = BalancedCrossEntropy()(logits, torch.zeros(1, 1, 8, 8))
    value.backward()
    assert float(value.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("weighting", ["square", "simple", "uniform"])
@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("empty", ["formula", "skip"])
def test_generalized_dice(weighting: str, over: str, empty: str):
    logits, index, _, weight = draw(4)
    index[index == 3] = 0  # class 3 is nowhere
    index[0][index[0] == 2] = 1  # class 2 is not in the first image
    power = {"square": 2, "simple": 1, "uniform": 0}[weighting]
    groups = [range(N)] if over == "batch" else [[n] for n in range(N)]
    values = []
    for images in groups:
        tp, fp, fn = ([0.0] * C for _ in range(3))
        for n in images:
            for v in range(V):
                p = [exp(x) for x in log_softmax([float(logits[n, c, v]) for c in range(C)])]
                for c in range(C):
                    y, w = float(index[n, v] == c), float(weight[n, v])
                    tp[c] += w * p[c] * y
                    fp[c] += w * p[c] * (1 - y)
                    fn[c] += w * (1 - p[c]) * y
        volume = [a + b for a, b in zip(tp, fn, strict=True)]
        inverse = [volume[c] ** -power if volume[c] > 0 else None for c in range(C)]
        top = max(one for one in inverse if one is not None)
        say = [one if one is not None else (0.0 if empty == "skip" else top) for one in inverse]
        above = sum(2 * s * t for s, t in zip(say, tp, strict=True))
        below = sum(s * (2 * t + a + b) for s, t, a, b in zip(say, tp, fp, fn, strict=True))
        values.append(1 - above / below)
    loss = GeneralizedDice(weighting=weighting, over=over, empty=empty, smooth=0.0)
    assert float(loss(logits, index, weight)) == pytest.approx(sum(values) / len(values), rel=1e-10)


def test_generalized_dice_exactly_without_smooth():
    logits, index, _, _ = draw(4)
    loss = GeneralizedDice(over="batch", smooth=0.0)
    p, y = logits.softmax(1), torch.nn.functional.one_hot(index, C).movedim(-1, 1).double()
    w = y.sum((0, 2)) ** -2
    above = 2 * (w * (p * y).sum((0, 2))).sum()
    below = (w * (p + y).sum((0, 2))).sum()
    assert float(loss(logits, index)) == pytest.approx(float(1 - above / below), rel=1e-12)


def test_generalized_dice_has_a_gradient_when_a_class_is_absent():
    """Where an absent class gets the weight 1/(0 + tiny)^2 it drowns the others, and nothing is learned."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 4, generator=random, requires_grad=True)
    index = torch.randint(2, (2, 4, 4), generator=random)
    GeneralizedDice()(logits, index).backward()
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) > 1e-4


@pytest.mark.parametrize("errors", ["squared", "linear"])
@pytest.mark.parametrize("r", [0.05, 0.5, 1.0])
def test_sensitivity_specificity(errors: str, r: float):
    logits, _, yes, weight = draw(6)
    terms = []
    for n in range(N):
        for c in range(C):
            hit = miss = false = rest = 0.0
            for v in range(V):
                p, y, w = sigmoid(float(logits[n, c, v])), float(yes[n, c, v]), float(weight[n, v])
                error = (y - p) ** 2 if errors == "squared" else abs(y - p)
                hit, miss = hit + w * y * (1 - error), miss + w * y * error
                rest, false = rest + w * (1 - y) * (1 - error), false + w * (1 - y) * error
            terms.append(r * miss / (hit + miss) + (1 - r) * false / (rest + false))
    loss = SensitivitySpecificity(weight=r, errors=errors, smooth=0.0, classes="independent")
    assert float(loss(logits, yes, weight)) == pytest.approx(sum(terms) / len(terms), rel=1e-9)


def test_the_printed_sensitivity_specificity_is_one_minus_this_loss():
    logits, _, yes, _ = draw(7)
    p = logits.sigmoid()
    sensitivity = (p * yes).sum(2) / yes.sum(2)
    specificity = ((1 - p) * (1 - yes)).sum(2) / (1 - yes).sum(2)
    score = (0.3 * sensitivity + 0.7 * specificity).mean()
    loss = SensitivitySpecificity(weight=0.3, errors="linear", smooth=0.0, classes="independent")
    assert float(loss(logits, yes)) == pytest.approx(1 - float(score), rel=1e-12)


def test_zero_one_refuses_to_train_and_says_why():
    logits, index, _, _ = draw(8)
    error_rate = float((logits.argmax(1) != index).double().mean())
    assert float(ZeroOne(lift="top_rival")(logits, index)) == pytest.approx(error_rate)
    with pytest.raises(UserError, match="evaluation only") as refusal:
        ZeroOne()(logits.requires_grad_(), index)
    assert "Logistic()" in str(refusal.value)
    with pytest.raises(UserError, match="evaluation only"):
        (CrossEntropy() + ZeroOne())(logits, index)


def test_focal_tversky_as_a_sum_over_classes_and_as_a_mean():
    """sum_c (1 - TI_c)^e and its mean, with the exponent and its inverse named."""
    logits, index, _, _ = draw(9)
    tversky = Tversky(over="batch")
    by_class = tversky.terms(logits, index).value.flatten()
    mean, total = parse("FocalPower(Tversky(over='batch'))"), parse("Total(FocalPower(Tversky(over='batch')))")
    assert float(mean(logits, index)) == pytest.approx(float((by_class**0.75).mean()), rel=1e-12)
    assert float(total(logits, index)) == pytest.approx(float((by_class**0.75).sum()), rel=1e-12)
    assert float(Total(Dice())(logits, index)) == pytest.approx(N * C * float(Dice()(logits, index)), rel=1e-12)


READINGS = {
    (targets, scores, per_class): f"Hinge(targets='{targets}', scores='{scores}', per_class='{per_class}')"
    for targets in ("signed", "zero_one")
    for scores in ("logits", "softmax")
    for per_class in ("mean", "sum")
}


@pytest.mark.parametrize("reading", READINGS, ids=str)
@pytest.mark.parametrize("squared", [False, True], ids=["hinge", "squared hinge"])
def test_the_eight_readings_of_paper_002_are_expressions(reading: tuple[str, str, str], squared: bool):
    """What Keras 1 computed depends on two unstated choices, and on the 1/N of the paper."""
    targets, scores, per_class = reading
    loss = parse(("Squared" if squared else "") + READINGS[reading])
    logits = torch.zeros(2, 10, dtype=torch.float64)
    index = torch.tensor([3, 7])
    score = 0.1 if scores == "softmax" else 0.0
    right, wrong = 1 - score, 1 + score if targets == "signed" else 1.0
    power = 2 if squared else 1
    value = right**power + 9 * wrong**power
    assert float(loss(logits, index)) == pytest.approx(value / (10 if per_class == "mean" else 1), rel=1e-12)


def test_linear_hinge_with_targets_zero_and_one_has_a_floor_at_chance():
    """(N - 1)/N = 0.9 is reached by any scores above 1: nothing tells the classes apart."""
    loss = Hinge(targets="zero_one")
    logits = torch.full((4, 10), 5.0, requires_grad=True)
    value = loss(logits, torch.arange(4))
    value.backward()
    assert float(value.detach()) == pytest.approx(0.9)
    assert logits.grad is not None
    assert not logits.grad.any()
