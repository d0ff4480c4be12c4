"""MCC loss: one minus the Matthews correlation of prediction and target."""

from collections.abc import Sequence

import torch
from torch import Tensor

from whichloss.core import Card, Counts, RegionLoss, Terms
from whichloss.core.lift import Lift
from whichloss.core.lifts.four_sums import FourCounts, FourSums


class MCC(RegionLoss):
    r"""One minus the correlation of yes and no, predicted and true.

    $$\ell = 1 - \frac{TP\,TN - FP\,FN}{\sqrt{(TP + FP)(TP + FN)(TN + FP)(TN + FN)}}$$

    Sees true negatives, which Dice does not: what is there and what is not matter alike, so yes and no may change
    places. For the same reason smooth counts as imagined true negatives, too. Without it the correlation has no
    meaning where everything is there, nothing is, or all answers are one; it is then 0, and nothing is learned.
    """

    card = Card(
        source="abhishek2021matthews",
        equation="(4)",
        range=(0.0, 2.0),
        smooth=True,
        convex=False,
        golden={
            (4.0, 1.0, 1.0, 4.0): 0.4,
            (1.0, 1.0, 1.0, 1.0): 1.0,
            (0.0, 3.0, 2.0, 0.0): 2.0,
            (5.0, 0.0, 0.0, 2.0): 0.0,
        },
        aliases=("Matthews correlation coefficient loss", "phi coefficient loss"),
        note="Peers take TN TP - FP FN and the root of a product of four sums, to which they add 1e-5: MONAI once, smp"
        " to each of the four counts, so that a background patch that is right costs 0 or 0.5.",
        peers={"MONAI": "MCCLoss", "smp": "MCCLoss", "pytorch-toolbelt": "MCCLoss"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(over="batch", smooth=0.0)]

    def needs(self) -> Sequence[Lift]:
        return (FourSums(self.classes),)

    def hard(self, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor | float = 0.0) -> FourCounts:
        counts: Counts = super().hard(tp, fp, fn, tn)
        return FourCounts(*counts, tn + torch.zeros_like(tp))

    def formula(self, n: FourCounts) -> Tensor:
        return 1 - correlation(n)

    def _terms(self, n: FourCounts, weight: Tensor) -> Terms:
        return super()._terms(n._replace(tn=n.tn + self.smooth), weight)


def correlation(n: FourCounts) -> Tensor:
    """That of Matthews; where a margin is 0, so that it has no meaning: 1 if nothing is wrong, else 0."""
    found, there, left, not_there = n.tp + n.fp, n.tp + n.fn, n.tn + n.fn, n.tn + n.fp
    known = (found > 0) & (there > 0) & (left > 0) & (not_there > 0)
    # in pairs, of which one is always large: the product of all four may leave the range of float32
    answers, truth = (torch.where(known, part, 1.0).sqrt() for part in (found * left, there * not_there))
    value = (n.tp / answers) * (n.tn / truth) - (n.fp / answers) * (n.fn / truth)
    return torch.where(known, value, (n.fp + n.fn == 0).to(value))
