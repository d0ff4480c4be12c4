"""Best: the epoch that did best on the inner split."""

from dataclasses import dataclass, field
from math import isnan, nan

from torch import Tensor, nn

from whichloss.core import Task
from whichloss.core.rows import finite
from whichloss.metrics import Metric

from .score import inner_scores


@dataclass(frozen=True, eq=False)
class Best:
    """The best epoch so far, with a copy of its weights. Of equals the earlier one; NaN is never best."""

    epoch: int = 0  # counted from 1; 0: none yet
    value: float = nan
    weights: dict[str, Tensor] = field(default_factory=dict)

    def or_now(self, epoch: int, value: float, judge: Metric, network: nn.Module) -> "Best":
        """Whichever is better: this epoch, or the one that the network has just been through."""
        if isnan(value) or (self.epoch and not better(value, self.value, judge)):
            return self
        return Best(epoch, value, {name: one.clone() for name, one in weights_of(network).items()})


def judged(inner: Tensor, labels: Tensor, task: Task, judge: Metric) -> float:
    """What a metric says of answers on the inner split, as if they were the last; NaN where not all are numbers."""
    if not finite(inner):
        return nan
    value = inner_scores([judge], {"inner": inner, "inner_labels": labels}, task)[repr(judge)]["value"]
    return nan if value is None else value


def better(value: float, other: float, judge: Metric) -> bool:
    return value > other if judge.card.higher_is_better else value < other


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, those buffers included that a state_dict leaves out. Not copies."""
    return {name: one.detach() for name, one in (*network.named_parameters(), *network.named_buffers())}


def set_weights(network: nn.Module, weights: dict[str, Tensor]) -> None:
    for name, one in weights_of(network).items():
        one.copy_(weights[name])  # in place: the order in memory stays
