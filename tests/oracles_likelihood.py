"""Losses that see every answer, worked out one question at a time: see oracles_losses, to whose table this adds.

A question is one of several classes, or no (0) and yes (1) of a channel, whose scores are 0 and its logit.
"""

from collections.abc import Callable
from math import exp, log

from oracles_losses import ORACLES, Lists, Oracle, elements, likelihood_loss, log_softmax, shares, softmax

Cost = Callable[[Lists, int], float]  # of scores, if this answer is the truth


def questions(logits: Lists, target: Lists, weight: Lists, exclusive: bool):
    """For each question: its scores, the proportion of each answer in the truth, and the say of each."""
    for u, y, w in elements(logits, target, weight):
        if exclusive:
            truth = shares(y, len(u))
            yield u, truth, [share * one for share, one in zip(truth, w, strict=True)]
        else:
            for x, yes, one in zip(u, y, w, strict=True):
                yield [0.0, x], [1 - yes, yes], [one * (1 - yes), one * yes]


def by_answer(cost: Cost, exclusive: bool = True) -> Oracle:
    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        total = say = 0.0
        for u, _, w in questions(logits, target, weight, exclusive):
            total += sum(one * cost(u, k) for k, one in enumerate(w) if one)
            say += sum(w)
        return total / say

    return oracle


def normalized(formula: Callable[[float], float]) -> Cost:
    def cost(u: Lists, y: int) -> float:
        return formula(log_softmax(u)[y]) / sum(formula(log_p) for log_p in log_softmax(u))

    return cost


def not_any_other(u: Lists, y: int) -> float:
    return -sum(log(1 - p) for k, p in enumerate(softmax(u)) if k != y) / (len(u) - 1)


def not_this(u: Lists, y: int) -> float:
    return -log(1 - softmax(u)[y])


def ldam(counts: Lists, margin: float = 0.5, scale: float = 30.0) -> Cost:
    widest = max(n**-0.25 for n in counts)

    def cost(u: Lists, y: int) -> float:
        taken = [scale * (x - margin * counts[k] ** -0.25 / widest * (k == y)) for k, x in enumerate(u)]
        return -log_softmax(taken)[y]

    return cost


def asymmetric(gamma_pos: float = 1.0, gamma_neg: float = 4.0, clip: float = 0.05) -> Cost:
    def cost(u: Lists, y: int) -> float:
        p = softmax(u)[1]
        if y == 1:
            return -((1 - p) ** gamma_pos) * log(p)
        p = max(p - clip, 0.0)
        return -(p**gamma_neg) * log(1 - p)

    return cost


def modified_focal(delta: float = 0.6, gamma: float = 0.5, both: bool = False) -> Cost:
    def cost(u: Lists, y: int) -> float:
        p = softmax(u)[y]
        if y > 0:
            return -delta * ((1 - p) ** gamma if both else 1.0) * log(p)
        return -(1 - delta) * (1 - p) ** gamma * log(p)

    return cost


def log_t(x: float, t: float) -> float:
    return log(x) if t == 1 else (x ** (1 - t) - 1) / (1 - t)


def exp_t(x: float, t: float) -> float:
    return exp(x) if t == 1 else max(1 + (1 - t) * x, 0.0) ** (1 / (1 - t)) if 1 + (1 - t) * x > 0 else 0.0


def tempered_softmax(u: Lists, t: float) -> Lists:
    """By bisection: at the largest score the sum is 1 or more, and where that has a K-th, it is 1 or less."""
    low, high = max(u), max(u) - log_t(1 / len(u), t)
    for _ in range(200):
        middle = (low + high) / 2
        if sum(exp_t(x - middle, t) for x in u) > 1:
            low = middle
        else:
            high = middle
    return [exp_t(x - high, t) for x in u]


def bi_tempered(t1: float = 0.8, t2: float = 1.2, exclusive: bool = True) -> Oracle:
    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        total = say = 0.0
        for u, truth, w in questions(logits, target, weight, exclusive):
            value = 0.0
            for p, y in zip(tempered_softmax(u, t2), truth, strict=True):
                value += y * (log_t(y, t1) - log_t(p, t1)) if y else 0.0
                value -= (y ** (2 - t1) - p ** (2 - t1)) / (2 - t1)
            total += sum(w) * value
            say += sum(w)
        return total / say

    return oracle


def poly1(epsilon: float, gamma: float = 0.0) -> Callable[[float], float]:
    return lambda log_p: (1 - exp(log_p)) ** gamma * (epsilon * (1 - exp(log_p)) - log_p)


def reverse(a: float) -> Callable[[float], float]:
    return lambda log_p: -a * (1 - exp(log_p))


def focal_half(log_p: float) -> float:
    return -((1 - exp(log_p)) ** 0.5) * log_p


ORACLES.update(
    {
        "Poly1()": ("index", likelihood_loss(poly1(2.0))),
        "Poly1(epsilon=-1.0, gamma=1.5)": ("proportions", likelihood_loss(poly1(-1.0, 1.5))),
        "ReverseCrossEntropy()": ("index", likelihood_loss(reverse(log(1e-4)))),
        "ReverseCrossEntropy(A=-4.0)": ("yes/no", likelihood_loss(reverse(-4.0), exclusive=False)),
        "0.1 * CrossEntropy() + ReverseCrossEntropy()": (
            "index",
            likelihood_loss(lambda log_p: -0.1 * log_p - log(1e-4) * (1 - exp(log_p))),
        ),
        "Normalized(CrossEntropy())": ("index", by_answer(normalized(lambda log_p: -log_p))),
        "Normalized(Focal(gamma=0.5))": ("proportions", by_answer(normalized(focal_half))),
        "Normalized(GeneralizedCrossEntropy())": (
            "yes/no",
            by_answer(normalized(lambda log_p: 1 - exp(0.7 * log_p)), exclusive=False),
        ),
        "Normalized(ReverseCrossEntropy())": ("index", by_answer(normalized(reverse(-1.0)))),
        "NegativeLearning()": ("index", by_answer(not_any_other)),
        "NegativeLearning(labels='complementary')": ("proportions", by_answer(not_this)),
        "LDAM(counts=(1000.0, 100.0, 10.0))": ("index", by_answer(ldam([1000.0, 100.0, 10.0]))),
        "LDAM(counts=(9.0, 2.0), margin=2.0, scale=1.0)": (
            "one yes/no",
            by_answer(ldam([9.0, 2.0], 2.0, 1.0), exclusive=False),
        ),
        "Asymmetric()": ("yes/no", by_answer(asymmetric(), exclusive=False)),
        "Asymmetric(gamma_pos=0.5, gamma_neg=1.5, clip=0.2)": (
            "yes/no",
            by_answer(asymmetric(0.5, 1.5, 0.2), exclusive=False),
        ),
        "ModifiedFocal()": ("index", by_answer(modified_focal())),
        "ModifiedFocal(delta=0.7, gamma=2.0, suppress='all')": (
            "yes/no",
            by_answer(modified_focal(0.7, 2.0, both=True), exclusive=False),
        ),
        "BiTempered()": ("index", bi_tempered()),
        "BiTempered(t1=0.2, t2=4.0)": ("proportions", bi_tempered(0.2, 4.0)),
        "BiTempered(t1=0.5, t2=0.7)": ("yes/no", bi_tempered(0.5, 0.7, exclusive=False)),
        "BiTempered(t1=1.0, t2=1.3)": ("index", bi_tempered(1.0, 1.3)),
        "BiTempered(t1=1.0, t2=1.0)": ("proportions", bi_tempered(1.0, 1.0)),
    }
)
