"""Cosine losses: a margin between the directions of classes."""

from abc import abstractmethod
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from ..fields import choice, positive
from ..lift import Lift
from ..lifts.cosines import Cosines
from ..loss import Axis, Loss
from ..prepare import Prepared
from ..terms import Terms, average


class CosineLoss(Loss):
    r"""Sees cosines, and asks of the true class a larger one than it has: $\phi(c_y)$ in place of $c_y$.

    $$\ell = -\ln \frac{e^{s \phi(c_y)}}{e^{s \phi(c_y)} + \sum_{j \ne y} e^{s c_j}}$$

    The outputs (N, C, *S) are cosines, between the features of a case and a vector of each class. A study gives the
    network such a last layer; in a loop of your own it is `whichloss.networks.layers.CosineHead`, in place of the last
    linear layer. Decisions are by the largest cosine, without the margin.
    """

    scale: float = positive(64.0)  # s
    classes: str = choice("exclusive")

    axis = Axis("cosine of the truth, with one rival at 0", -1.0, 1.0)

    @abstractmethod
    def asked(self, cosine: Tensor) -> Tensor:
        """What counts in place of the cosine of the true class."""

    def formula(self, cosine: Tensor, rivals: Tensor) -> Tensor:
        return -F.logsigmoid(self.scale * self.asked(cosine) - rivals)

    def along(self, x: Tensor) -> Tensor:
        return self.formula(x, x.new_zeros(()))

    def needs(self) -> Sequence[Lift]:
        return (Cosines(self.classes, self.scale),)

    def measure(self, prepared: Prepared) -> Terms:
        cosine, rivals, share = prepared[self.lifts[0]]
        return average(self.formula(cosine, rivals), share)

    @property
    def cosines(self) -> bool:
        return True

    def probability(self, logits: Tensor) -> Tensor | None:
        """None: between two classes less than the margin apart, one cosine is nearly as good as another."""
        return None
