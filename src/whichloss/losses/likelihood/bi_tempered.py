"""Bi-tempered logistic loss: bounded by one temperature, with the heavy tail of the other."""

from math import log

import torch
from torch import Tensor

from whichloss.core import Alternatives, Card, DistributionLoss, FieldError, fraction, positive

_STEPS = 6  # Newton's, and two more with a graph: of a thousand classes at any logits, all digits stand after 7


class BiTempered(DistributionLoss):
    r"""Logistic loss with tempered logarithms: $\log_t x = (x^{1-t} - 1)/(1 - t)$, and $\exp_t$ its inverse.

    $$\ell = \sum_k y_k (\log_{t_1} y_k - \log_{t_1} p_k) - \frac{y_k^{2 - t_1} - p_k^{2 - t_1}}{2 - t_1}, \qquad
    p_k = \exp_{t_2}(u_k - \lambda(u)), \ \sum_k p_k = 1$$

    t1 below 1 bounds the loss by 1/(1 - t1), so that a gross outlier, a wrong label far from the boundary, cannot pull
    without limit. t2 above 1 gives the probabilities a heavy tail, so that wrong labels near the boundary pull less;
    below 1 they reach 0 and 1. With t1 = t2 = 1 it is cross-entropy, of soft labels the Kullback-Leibler divergence.
    What the network says is the tempered softmax: take it from `probability`.
    """

    t1: float = fraction(0.8)
    t2: float = positive(1.2)

    card = Card(
        source="amid2019robust",
        equation="bi-tempered logistic loss",
        range=(0.0, 5.0),
        smooth=True,
        convex=False,
        golden={
            (0.0, 1.0): 0.0,
            (log(1 / 32), 1.0): 2.5 - 1.25 * 63 / 96,
            (log(1 / 32), 0.0): 1 / 64 / 1.2,
        },
        equals=(
            ("BiTempered(t1=1.0, t2=1.0)", "KullbackLeibler()"),
            (
                "BiTempered(t1=0.0, t2=1.0, classes='independent')",
                "SquaredError(of='probability', classes='independent')",
            ),
        ),
        note="The authors' code stops after five steps of a fixed-point iteration, where the sum of ten probabilities"
        " may still be 1.01 (t2 = 2); here it is 1 to the last digits, and the gradient that of the exact sum.",
        peers={"pytorch-toolbelt": "BiTemperedLogisticLoss"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(t1=0.2, t2=4.0), cls(t1=0.7, t2=0.9), cls(t1=1.0, t2=1.0)]

    def check(self) -> None:
        if self.t1 == 1 and self.t2 < 1:
            raise FieldError(
                "BiTempered: t2 below 1 gives probabilities of 0, and t1 = 1 their logarithm: take t1 below 1"
            )

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1 / (1 - self.t1) if self.t1 < 1 else float("inf")

    def values(self, seen: Alternatives) -> Tensor:
        return self.formula(tempered_log_softmax(seen.log_p, self.t2), seen.truth).sum(2, keepdim=True)

    def formula(self, log_p: Tensor, y: Tensor) -> Tensor:
        """The part of one answer; log_p: logarithm of its tempered probability. y: its proportion in the truth."""
        t = self.t1
        own = torch.where(y > 0, y, 1.0)
        surprise = y * (_log_of_exp(own.log(), t) - _log_of_exp(log_p, t))
        return surprise - (y ** (2 - t) - torch.exp((2 - t) * log_p)) / (2 - t)

    def probability(self, logits: Tensor) -> Tensor:
        if self.exclusive(logits):
            return tempered_log_softmax(logits.unsqueeze(1), self.t2).exp().squeeze(1)
        return tempered_log_softmax(torch.stack([torch.zeros_like(logits), logits], 2), self.t2).exp()[:, :, 1]


def tempered_log_softmax(u: Tensor, t: float) -> Tensor:
    """ln exp_t(u - lambda) along axis 2, where lambda makes the exp_t sum to 1; -inf where that is 0.

    lambda solves log_t(sum of exp_t(u - lambda)) = 0, which is convex or concave in lambda: from the largest u, where
    the sum is 1 or more, Newton's method comes to it from one side and never oversteps. The last two steps are taken
    with a graph: their derivatives, first and second, are those of the exact solution.
    """
    if t == 1:
        return u.log_softmax(2)
    start = u.detach()
    normalizer = start.amax(2, keepdim=True)
    for _ in range(_STEPS):
        normalizer = _closer(normalizer, start, t)
    for _ in range(2):
        normalizer = _closer(normalizer, u, t)
    return _log_exp(u - normalizer, t)


def _closer(normalizer: Tensor, u: Tensor, t: float) -> Tensor:
    x = u - normalizer
    e, base = _log_exp(x, t).exp(), 1 + (1 - t) * x
    total = e.sum(2, keepdim=True)
    slope = (e / torch.where(base > 0, base, 1.0)).sum(2, keepdim=True)  # of the total, as e^t is e over its base
    return normalizer + total**t * _log_of_exp(total.log(), t) / slope


def _log_exp(x: Tensor, t: float) -> Tensor:
    """ln exp_t(x), where t is not 1; -inf where exp_t(x) is 0, which needs t below 1 as x is never above 0."""
    if t > 1:
        return torch.log1p((1 - t) * x) / (1 - t)
    inside = 1 + (1 - t) * x > 0
    return torch.where(inside, torch.log1p(torch.where(inside, (1 - t) * x, 0.0)) / (1 - t), -torch.inf)


def _log_of_exp(log_x: Tensor, t: float) -> Tensor:
    """log_t of x, from ln x."""
    return log_x if t == 1 else torch.expm1((1 - t) * log_x) / (1 - t)
