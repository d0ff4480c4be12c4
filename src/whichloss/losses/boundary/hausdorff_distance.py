"""Hausdorff distance loss by distance transforms: errors cost more, the farther they lie from a boundary."""

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from whichloss.core import Card, OutlineLoss, Reach, choice, flag, mean, numbers, positive
from whichloss.core.lift import Lift
from whichloss.core.lifts.distances import PredictedDistances, TargetDistances
from whichloss.core.prepare import Prepared
from whichloss.core.question import Question
from whichloss.core.terms import Terms


class HausdorffDistance(OutlineLoss):
    r"""The squared error times powers of the distances to the boundaries of target and prediction.

    $$\ell = (p - y)^2 \, (d_y^\alpha + d_p^\alpha)$$

    $d$ is the distance to the other side of the boundary; 0 where an image has no object of the class, or nothing
    else. A prediction is where $p > 0.5$, and its distances are constants to the gradient. They change in every step,
    and cost a distance transform in each: `sides="target"` leaves $d_p$ out, the one-sided form of the paper, which
    needs none. False islands far from the object dominate the value, so a region loss is needed beside it.

    log: $\ln(1 + \ell)$ of the mean, which keeps the value small.
    """

    alpha: float = positive(2.0)
    sides: str = choice("both", "target")
    log: bool = flag(False)
    spacing: tuple[float, ...] | None = numbers(None, low=0.0, open_low=True, optional=True)  # (z, y, x); None: voxels

    card = Card(
        source="karimi2020reducing",
        equation="estimate by distance transforms",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.5, 3.0, 4.0): 6.25, (-1.0, 2.0, 0.0): 4.0, (0.0, 9.0, 9.0): 0.0},
        aliases=("HD-DT",),
        note="Smooth and convex as a function of the error, the distances being constants: where a prediction crosses"
        " 0.5 the value jumps. MONAI leaves the background out unless told otherwise, and works the target out anew in"
        " every step.",
        peers={"MONAI": "HausdorffDTLoss", "SegLossOdyssey": "HDDTBinaryLoss"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(sides="target"), cls(alpha=1.0, background=False), cls(log=True), cls(spacing=(2.0, 0.5))]

    def needs(self) -> Sequence[Lift]:
        target = TargetDistances(self.classes, self.spacing)
        return (target,) if self.sides == "target" else (target, PredictedDistances(self.classes, self.spacing))

    def seen(self, prepared: Prepared, question: Question) -> tuple[Tensor, ...]:
        target, *predicted = (prepared[lift].abs() for lift in self.lifts)
        error = question.probabilities - question.proportions
        return error, target, predicted[0] if predicted else torch.zeros_like(target)

    def formula(self, error: Tensor, to_target: Tensor, to_prediction: Tensor) -> Tensor:
        return error.square() * (to_target**self.alpha + to_prediction**self.alpha)

    def measure(self, prepared: Prepared) -> Terms:
        terms = super().measure(prepared)
        if not self.log:
            return terms
        value = mean(terms).log1p().reshape(1)
        return Terms(value, torch.ones_like(value))

    @property
    def lumped(self) -> bool:
        return self.log

    @property
    def reach(self) -> Reach:
        return "batch" if self.log else "image"
