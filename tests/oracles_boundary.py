"""Boundary losses worked out slowly, one element and one neighbour at a time, in plain Python.

As in `oracles_losses.py`, batches are nested lists, (images, channels, elements); `space` says how the elements of an
image lie, and one line of them where nothing is said.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import product
from math import dist, inf, log, log1p

from oracles_losses import ORACLES, Lists, Oracle, sigmoid, softmax

Place = tuple[int, ...]


def probabilities(u: Lists, exclusive: bool) -> Lists:
    """Of one element, from its logits."""
    return softmax(u) if exclusive else [sigmoid(x) for x in u]


def images(logits: Lists, target: Lists, weight: Lists, exclusive: bool) -> Iterator[tuple[Lists, Lists, Lists]]:
    """p, y and w of each image: (channels, elements)."""
    for u, y, w in zip(logits, target, weight, strict=True):
        p = list(map(list, zip(*(probabilities(list(one), exclusive) for one in zip(*u, strict=True)), strict=True)))
        if not isinstance(y[0], list):
            y = [[float(index == c) for index in y] for c in range(len(u))]
        yield p, y, w


def places(space: Sequence[int] | None, count: int) -> list[Place]:
    return list(product(*map(range, space or [count])))


def apart(a: Place, b: Place, spacing: Sequence[float] | None) -> float:
    steps = spacing or [1.0] * len(a)
    return dist([x * s for x, s in zip(a, steps, strict=True)], [x * s for x, s in zip(b, steps, strict=True)])


def signed(yes: Lists, w: Lists, at: list[Place], spacing: Sequence[float] | None = None) -> Lists:
    """How far each element lies outside of (above 0) or inside of (below 0) the object, among those with a weight."""
    inside = [place for place, one, say in zip(at, yes, w, strict=True) if say > 0 and one > 0.5]
    outside = [place for place, one, say in zip(at, yes, w, strict=True) if say > 0 and not one > 0.5]
    if not inside or not outside:
        return [0.0] * len(at)
    found = []
    for place, one, say in zip(at, yes, w, strict=True):
        others, sign = (outside, -1.0) if one > 0.5 else (inside, 1.0)
        found.append(sign * min(apart(place, other, spacing) for other in others) if say > 0 else 0.0)
    return found


def by_element(
    values: Callable[[Lists, Lists, Lists, list[Place]], Lists],
    exclusive: bool,
    space: Sequence[int] | None,
    background: bool,
) -> Oracle:
    """The mean over elements and classes of what a function of (p, y, w, places) of one image and class gives."""

    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        total = say = 0.0
        for p, y, w in images(logits, target, weight, exclusive):
            for c in range(0 if background else 1, len(p)):
                found = values(p[c], y[c], w[c], places(space, len(p[c])))
                total += sum(v * one for v, one in zip(found, w[c], strict=True) if one)
                say += sum(w[c])
        return total / say

    return oracle


def boundary(exclusive=True, space=None, background=True, spacing=None) -> Oracle:
    def values(p, y, w, at):
        distances = signed(y, w, at, spacing)
        return [one * (d + min(spacing or [1.0]) if d < 0 else d) for one, d in zip(p, distances, strict=True)]

    return by_element(values, exclusive, space, background)


def hausdorff(
    exclusive=True, space=None, background=True, spacing=None, alpha=2.0, sides="both", logarithm=False
) -> Oracle:
    def values(p, y, w, at):
        true, found = signed(y, w, at, spacing), signed(p, w, at, spacing)
        powers = [
            abs(a) ** alpha + (abs(b) ** alpha if sides == "both" else 0) for a, b in zip(true, found, strict=True)
        ]
        return [(a - b) ** 2 * power for a, b, power in zip(p, y, powers, strict=True)]

    oracle = by_element(values, exclusive, space, background)
    return (lambda *batch: log1p(oracle(*batch))) if logarithm else oracle


@cache
def neighbours(at: tuple[Place, ...], there: tuple[bool, ...], *, block: bool) -> list[list[int]]:
    """The elements beside each that are there, and itself: in a block of 3, or along the axes."""
    found = []
    for place in at:
        near = []
        for number, other in enumerate(at):
            steps = [abs(a - b) for a, b in zip(place, other, strict=True)]
            if there[number] and (max(steps) <= 1 if block else sum(steps) <= 1):
                near.append(number)
        found.append(near)
    return found


def eroded_errors(p: Lists, y: Lists, w: Lists, at: list[Place], alpha: float, times: int, threshold: float) -> Lists:
    there = [one > 0 for one in w]
    cross, axes = neighbours(tuple(at), tuple(there), block=False), sum(max(axis) > 0 for axis in zip(*at, strict=True))
    error = [(a - b) ** 2 if one else 0.0 for a, b, one in zip(p, y, there, strict=True)]
    total = [0.0] * len(p)
    for k in range(1, times + 1):
        error = [max(0.0, sum(error[n] for n in near) / (1 + 2 * axes) - threshold) for near in cross]
        least = min((e for e, one in zip(error, there, strict=True) if one), default=0.0)
        most = max((e for e, one in zip(error, there, strict=True) if one), default=0.0)
        if most > least:
            error = [(e - least) / (most - least) for e in error]
        error = [e if one else 0.0 for e, one in zip(error, there, strict=True)]
        total = [t + k**alpha * e for t, e in zip(total, error, strict=True)]
    return total


def erosion(exclusive=True, space=None, background=True, alpha=2.0, times=10, threshold=0.5) -> Oracle:
    return by_element(
        lambda p, y, w, at: eroded_errors(p, y, w, at, alpha, times, threshold), exclusive, space, background
    )


def skeleton(x: Lists, there: Lists, at: list[Place], iterations: int) -> Lists:
    cross, block = (neighbours(tuple(at), tuple(there), block=one) for one in (False, True))

    def over(pick: Callable[..., float], x: Lists, near: list[list[int]]) -> Lists:
        return [pick(x[n] for n in some) if one else 0.0 for some, one in zip(near, there, strict=True)]

    def rest(x: Lists) -> Lists:
        opened = over(max, over(min, x, cross), block)
        return [max(0.0, a - b) for a, b in zip(x, opened, strict=True)]

    thin = rest(x)
    for _ in range(iterations):
        x = over(min, x, cross)
        thin = [t + max(0.0, r - t * r) for t, r in zip(thin, rest(x), strict=True)]
    return thin


def cl_dice(exclusive=True, space=None, background=True, iterations=3, smooth=1.0) -> Oracle:
    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        total = say = 0.0
        for p, y, w in images(logits, target, weight, exclusive):
            for c in range(0 if background else 1, len(p)):
                there, at = [one > 0 for one in w[c]], places(space, len(p[c]))
                shares = []
                for one, volume in ((p[c], y[c]), (y[c], p[c])):
                    one = [x if here else 0.0 for x, here in zip(one, there, strict=True)]
                    thin = [v * s for v, s in zip(w[c], skeleton(one, there, at, iterations), strict=True)]
                    both = sum(s * v for s, v in zip(thin, volume, strict=True))
                    shares.append((both + smooth) / (sum(thin) + smooth))
                total += any(there) * (1 - 2 / (1 / shares[0] + 1 / shares[1]))
                say += any(there)
        return total / say

    return oracle


def nearness(distances: Lists, chosen: Lists) -> Lists:
    """1 at the border, 0 at what lies deepest, among those chosen."""
    deep = [abs(d) for d, one in zip(distances, chosen, strict=True) if one]
    deepest, nearest = max(deep, default=0.0), min(deep, default=0.0)
    return [
        0.0 if not one else 1.0 if deepest == nearest else (deepest - abs(d)) / (deepest - nearest)
        for d, one in zip(distances, chosen, strict=True)
    ]


def distance_weighted(exclusive=True, space=None, spacing=None) -> Oracle:
    def surprise(p: float) -> float:
        return -log(p) if p else inf

    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        total = say = 0.0
        for p, y, w in images(logits, target, weight, exclusive):
            at = places(space, len(p[0]))
            distances = [signed(one, say, at, spacing) for one, say in zip(y, w, strict=True)]
            inside = [nearness(one, [d < 0 for d in one]) for one in distances]
            outside = [nearness(one, [d > 0 for d in one]) for one in distances]
            for c, v in product(range(len(p)), range(len(at))):
                if exclusive:
                    near = sum(one[v] for one in inside)
                    value = y[c][v] and y[c][v] * surprise(p[c][v])
                else:
                    near = inside[c][v] + outside[c][v]
                    value = y[c][v] * surprise(p[c][v]) + (1 - y[c][v]) * surprise(1 - p[c][v])
                total += w[c][v] and w[c][v] * (1 + near) * value
                say += w[c][v] * (y[c][v] if exclusive else 1.0)
        return total / say

    return oracle


ORACLES |= {
    "Boundary()": ("index", boundary()),
    "Boundary(background=False)": ("index", boundary(background=False)),
    "Boundary(background=False, spacing=(0.5,))": ("index", boundary(background=False, spacing=(0.5,))),
    "HausdorffDistance()": ("index", hausdorff()),
    "HausdorffDistance(alpha=1.0, sides='target')": ("yes/no", hausdorff(False, alpha=1.0, sides="target")),
    "HausdorffDistance(log=True)": ("proportions", hausdorff(logarithm=True)),
    "HausdorffErosion()": ("index", erosion()),
    "HausdorffErosion(erosions=2, threshold=0.05)": ("index", erosion(times=2, threshold=0.05)),
    "HausdorffErosion(erosions=2, alpha=0.5)": ("yes/no", erosion(False, alpha=0.5, times=2)),
    "ClDice()": ("index", cl_dice()),
    "ClDice(iterations=1, smooth=0.1)": ("yes/no", cl_dice(False, iterations=1, smooth=0.1)),
    "DistanceWeightedCrossEntropy()": ("index", distance_weighted()),
    "DistanceWeightedCrossEntropy(spacing=(2.0,))": ("yes/no", distance_weighted(False, spacing=(2.0,))),
}
