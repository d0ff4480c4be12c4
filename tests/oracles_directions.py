"""Losses of similarities and cosines worked out slowly: see oracles_losses, which adds these to its table."""

from collections.abc import Callable, Iterator
from math import acos, cos, pi, sin
from typing import Any

from oracles_losses import ORACLES, Lists, Oracle, elements, embedded, log_softmax, shares

Case = tuple[Lists, Any, float]  # embedding, label, weight
Compare = Callable[[list[Case]], Iterator[tuple[float, float]]]  # cases to values, each with its weight


def beside(i: int, cases: list[Case], same: bool) -> list[tuple[float, float]]:
    """(similarity, weight) of all others of the class of i, or of all that are of another."""
    a, label, _ = cases[i]
    return [
        (sum(x * y for x, y in zip(a, b, strict=True)), w)
        for j, (b, other, w) in enumerate(cases)
        if j != i and (other == label) == same
    ]


def ntxent(temperature: float = 0.1) -> Compare:
    def compare(cases: list[Case]) -> Iterator[tuple[float, float]]:
        for i, (_, _, w) in enumerate(cases):
            strangers = [s / temperature for s, _ in beside(i, cases, same=False)]
            for s, v in beside(i, cases, same=True):
                if strangers:
                    yield -log_softmax([s / temperature, *strangers])[0], w * v

    return compare


def multi_similarity(alpha: float = 2.0, beta: float = 50.0, threshold: float = 0.5) -> Compare:
    def log_of_one_and(exponents: Lists) -> float:
        return -log_softmax([0.0, *exponents])[0]

    def compare(cases: list[Case]) -> Iterator[tuple[float, float]]:
        for i, (_, _, w) in enumerate(cases):
            near = log_of_one_and([-alpha * (s - threshold) for s, _ in beside(i, cases, same=True)])
            far = log_of_one_and([beta * (s - threshold) for s, _ in beside(i, cases, same=False)])
            yield near / alpha + far / beta, w

    return compare


def of_unit_length(compare: Compare) -> Oracle:
    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        found = list(compare([case for case in embedded(logits, target, weight) if case[2] > 0]))
        return sum(value * w for value, w in found) / sum(w for _, w in found)

    return oracle


def cosine_loss(asked: Callable[[float], float], scale: float) -> Oracle:
    """Cross-entropy over scaled cosines, with another number for the true class."""

    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        total = say = 0.0
        for u, y, w in elements(logits, target, weight):
            for k, share in enumerate(shares(y, len(u))):
                scores = [scale * (asked(c) if j == k else c) for j, c in enumerate(u)]
                total -= w[k] * share * log_softmax(scores)[k]
                say += w[k] * share
        return total / say

    return oracle


def arc(margin: float = 0.5, easy: bool = False) -> Callable[[float], float]:
    """By the angle itself; beyond 1, where there is none, as if it were 0, and below -1 on a line."""

    def asked(c: float) -> float:
        angle = acos(min(1.0, max(-1.0, c)))
        if easy:
            return cos(angle + margin) if angle < pi / 2 else c
        return cos(angle + margin) if angle <= pi - margin else c - margin * sin(margin)

    return asked


ORACLES |= {
    "NTXent()": ("index", of_unit_length(ntxent())),
    "MultiSimilarity(alpha=1.0, beta=10.0, threshold=-0.25)": (
        "index",
        of_unit_length(multi_similarity(1.0, 10.0, -0.25)),
    ),
    "CosFace(scale=2.0)": ("index", cosine_loss(lambda c: c - 0.35, 2.0)),
    "CosFace(scale=3.0, margin=1.0)": ("proportions", cosine_loss(lambda c: c - 1.0, 3.0)),
    "ArcFace(scale=2.0)": ("index", cosine_loss(arc(), 2.0)),
    "ArcFace(scale=1.0, easy_margin=True)": ("proportions", cosine_loss(arc(easy=True), 1.0)),
}
