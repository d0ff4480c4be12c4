"""Zero-one loss: right or wrong. For evaluation only."""

from typing import ClassVar

import torch
from torch import Tensor

from whichloss.core import Card, MarginLoss


class ZeroOne(MarginLoss):
    r"""One for a wrong answer, nothing for a right one.

    $$\ell(m) = 1 \text{ if } m \le 0, \quad 0 \text{ otherwise}$$

    Its slope is zero wherever it has one, so no network can learn from it; it refuses to train. With
    `lift="top_rival"` its mean is the error rate among exclusive classes. With `lift="ranking"` it is 1 - the area
    under the ROC curve, to which a tie is half an error.
    """

    trains: ClassVar[bool] = False

    card = Card(
        source="yuan2021loss",
        equation="0-1 loss",
        range=(0.0, 1.0),
        smooth=False,
        convex=False,
        easy=0.0,
        golden={(-1.0,): 1.0, (0.0,): 1.0, (1e-9,): 0.0, (2.0,): 0.0},
    )

    def formula(self, margin: Tensor) -> Tensor:
        tie = 0.5 if self.lift == "ranking" else 1.0
        return torch.where(margin == 0, tie, (margin < 0).to(margin.dtype))
