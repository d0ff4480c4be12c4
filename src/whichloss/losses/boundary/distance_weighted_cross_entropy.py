"""Cross-entropy in which elements near a boundary cost more."""

from collections.abc import Sequence
from math import inf, log

import torch
from torch import Tensor

from whichloss.core import Answers, BoundaryLoss, Card, numbers
from whichloss.core.lift import Lift
from whichloss.core.lifts.distances import TargetDistances
from whichloss.core.lifts.log_probability import LogProbability
from whichloss.core.prepare import Prepared
from whichloss.core.terms import Terms, average


class DistanceWeightedCrossEntropy(BoundaryLoss):
    r"""Cross-entropy times one plus how near an element lies to the boundary of what it belongs to.

    $$\ell = -(1 + \Phi) \ln p_y, \qquad \Phi = \frac{d_{\max} - d}{d_{\max} - d_{\min}}$$

    $d$ is the distance of an element to the nearest of another class, $d_{\max}$ and $d_{\min}$ those of the farthest
    and the nearest element of its class in the image: $\Phi$ falls from 1 at the border to 0 in the middle. Where all
    elements of a class lie at the border it is 1; where an image has but one class, 0.

    An element at a border costs twice what one far inside costs, and weights are not divided out.
    """

    spacing: tuple[float, ...] | None = numbers(None, low=0.0, open_low=True, optional=True)  # (z, y, x); None: voxels

    card = Card(
        source="caliva2019distance",
        equation="definition of the penalty term",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(log(0.5), 1.0): 2 * log(2), (log(0.5), 0.0): log(2), (0.0, 1.0): 0.0},
        note="The penalty is that of SegLossOdyssey's DisPenalizedCE, which is 0/0 where an object is thin enough to"
        " have no inside. Its DistBinaryDiceLoss has no counterpart: it weighs true positives in the numerator of Dice"
        " alone, which can then exceed 1.",
        peers={"SegLossOdyssey": "DisPenalizedCE"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(spacing=(2.0, 0.5))]

    def needs(self) -> Sequence[Lift]:
        return LogProbability(self.classes), TargetDistances(self.classes, self.spacing)

    def measure(self, prepared: Prepared) -> Terms:
        answers: Answers = prepared[self.lifts[0]]
        signed: Tensor = prepared[self.lifts[1]]
        if answers.yes:
            near = _nearness(signed, signed < 0) + _nearness(signed, signed > 0)
            near = torch.cat([near, near], 1)
        else:
            near = _nearness(signed, signed < 0).sum(1, keepdim=True)  # an element is inside of one class at most
        return average(self.formula(torch.where(answers.share > 0, answers.log_p, -1.0), near), answers.share)

    def formula(self, log_p: Tensor, nearness: Tensor) -> Tensor:
        return -(1 + nearness) * log_p


def _nearness(signed: Tensor, here: Tensor) -> Tensor:
    """1 at the border of a part of each image and class, falling to 0 at what lies deepest in it; 0 elsewhere."""
    space, distance = list(range(2, signed.ndim)), signed.abs()
    deepest = torch.where(here, distance, -torch.inf).amax(space, keepdim=True)
    nearest = torch.where(here, distance, torch.inf).amin(space, keepdim=True)
    deep = deepest > nearest
    near = (deepest - distance) / torch.where(deep, deepest - nearest, 1.0)
    return torch.where(here, torch.where(deep, near, 1.0), 0.0)
