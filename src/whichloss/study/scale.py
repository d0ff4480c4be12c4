"""Scale: the unit in which a network learns a quantity."""

from dataclasses import dataclass

from torch import Tensor

from whichloss.core import Task


@dataclass(frozen=True)
class Scale:
    """Standard deviations from the mean of the cases that a run is fitted to; labels that are classes stay as they are.

    A network begins with answers about 0 to 1 and a learning rate to match: in pixels, or in days, it would spend the
    training on the way to the mean. So a loss sees both its arguments in this unit, its parameters are in this unit
    (where a Huber loss bends), and predictions are turned back into the unit of the data before they are kept.
    """

    mean: float = 0.0
    sd: float = 1.0

    @classmethod
    def of(cls, labels: Tensor, task: Task) -> "Scale":
        """From the labels of the fit part alone: the inner and the test part must not be looked at."""
        if task.kind != "regression":
            return cls()
        values = labels.double()
        spread = values.std(correction=0).item() if values.min() < values.max() else 1.0  # a constant has none
        return cls(values.mean().item(), spread)

    def learned(self, labels: Tensor) -> Tensor:
        """Labels in this unit."""
        return labels if self == Scale() else (labels - self.mean) / self.sd

    def measured(self, outputs: Tensor) -> Tensor:
        """Outputs in the unit of the data."""
        return outputs if self == Scale() else outputs * self.sd + self.mean
