"""ArcFace: the angle to the true class must be smaller by a margin."""

from math import cos, inf, log, pi, sin

import torch
from torch import Tensor

from whichloss.core import Card, CosineLoss, FieldError, flag, nonnegative


class ArcFace(CosineLoss):
    r"""Cross-entropy over cosines times a scale s, that of the true class at an angle widened by a margin m.

    $$\ell = -\ln \frac{e^{s \cos(\theta_y + m)}}{e^{s \cos(\theta_y + m)} + \sum_{j \ne y} e^{s \cos \theta_j}}$$

    Like `CosFace`, with a margin in angles: the same number of degrees wherever the case lies. Beyond
    $\theta_y = \pi - m$ the cosine would rise again, and $\cos \theta_y - m \sin m$ stands in its place, as in the
    authors' code. With `easy_margin` there is a margin only where $\cos \theta_y > 0$: gentler at the beginning, when
    features still point anywhere. A cosine above 1 by rounding counts as 1; there the slope, which in the angle is
    finite, would be infinite, and is cut at the last digit.
    """

    margin: float = nonnegative(0.5)  # m, in radians
    easy_margin: bool = flag(False)

    card = Card(
        source="deng2019arcface",
        equation="additive angular margin loss",
        range=(0.0, inf),
        smooth=False,
        convex=False,
        golden={
            (sin(0.5), 0.0): log(2),  # theta = pi/2 - m
            (0.0, -64 * sin(0.5)): log(2),
            (1.0, 64 * cos(0.5)): log(2),
            (-1.0, -64 * (1 + 0.5 * sin(0.5))): log(2),
        },
        aliases=("additive angular margin loss",),
        peers={"pytorch-metric-learning": "ArcFaceLoss (margin in degrees; holds the class vectors itself)"},
        note="What stands in place of the cosine beyond pi - m lies lower by cos m + m sin m - 1 (0.117 at m = 0.5), so"
        " that the loss jumps there; with easy_margin it jumps at 90 degrees. pytorch-metric-learning has no finite"
        " gradient for features that point exactly at their class.",
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(easy_margin=True)]

    def check(self) -> None:
        if self.margin > pi / 2:
            raise FieldError(f"ArcFace: margin is {self.margin:g}; it is an angle in radians, at most {pi / 2:.4g}")

    def asked(self, cosine: Tensor) -> Tensor:
        m = self.margin
        gap = (1 - cosine.square()).clamp_min(0)
        sine = gap / gap.clamp_min(torch.finfo(cosine.dtype).eps).sqrt()  # the root of 0 has no finite slope
        widened = cosine.clamp_max(1) * cos(m) - sine * sin(m)  # cos(theta + m)
        if self.easy_margin:
            return torch.where(cosine > 0, widened, cosine)
        return torch.where(cosine >= -cos(m), widened, cosine - m * sin(m))
