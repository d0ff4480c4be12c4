"""Wrappers and regression losses worked out slowly: see oracles_losses, which adds these to its table."""

from collections.abc import Callable
from math import cosh, floor, log

from oracles_losses import (
    Lists,
    Oracle,
    dice,
    elements,
    likelihood_loss,
    log_softmax,
    region_loss,
    regression_loss,
    shares,
    surprise,
)

Case = tuple[float, float]  # value and weight


def entropies(logits: Lists, target: Lists, weight: Lists) -> list[list[Case]]:
    """For each image the cross-entropy of each element, for exclusive classes, and its weight."""
    images = []
    for image in zip(logits, target, weight, strict=True):
        cases = []
        for u, y, w in elements(*([part] for part in image)):
            say = [share * one for share, one in zip(shares(y, len(u)), w, strict=True)]
            total = -sum(one * log_p for one, log_p in zip(say, log_softmax(u), strict=True) if one)
            cases.append((total / sum(say) if sum(say) else 0.0, sum(say)))
        images.append(cases)
    return images


def hardest(cases: list[Case], share: float) -> list[Case]:
    """So many of the cases with a say, the largest first."""
    told = sorted((case for case in cases if case[1] > 0), reverse=True)
    return told[: max(1, floor(share * len(told) + 1e-6))]


def mined(cases: list[Case], threshold: float, least: float) -> list[Case]:
    """Those above the threshold, or a least share of the hardest."""
    return max([case for case in cases if case[0] > threshold and case[1] > 0], hardest(cases, least), key=len)


def mean_of(choose: Callable[[list[Case]], list[Case]], over: str) -> Oracle:
    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        images = entropies(logits, target, weight)
        rows = images if over == "image" else [[case for image in images for case in image]]
        chosen = [case for row in rows for case in choose(row)]
        return sum(value * say for value, say in chosen) / sum(say for _, say in chosen)

    return oracle


def smoothed(inner: Oracle, share: float, *, exclusive: bool = True) -> Oracle:
    """An oracle of targets on the way to even chances."""

    def oracle(logits: Lists, target: Lists, weight: Lists) -> float:
        soft = []
        for u_image, y_image in zip(logits, target, strict=True):
            classes = len(u_image)
            hard = (
                y_image if isinstance(y_image[0], list) else [[float(k == y) for y in y_image] for k in range(classes)]
            )
            even = 1 / classes if exclusive else 0.5
            soft.append([[(1 - share) * y + share * even for y in channel] for channel in hard])
        return inner(logits, soft, weight)

    return oracle


def huber(delta: float) -> Callable[[float], float]:
    return lambda d: d * d / 2 if abs(d) < delta else delta * (abs(d) - delta / 2)


def pinball(tau: float) -> Callable[[float], float]:
    return lambda d: (1 - tau) * d if d > 0 else -tau * d


def wing(width: float, curvature: float) -> Callable[[float], float]:
    at_width = width * log(1 + width / curvature)
    return lambda d: width * log(1 + abs(d) / curvature) if abs(d) < width else abs(d) - width + at_width


WRAPPED: dict[str, tuple[str, Oracle]] = {
    "Huber()": ("quantity", regression_loss(huber(1.0))),
    "Huber(delta=0.3)": ("quantity", regression_loss(huber(0.3))),
    "LogCoshError()": ("quantity", regression_loss(lambda d: log(cosh(d)))),
    "Quantile()": ("quantity", regression_loss(pinball(0.5))),
    "Quantile(tau=0.9)": ("quantity", regression_loss(pinball(0.9))),
    "Wing()": ("quantity", regression_loss(wing(10.0, 2.0))),
    "Wing(width=1.0, curvature=0.2)": ("quantity", regression_loss(wing(1.0, 0.2))),
    "LogCosh(Dice())": ("index", region_loss(dice, bend=lambda v: log(cosh(v)))),
    "LogCosh(CrossEntropy())": ("index", likelihood_loss(lambda log_p: log(cosh(log_p)))),
    "NegativeLogPower(Dice())": ("index", region_loss(dice, bend=lambda v: -log(1 - v))),
    "NegativeLogPower(Dice(smooth=0.5), exponent=0.3)": (
        "index",
        region_loss(dice, smooth=0.5, bend=lambda v: (-log(1 - v)) ** 0.3),
    ),
    "TopK(CrossEntropy(), fraction=0.5)": ("index", mean_of(lambda cases: hardest(cases, 0.5), "batch")),
    "TopK(CrossEntropy(), fraction=0.5, over='image')": (
        "proportions",
        mean_of(lambda cases: hardest(cases, 0.5), "image"),
    ),
    "HardExamples(CrossEntropy(), threshold=1.5)": ("index", mean_of(lambda cases: mined(cases, 1.5, 1 / 16), "batch")),
    "HardExamples(CrossEntropy(), threshold=9.0, least=0.3, over='image')": (
        "index",
        mean_of(lambda cases: mined(cases, 9.0, 0.3), "image"),
    ),
    "LabelSmoothing(CrossEntropy())": ("index", smoothed(likelihood_loss(surprise), 0.1)),
    "LabelSmoothing(CrossEntropy(), share=0.3)": (
        "yes/no",
        smoothed(likelihood_loss(surprise, exclusive=False), 0.3, exclusive=False),
    ),
    "LabelSmoothing(Dice(), share=0.3)": ("index", smoothed(region_loss(dice), 0.3)),
    "DeepSupervision(Dice())": ("index", region_loss(dice)),
}
