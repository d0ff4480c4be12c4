"""Power Jaccard: intersection over a union in which probabilities count by a power of them."""

from collections.abc import Sequence

from torch import Tensor

from whichloss.core import Card, Counts, RegionLoss, number
from whichloss.core.lift import Lift
from whichloss.core.lifts.power_sums import PowerSums


class PowerJaccard(RegionLoss):
    r"""Jaccard with powers in the union (q: exponent).

    $$\ell = 1 - \frac{\sum p\,y}{\sum p^q + \sum y^q - \sum p\,y}$$

    A hesitant answer makes the union smaller, and so costs less, the larger q: more of the gradient is left for the
    elements that are wrong. Soft labels count in their proportion.
    """

    exponent: float = number(2.0, low=1.0, high=2.0)  # the paper's p

    card = Card(
        source="duquearias2021power",
        equation="definition of the power Jaccard loss",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(8.0, 2.0, 2.0): 1 / 3, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0},
        equals=(("PowerJaccard(exponent=1.0)", "Jaccard()"),),
        note="Beyond 2 it can be negative: at p = 0.8 of one foreground element, q = 3 gives -0.12. So 2 is the end.",
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(exponent=1.5)]

    def needs(self) -> Sequence[Lift]:
        return (PowerSums(self.classes, self.exponent),)

    def formula(self, n: Counts) -> Tensor:
        return 1 - n.tp / (n.tp + n.fp + n.fn)
