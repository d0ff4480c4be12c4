"""Losses worked out slowly, one element at a time, in plain Python: what the fast ones are compared with.

Nothing here shares code with the library. Batches are nested lists: logits and weights (images, channels, elements),
a target (images, elements) of indices or (images, channels, elements) of shares.
"""

from collections.abc import Callable
from itertools import combinations
from math import atan, exp, log, log1p, pi
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


# losses whose terms see more than one element, or less than all of it


def kullback_leibler(logits: Lists, target: Lists, weight: Lists) -> float:
    total = say = 0.0
    for u, y, w in elements(logits, target, weight):
        for log_p, share, one in zip(log_softmax(u), shares(y, len(u)), w, strict=True):
            total += one * share * (log(share) - log_p) if share else 0.0
            say += one * share
    return total / say


def balanced(logits: Lists, target: Lists, weight: Lists) -> float:
    """Yes weighs by the share of no in its image and channel, and no by that of yes."""
    total = say = 0.0
    for u_image, y_image, w_image in zip(logits, target, weight, strict=True):
        for u, y, w in zip(u_image, y_image, w_image, strict=True):
            beta = 1 - sum(a * b for a, b in zip(w, y, strict=True)) / sum(w)
            for x, yes, one in zip(u, y, w, strict=True):
                total -= one * (beta * yes * log_sigmoid(x) + (1 - beta) * (1 - yes) * log_sigmoid(-x))
                say += one
    return total / say


def generalized_dice(power: int) -> Oracle:
    """Without smooth; an absent class weighs as much as the smallest that is there."""

    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        values = []
        for image in zip(logits, target, weight, strict=True):
            above = below = 0.0
            volume = [0.0] * len(logits[0])
            for _, y, w in elements(*([part] for part in image)):
                volume = [v + one * share for v, one, share in zip(volume, w, shares(y, len(w)), strict=True)]
            least = min(v for v in volume if v > 0)
            for u, y, w in elements(*([part] for part in image)):
                for p, share, one, v in zip(softmax(u), shares(y, len(u)), w, volume, strict=True):
                    above += 2 * one * p * share / (v or least) ** power
                    below += one * (p + share) / (v or least) ** power
            values.append(1 - above / below)
        return sum(values) / len(values)

    return oracle


def sensitivity_specificity(r: float) -> Oracle:
    """Squared errors among what is there and among what is not; without smooth, for yes or no."""

    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        values = []
        for u_image, y_image, w_image in zip(logits, target, weight, strict=True):
            for u, y, w in zip(u_image, y_image, w_image, strict=True):
                cases = [(sigmoid(x), yes, one) for x, yes, one in zip(u, y, w, strict=True)]
                missed = sum(one * yes * (1 - p) ** 2 for p, yes, one in cases)
                false = sum(one * (1 - yes) * p**2 for p, yes, one in cases)
                there, absent = (sum(one * part(yes) for _, yes, one in cases) for part in (float, lambda y: 1 - y))
                values.append(r * missed / there + (1 - r) * false / absent)
        return sum(values) / len(values)

    return oracle


def regression_loss(formula: Callable[[float], float], probabilities: bool = False) -> Oracle:
    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        total = say = 0.0
        for u, y, w in elements(logits, target, weight):
            found = softmax(u) if probabilities else u
            for p, share, one in zip(found, shares(y, len(u)), w, strict=True):
                total += one * formula(p - share)
                say += one
        return total / say

    return oracle


def ranking(formula: Callable[[float], float]) -> Oracle:
    """Every element that says yes against every one that says no, of the whole batch: the mean over channels."""

    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        cases = [(u, shares(y, len(u)), w) for u, y, w in elements(logits, target, weight)]
        means = []
        for k in range(len(logits[0])):
            pairs = [(a[k] - b[k], v[k] * w[k]) for a, yes, v in cases for b, no, w in cases if yes[k] > no[k]]
            if say := sum(w for _, w in pairs):
                means.append(sum(formula(m) * w for m, w in pairs) / say)
        return sum(means) / len(means)

    return oracle


def embedded(logits: Lists, target: Lists, weight: Lists) -> Any:
    """For each case: its embedding at length 1, its label and its weight; and whether it has any."""
    for u, y, w in elements(logits, target, weight):
        length = sum(x * x for x in u) ** 0.5
        yield [x / length for x in u], y, sum(w) / len(w)


def apart(a: Lists, b: Lists) -> float:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5


def contrastive_pair(logits: Lists, target: Lists, weight: Lists) -> float:
    cases = list(embedded(logits, target, weight))
    total = say = 0.0
    for i, (a, one, v) in enumerate(cases):
        # each case has the mean over its pairs, and the say of all of them
        pairs = [(apart(a, b), one == other, w) for j, (b, other, w) in enumerate(cases) if j != i]
        total += v * sum(w * (d**2 if same else max(0.0, 1 - d) ** 2) / 2 for d, same, w in pairs)
        say += v * sum(w for *_, w in pairs)
    return total / say


def triplet(logits: Lists, target: Lists, weight: Lists) -> float:
    """The farthest of one's own class and the nearest of the others, by 0.3."""
    cases = [case for case in embedded(logits, target, weight) if case[2] > 0]
    total = say = 0.0
    for i, (a, one, v) in enumerate(cases):
        friends = [apart(a, b) for j, (b, other, _) in enumerate(cases) if other == one and j != i]
        others = [apart(a, b) for b, other, _ in cases if other != one]
        if friends and others:
            total, say = total + v * max(0.0, max(friends) - min(others) + 0.3), say + v
    return total / say


def all_triplets(violating: bool) -> Oracle:
    """Every anchor with every other case of its class and every case of another, by 0.3; or those that cost."""

    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        cases = list(embedded(logits, target, weight))
        total = say = 0.0
        for i, (a, one, u) in enumerate(cases):
            for j, (b, same, v) in enumerate(cases):
                for c, other, w in cases:
                    cost = apart(a, b) - apart(a, c) + 0.3
                    if i != j and same == one != other and (cost > 0 or not violating):
                        total, say = total + u * v * w * max(0.0, cost), say + u * v * w
        return total / say

    return oracle


def supervised_contrastive(logits: Lists, target: Lists, weight: Lists) -> float:
    cases = [case for case in embedded(logits, target, weight) if case[2] > 0]
    total = say = 0.0
    for i, (a, one, v) in enumerate(cases):
        rest = [(b, other, w) for j, (b, other, w) in enumerate(cases) if j != i]
        logs = log_softmax([sum(x * y for x, y in zip(a, b, strict=True)) / 0.1 for b, _, _ in rest])
        friends = [(log_p, w) for log_p, (_, other, w) in zip(logs, rest, strict=True) if other == one]
        if friends:
            total -= v * sum(log_p * w for log_p, w in friends) / sum(w for _, w in friends)
            say += v
    return total / say


# every formula of ours beside an oracle that knows nothing of it: the form of the target, and the oracle


def hinge(m: float) -> float:
    return max(0.0, 1 - m)


def focal(log_p: float) -> float:
    return -((1 - exp(log_p)) ** 2) * log_p


def surprise(log_p: float) -> float:
    return -log_p


ORACLES: dict[str, tuple[str, Oracle]] = {
    "Hinge()": ("index", margin_loss(hinge)),
    "Hinge(lift='top_rival')": ("proportions", margin_loss(hinge, "top_rival")),
    "Hinge(lift='ranking')": ("one yes/no", ranking(hinge)),
    "Logistic(lift='ranking')": ("index", ranking(lambda m: -log_sigmoid(m))),
    "SquaredHinge()": ("yes/no", margin_loss(lambda m: hinge(m) ** 2, exclusive=False)),
    "SquaredHinge(lift='each_rival')": ("index", margin_loss(lambda m: hinge(m) ** 2, "each_rival")),
    "SquaredHinge(scores='softmax', targets='zero_one')": (
        "index",
        margin_loss(lambda m: hinge(m) ** 2, probabilities=True, zero_one=True),
    ),
    "SmoothHinge()": ("index", margin_loss(lambda m: 0.0 if m > 1.1 else 1 - m if m < 0.9 else (1.1 - m) ** 2 / 0.4)),
    "Logistic(lift='one_versus_one', per_class='sum')": (
        "index",
        margin_loss(lambda m: -log_sigmoid(m), "one_versus_one", summed=True),
    ),
    "Lorenz(lift='sum_to_zero')": ("index", margin_loss(lambda m: log1p(hinge(m) ** 2), "sum_to_zero")),
    "Savage()": ("index", margin_loss(lambda m: sigmoid(-2 * m) ** 2)),
    "Tangent()": ("index", margin_loss(lambda m: (atan(min(m, 1)) - pi / 4) ** 2)),
    "Tangent(form='original')": ("index", margin_loss(lambda m: (2 * atan(m) - 1) ** 2)),
    "CrossEntropy()": ("index", likelihood_loss(surprise)),
    "CrossEntropy(positive_weight=3.0)": ("yes/no", likelihood_loss(surprise, exclusive=False, prices=(3.0, 1.0))),
    "Focal()": ("index", likelihood_loss(focal)),
    "Focal(alpha=0.25)": ("yes/no", likelihood_loss(focal, exclusive=False, prices=(0.25, 0.75))),
    "GeneralizedCrossEntropy()": ("proportions", likelihood_loss(lambda log_p: (1 - exp(log_p) ** 0.7) / 0.7)),
    "KullbackLeibler()": ("proportions", kullback_leibler),
    "BalancedCrossEntropy()": ("yes/no", balanced),
    "Dice()": ("index", region_loss(dice)),
    "Dice(over='batch', class_weight=(1.0, 2.0, 5.0))": (
        "index",
        region_loss(dice, over="batch", class_weight=(1.0, 2.0, 5.0)),
    ),
    "Dice(background=False, empty='volume')": ("index", region_loss(dice, background=False, empty="volume")),
    "Dice(empty='skip')": ("index", region_loss(dice, empty="skip")),
    "Jaccard()": ("yes/no", region_loss(jaccard, exclusive=False)),
    "Tversky(smooth=0.25)": ("index", region_loss(tversky(0.3, 0.7), smooth=0.25)),
    "GeneralizedDice(smooth=0.0)": ("index", generalized_dice(2)),
    "GeneralizedDice(smooth=0.0, weighting='simple')": ("proportions", generalized_dice(1)),
    "SensitivitySpecificity(smooth=0.0)": ("yes/no", sensitivity_specificity(0.05)),
    "SquaredError()": ("quantity", regression_loss(lambda d: d * d)),
    "AbsoluteError()": ("quantity", regression_loss(abs)),
    "SquaredError(of='probability')": ("index", regression_loss(lambda d: d * d, probabilities=True)),
    "ContrastivePair()": ("index", contrastive_pair),
    "Triplet()": ("index", triplet),
    "Triplet(mining='all')": ("index", all_triplets(False)),
    "Triplet(mining='violating')": ("index", all_triplets(True)),
    "SupervisedContrastive()": ("index", supervised_contrastive),
    "AdaptiveLog(Dice())": ("index", region_loss(dice, bend=adaptive_log())),
    "AdaptiveLog(Dice(), join='smooth', threshold=0.5)": ("index", region_loss(dice, bend=adaptive_log(0.5, 1.0, 0.5))),
    "FocalPower(Tversky())": ("index", region_loss(tversky(0.3, 0.7), bend=lambda v: v**0.75)),
    "Total(Dice(over='batch'))": (
        "index",
        lambda logits, target, weight: 3 * region_loss(dice, over="batch")(logits, target, weight),
    ),
    "CrossEntropy() + 0.5 * Dice()": (
        "index",
        lambda *batch: likelihood_loss(surprise)(*batch) + 0.5 * region_loss(dice)(*batch),
    ),
}

import oracles_boundary  # noqa: E402, F401  adds its part to the table
import oracles_directions  # noqa: E402, F401
import oracles_likelihood  # noqa: E402, F401  adds its part to the table
import oracles_regions  # noqa: E402, F401
from oracles_wrap import WRAPPED  # noqa: E402  made of what stands above

ORACLES |= WRAPPED


def agrees_with_its_oracle(parse: Callable[[str], Any], text: str) -> None:
    """Assert that value and gradient of this loss are those of its oracle, on a small batch with weights.

    `parse` reads the text, so that another copy of the library can be asked.
    """
    form, oracle = ORACLES[text]
    asked = {"index": "index", "proportions": "proportions", "quantity": "proportions"}.get(form, "yes/no")
    loss = parse(text)
    if form in ("proportions", "yes/no"):
        loss = loss.asking("exclusive" if form == "proportions" else "independent")
    for weights in ("element", "element and channel"):
        logits, target, weight = batch((2, 3, 4), asked, weights)
        assert weight is not None
        if weights == "element and channel":
            weight[0, 1, 0] = 0  # one channel of an element that has a say otherwise
        if form == "one yes/no":
            logits, target = logits[:, :1], target[:, :1].round()
            weight = weight[:, :1] if weight.ndim == logits.ndim else weight
        if form == "index":
            target[0, :3], target[1] = torch.tensor([0, 1, 2]), torch.tensor([1, 0, 0, 0])  # no 2 in the other image
        agree(loss, oracle, logits, target, weight)
