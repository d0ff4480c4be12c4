"""Boundary loss: probability, weighed by how far outside of the object it lies."""

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from whichloss.core import Card, OutlineLoss, numbers
from whichloss.core.lifts.distances import TargetDistances
from whichloss.core.prepare import Prepared
from whichloss.core.question import Question


class Boundary(OutlineLoss):
    r"""The probability of a class times the signed distance of an element to the boundary of its object.

    $$\ell = p \, \phi$$

    Where an element lies outside, $\phi$ is its distance to the object; inside it is minus the distance to the nearest
    element outside, less one step (the smallest of the spacing), and so 0 all along the border. An image with no object
    of a class, or with nothing else, has $\phi = 0$ and teaches nothing.

    What lies far out costs most, and what lies deep inside earns most, so that the value is often below 0. Its slope
    does not depend on what is predicted elsewhere; alone it may be content with an empty image, and is used beside a
    region loss, such as `Dice() + 0.01 * Boundary()`.
    """

    spacing: tuple[float, ...] | None = numbers(None, low=0.0, open_low=True, optional=True)  # (z, y, x); None: voxels

    card = Card(
        source="kervadec2019boundary",
        equation="definition of the boundary loss",
        range=(-inf, inf),
        smooth=True,
        convex=True,
        golden={(0.5, 2.0): 1.0, (1.0, -3.0): -3.0, (0.0, 5.0): 0.0},
        aliases=("surface loss",),
        note="The paper integrates over the domain; here, as in MONAI, it is a mean. The authors' code takes 1 off the"
        " distances inside whatever their unit, which is one voxel only where a voxel is 1 mm wide.",
        peers={"MONAI": "BoundaryLoss", "SegLossOdyssey": "BDLoss"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(background=False), cls(spacing=(2.0, 0.5))]

    def needs(self) -> Sequence[TargetDistances]:
        return (TargetDistances(self.classes, self.spacing),)

    def seen(self, prepared: Prepared, question: Question) -> tuple[Tensor, ...]:
        signed = prepared[self.lifts[0]]
        step = min(self.spacing or (1.0,))
        return question.probabilities, torch.where(signed < 0, signed + step, signed)

    def formula(self, p: Tensor, distance: Tensor) -> Tensor:
        return p * distance
