"""Embedding losses: a function of how near cases lie to each other."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..errors import UserError
from ..fields import flag
from ..lift import Lift
from ..lifts.averaged import Averaged
from ..loss import Loss, Reach
from ..prepare import Prepared
from ..task import Kind, Task
from ..terms import Terms, average

SIZE = 32  # of the embedding that a network gives in a study


class EmbeddingLoss(Loss):
    """Sees the cases of a batch beside each other. `formula` is a function of distances or similarities.

    The output is an embedding of each case, (N, D), and the target its class, (N,). Voxels (N, D, *S) are cases, too;
    cost grows with the square of their number. A case without another to be compared with has no say. A weight is the
    say of a case as an anchor, and as one of a class; among the rest under a softmax, and as the nearest or farthest,
    a case counts whole unless its weight is 0. An embedding answers no question by itself: a classifier is fitted on it
    afterwards.
    """

    normalize: bool = flag(True)  # embeddings are brought to length 1 first

    @abstractmethod
    def formula(self, *args: Any, **kwargs: Any) -> Tensor: ...  # as many numbers as the lift shows

    def needs_of_mean(self) -> Sequence[Lift]:
        # who measures in a way of one's own may look at all cases together
        return (Averaged(loss=self),) if type(self).measure is EmbeddingLoss.measure else self.lifts

    def mean(self, prepared: Prepared) -> Tensor:
        if self.lifts_of_mean == self.lifts:
            return super().mean(prepared)
        return prepared[self.lifts_of_mean[0]]

    def measure(self, prepared: Prepared) -> Terms:
        seen, share = prepared[self.lifts[0]]
        return average(self.formula(*seen), share)

    @property
    def tasks(self) -> frozenset[Kind]:
        return frozenset({"classification"})

    @property
    def reach(self) -> Reach:
        return "pairs"

    @property
    def answers(self) -> bool:
        return False

    def outputs(self, task: Task) -> int:
        return SIZE

    def class_scores(self, logits: Tensor) -> Tensor:
        raise UserError(f"{self.label} trains embeddings: fit a classifier on them, and ask that for classes")

    def decide(self, logits: Tensor) -> Tensor:
        return self.class_scores(logits)

    def probability(self, logits: Tensor) -> Tensor | None:
        return None
