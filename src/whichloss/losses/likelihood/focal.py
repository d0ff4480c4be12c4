"""Focal loss: cross-entropy that turns away from what is already right."""

from math import inf, log

import torch
from torch import Tensor

from whichloss.core import Answers, Card, LikelihoodLoss, Prices, fraction, nonnegative


class Focal(LikelihoodLoss):
    r"""Cross-entropy times a power of the error.

    $$\ell = -\alpha_y (1 - p_y)^\gamma \ln p_y$$

    A voxel that is right with p = 0.9 weighs a hundredth of what it does under cross-entropy (gamma = 2). The
    operating point moves with gamma and alpha, so thresholded metrics need a tuned threshold.
    """

    gamma: float = nonnegative(2.0)
    alpha: float | None = fraction(None, optional=True)  # of a yes, 1 - alpha of a no; only for independent classes

    card = Card(
        source="lin2017focal",
        equation="(5)",
        range=(0.0, inf),
        smooth=True,
        convex=False,
        golden={(0.0,): 0.0, (log(0.5),): 0.25 * log(2), (log(0.1),): 0.81 * log(10)},
        equals=(
            ("Focal(gamma=0.0)", "CrossEntropy()"),
            ("Focal(gamma=0.0, alpha=0.5, classes='independent')", "0.5 * CrossEntropy(classes='independent')"),
        ),
        note="gamma = 0 with alpha = 0.5 is half the cross-entropy. Neither alpha nor a class weight is divided out.",
        peers={
            "MONAI": "FocalLoss",
            "smp": "FocalLoss",
            "kornia": "FocalLoss",
            "torchvision": "sigmoid_focal_loss",
            "Keras": "BinaryFocalCrossentropy",
        },
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(gamma=0.5), cls(gamma=2.0, alpha=0.25)]

    def formula(self, log_p: Tensor) -> Tensor:
        return -modulation(log_p, self.gamma) * log_p

    @property
    def focus(self) -> float:
        return self.gamma

    def prices(self, answers: Answers) -> Prices | None:
        return None if self.alpha is None else (self.alpha, 1 - self.alpha)


def modulation(log_p: Tensor, gamma: float) -> Tensor:
    r"""$(1 - p)^\gamma$, without cancellation and with a finite slope everywhere."""
    if gamma == 0:
        return torch.ones_like(log_p)
    error = -torch.expm1(log_p)
    if gamma < 1:  # the slope of a power below 1 is infinite at 0, where p has rounded to 1
        error = error.clamp_min(torch.finfo(log_p.dtype).tiny)
    return error**gamma
