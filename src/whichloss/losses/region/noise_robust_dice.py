"""Noise-robust Dice: between Dice and the absolute error, so that wrong labels pull less."""

from collections.abc import Sequence
from math import inf

from torch import Tensor

from whichloss.core import Card, Counts, FieldError, RegionLoss, number
from whichloss.core.lift import Lift
from whichloss.core.lifts.power_sums import ErrorCounts, ErrorSums


class NoiseRobustDice(RegionLoss):
    r"""Errors to a power gamma, in proportion to the squared size of prediction and target.

    $$\ell = \frac{\sum |p - y|^\gamma}{\sum p^2 + \sum y^2}$$

    With gamma = 2 it is Dice with squares; towards 1 it becomes the absolute error, whose slope does not grow with the
    error, so that elements with wrong labels weigh no more than others. It is not bounded by 1.
    """

    gamma: float = number(1.5, low=1.0, high=2.0)

    card = Card(
        source="wang2020noise",
        equation="definition of the noise-robust Dice loss",
        range=(0.0, inf),
        smooth=True,
        convex=False,
        golden={(8.0, 2.0, 2.0): 0.2, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0},
        equals=(("NoiseRobustDice(gamma=2.0)", "SquaredDice()"),),
        note="Golden values are of hard answers, where gamma does not matter. Below 2 the loss passes 1 where many"
        " elements are a little wrong: p = 0.01 in n elements of background costs 0.001 n / (0.0001 n + 2 smooth).",
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(gamma=1.0)]

    def check(self) -> None:
        if self.smooth == 0 and self.gamma < 2:
            raise FieldError(
                "NoiseRobustDice: with smooth=0 a class without target costs the more, the better the answer;"
                " say smooth=1.0, or gamma=2"
            )

    def needs(self) -> Sequence[Lift]:
        return (ErrorSums(self.classes, self.gamma),)

    def hard(self, tp: Tensor, fp: Tensor, fn: Tensor, tn: Tensor | float = 0.0) -> ErrorCounts:
        counts: Counts = super().hard(tp, fp, fn, tn)
        return ErrorCounts(*counts, fp + fn)

    def formula(self, n: ErrorCounts) -> Tensor:
        return n.error / (2 * n.tp + n.fp + n.fn)
