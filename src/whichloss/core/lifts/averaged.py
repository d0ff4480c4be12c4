"""The mean of a loss over the batch, where nobody asks for its terms one by one."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..lift import Lift
from ..prepare import Prepared
from ..question import Batch
from ..terms import mean


@dataclass(frozen=True)
class Averaged(Lift):
    """One number. A kernel may add up what elements cost without keeping it; here all terms are made first."""

    loss: Any = None  # a Loss

    def __call__(self, batch: Batch) -> Tensor:
        return mean(self.loss.measure(Prepared(batch, self.loss.lifts)))
