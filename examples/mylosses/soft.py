"""Soft hinge: the hinge with its corner smeared over a temperature. A loss of one's own, in a file of one's own.

With this folder's parent on the Python path, a study names it `mylosses.soft:Soft(temperature=0.5)`.
"""

from math import inf, log

import torch.nn.functional as F
from torch import Tensor

from whichloss.core import Card, MarginLoss, positive


class Soft(MarginLoss):
    r"""The hinge through a softplus.

    $$\ell(m) = T \ln(1 + e^{(1 - m) / T})$$
    """

    temperature: float = positive(0.5)

    card = Card(
        source="own",
        equation="(1)",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(1.0,): 0.5 * log(2)},
    )

    def formula(self, margin: Tensor) -> Tensor:
        return self.temperature * F.softplus((1 - margin) / self.temperature)
