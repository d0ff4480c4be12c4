"""Total: the sum of a loss over its terms, instead of their mean."""

from math import inf

from torch import Tensor

from whichloss.core import Card, Reach, WrapperLoss
from whichloss.core.prepare import Prepared
from whichloss.core.terms import Terms, total


class Total(WrapperLoss):
    r"""The weighted sum of the terms of another loss, as one term.

    $$\ell = \sum_i w_i \ell_i$$

    Over a region loss of the batch it is the sum over the classes that some papers print; over a loss of voxels it
    makes large images weigh more, and the learning rate depend on their size.
    """

    card = Card(
        source="yuan2021loss",
        equation="(19)",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (0.5,): 0.5, (3.0,): 3.0},
    )

    def formula(self, value: Tensor) -> Tensor:
        return value

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, inf

    @property
    def lumped(self) -> bool:
        return True

    @property
    def reach(self) -> Reach:
        return "pairs" if self.loss.reach == "pairs" else "batch"

    def measure(self, prepared: Prepared) -> Terms:
        return total(self.loss.measure(prepared))
