"""Losses worked out slowly, one element at a time, in plain Python: what the fast ones are compared with.

Nothing here shares code with the library. Batches are nested lists: logits and weights (images, channels, elements),
a target (images, elements) of indices or (images, channels, elements) of shares.
"""

from collections.abc import Callable
from itertools import combinations
from math import exp, log, log1p
from typing import Any

import pytest
import torch
from torch import Tensor

Lists = list[Any]
Oracle = Callable[[Lists, Lists, Lists], float]


# from scores to what formulas see


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def log_sigmoid(x: float) -> float:
    return -log1p(exp(-x)) if x >= 0 else x - log1p(exp(x))


def log_softmax(u: Lists) -> Lists:
    top = max(u)
    norm = top + log(sum(exp(x - top) for x in u))
    return [x - norm for x in u]


def softmax(u: Lists) -> Lists:
    return [exp(x) for x in log_softmax(u)]


def elements(logits: Lists, target: Lists, weight: Lists) -> Any:
    """For each element: its logits, its truth (an index, or a list of shares) and its weights by channel."""
    for u_image, y_image, w_image in zip(logits, target, weight, strict=True):
        indexed = not isinstance(y_image[0], list)
        for v in range(len(u_image[0])):
            u, w = [channel[v] for channel in u_image], [channel[v] for channel in w_image]
            yield u, y_image[v] if indexed else [channel[v] for channel in y_image], w


def shares(y: Any, classes: int) -> Lists:
    return y if isinstance(y, list) else [1.0 if k == y else 0.0 for k in range(classes)]


# margins


def margins(u: Lists, y: int, construction: str, zero_one: bool) -> Lists:
    """(margin, channel that lends its weight, say) of each question that is asked if the class is y."""
    c = len(u)
    if construction == "one_versus_rest":
        return [(u[k] if k == y else (0.0 if zero_one else -u[k]), k, 1 / c) for k in range(c)]
    if construction == "each_rival":
        return [(u[y] - u[k], y, 1 / (c - 1)) for k in range(c) if k != y]
    if construction == "top_rival":
        return [(u[y] - max(u[k] for k in range(c) if k != y), y, 1.0)]
    if construction == "sum_to_zero":
        middle = sum(u) / c
        return [(-(u[k] - middle), y, 1 / (c - 1)) for k in range(c) if k != y]
    assert construction == "one_versus_one"
    classes = next(k for k in range(2, 20) if k * (k - 1) // 2 == c)
    pairs = list(combinations(range(classes), 2))
    return [
        (u[q] if first == y else -u[q], q, 1 / (classes - 1))
        for q, (first, second) in enumerate(pairs)
        if y in (first, second)
    ]


def margin_loss(
    formula: Callable[[float], float],
    construction: str = "one_versus_rest",
    *,
    exclusive: bool = True,
    summed: bool = False,
    probabilities: bool = False,
    zero_one: bool = False,
) -> Oracle:
    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        total = say = 0.0
        asked = 1
        for u, y, w in elements(logits, target, weight):
            c = len(u)
            if probabilities:
                u = softmax(u) if exclusive else [sigmoid(x) for x in u]
            if exclusive and isinstance(y, int):
                truths = [(y, 1.0)]
            elif exclusive:
                truths = list(enumerate(y))
            if exclusive:
                for k, share in truths:
                    questions = margins(u, k, construction, zero_one)
                    asked = len(questions)
                    for m, channel, part in questions:
                        total += formula(m) * share * part * w[channel]
                        say += share * part * w[channel]
                continue
            asked = c
            for k in range(c):
                no = 0.0 if zero_one else -u[k]
                total += w[k] / c * (y[k] * formula(u[k]) + (1 - y[k]) * formula(no))
                say += w[k] / c
        return total / say * (asked if summed else 1)

    return oracle


# log-probabilities


def likelihood_loss(
    formula: Callable[[float], float], *, exclusive: bool = True, prices: tuple[float, float] = (1.0, 1.0)
) -> Oracle:
    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        total = say = 0.0
        for u, y, w in elements(logits, target, weight):
            if exclusive:
                for log_p, share, one in zip(log_softmax(u), shares(y, len(u)), w, strict=True):
                    total += share * one * formula(log_p) if share * one else 0.0
                    say += share * one
            else:
                for x, share, one in zip(u, y, w, strict=True):
                    total += one * share * prices[0] * formula(log_sigmoid(x))
                    total += one * (1 - share) * prices[1] * formula(log_sigmoid(-x))
                    say += one
        return total / say

    return oracle


# regions


def region_loss(
    formula: Callable[[float, float, float], float],
    *,
    exclusive: bool = True,
    over: str = "image",
    smooth: float = 1.0,
    empty: str = "formula",
    background: bool = True,
    class_weight: tuple[float, ...] | None = None,
    bend: Callable[[float], float] = lambda value: value,
) -> Oracle:
    """`formula` of (TP, FP, FN); `bend` is what a wrapper does to the value of each term."""

    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        classes = len(logits[0])
        counts: dict[tuple[int, int], Lists] = {}
        for image in range(len(logits)):
            for u, y, w in elements(logits[image : image + 1], target[image : image + 1], weight[image : image + 1]):
                probabilities = softmax(u) if exclusive else [sigmoid(x) for x in u]
                for k, (p, share) in enumerate(zip(probabilities, shares(y, classes), strict=True)):
                    n = counts.setdefault((image if over == "image" else 0, k), [0.0, 0.0, 0.0, 0.0])
                    n[0] += w[k] * p * share
                    n[1] += w[k] * p * (1 - share)
                    n[2] += w[k] * (1 - p) * share
                    n[3] += w[k]
        total = say = 0.0
        for (_, k), (tp, fp, fn, size) in counts.items():
            if (k == 0 and not background) or size == 0:
                continue
            has = 1.0 if class_weight is None else class_weight[k]
            value = formula(tp + smooth, fp, fn) if tp + smooth + fp + fn > 0 else 0.0
            if tp + fn == 0:
                value = {"formula": value, "skip": 0.0, "zero": 0.0, "volume": fp / size}[empty]
                has = 0.0 if empty == "skip" else has
            total += has * bend(value)
            say += has
        return total / say if say else 0.0

    return oracle


def dice(tp: float, fp: float, fn: float) -> float:
    return (fp + fn) / (2 * tp + fp + fn)


def jaccard(tp: float, fp: float, fn: float) -> float:
    return (fp + fn) / (tp + fp + fn)


def tversky(a: float, b: float) -> Callable[[float, float, float], float]:
    return lambda tp, fp, fn: (a * fp + b * fn) / (tp + a * fp + b * fn)


def adaptive_log(threshold: float = 0.1, scale: float = 10.0, offset: float = 0.5) -> Callable[[float], float]:
    at_threshold = scale * log(1 + threshold / offset)
    return lambda v: scale * log(1 + v / offset) if v < threshold else at_threshold + (v - threshold)


# the comparison


def batch(
    shape: tuple[int, ...], form: str = "index", weight: str = "none", *, classes: int = 0, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Logits, a target of one form ("index", "proportions", "yes/no") and a weight map, the last element without say.

    `classes`: how many classes an index target has, if not as many as there are channels.
    """
    random = torch.Generator().manual_seed(seed)
    n, c, *space = shape
    logits = 1.5 * torch.randn(shape, generator=random, dtype=torch.float64)
    weights = 3 * torch.rand(shape, generator=random, dtype=torch.float64)
    weights[0].view(c, -1)[:, -1] = 0
    if form == "index":
        target = torch.randint(classes or c, (n, *space), generator=random)
    elif form == "proportions":
        target = torch.randn(shape, generator=random, dtype=torch.float64).softmax(1)
        target[0] = (target[0] == target[0].amax(0)).double()  # some shares are exactly nothing
    else:
        target = torch.rand(shape, generator=random, dtype=torch.float64).round(decimals=1)
    return logits, target, {"none": None, "element": weights[:, 0], "element and channel": weights}[weight]


def asking(text: str, form: str, **fields: object) -> str:
    """The text of a loss with more fields, asking the question of a form."""
    given = {"classes": {"index": "auto", "proportions": "exclusive", "yes/no": "independent"}[form], **fields}
    name, _, old = text.removesuffix(")").partition("(")
    return f"{name}({', '.join([old] * bool(old) + [f'{field}={value!r}' for field, value in given.items()])})"


def as_lists(batch: Tensor, axes: int) -> Lists:
    """A batch with all axes after the first few as one."""
    return batch.reshape(*batch.shape[:axes], -1).tolist()


def agree(
    loss: Callable[..., Tensor], oracle: Oracle, logits: Tensor, target: Tensor, weight: Tensor | None = None
) -> None:
    """Assert that value and gradient of a loss are those of an oracle, whose slopes are central differences."""
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, target, weight)
    (gradient,) = torch.autograd.grad(value, leaf)
    spread = torch.ones_like(logits) if weight is None else weight
    spread = (spread.unsqueeze(1) if spread.ndim < logits.ndim else spread).expand_as(logits)
    y, w = as_lists(target, 1 if target.ndim < logits.ndim else 2), as_lists(spread, 2)
    assert value.item() == pytest.approx(oracle(as_lists(logits, 2), y, w), rel=1e-10, abs=1e-10)
    expected = slopes(lambda u: oracle(u, y, w), logits)
    assert gradient.flatten().tolist() == pytest.approx(expected, rel=1e-7, abs=2e-9)


def slopes(value: Callable[[Lists], float], logits: Tensor, step: float = 1e-5) -> Lists:
    """Central differences of a function of logits."""
    found = []
    for at in range(logits.numel()):
        moved = []
        for sign in (1, -1):
            shifted = logits.flatten().clone()
            shifted[at] += sign * step
            moved.append(value(as_lists(shifted.reshape(logits.shape), 2)))
        found.append((moved[0] - moved[1]) / (2 * step))
    return found


def same(
    one: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor], logits: Tensor, *, single: bool = False
) -> None:
    """Assert that two functions of the logits agree in value and gradient.

    `single`: the other one works in single precision, whatever it is given.
    """
    results = []
    for function in (one, other):
        leaf = logits.clone().requires_grad_()
        value = function(leaf)
        results.append((value.detach(), torch.autograd.grad(value, leaf)[0]))
    tolerance = {"rtol": 1e-6, "atol": 1e-7} if single else {"rtol": 1e-9, "atol": 1e-12}
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance, check_dtype=False)
