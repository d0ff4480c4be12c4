"""Triplet loss: a case of another class lies farther off than any of one's own, by a margin."""

from collections.abc import Sequence
from math import inf

from torch import Tensor

from whichloss.core import Axis, Card, EmbeddingLoss, choice, nonnegative
from whichloss.core.lift import Lift
from whichloss.core.lifts.points import Triplets


class Triplet(EmbeddingLoss):
    r"""The hinge of how much farther a case of the same class is than one of another.

    $$\ell = \max(0,\ d(a, p) - d(a, n) + \mathit{margin})$$

    mining: "hardest", for each anchor a the farthest p and the nearest n of the batch (batch-hard); "all" triplets; or
    the "violating" ones, those of all that cost something, whose mean does not fade while a few remain wrong, and
    jumps as one joins or leaves.
    """

    margin: float = nonnegative(0.3)
    mining: str = choice("hardest", "all", "violating")

    card = Card(
        source="hermans2017defense",
        equation="(5)",
        range=(0.0, inf),
        smooth=False,
        convex=True,
        golden={(-0.3,): 0.0, (0.0,): 0.3, (0.7,): 1.0, (-2.0,): 0.0},
        aliases=("batch-hard triplet loss", "batch-all triplet loss"),
        peers={
            "torch.nn": "TripletMarginLoss (of given triplets)",
            "pytorch-metric-learning": "TripletMarginLoss",
        },
        note="Euclidean distances, not squared. pytorch-metric-learning has margin=0.05 and the violating triplets.",
    )

    axis = Axis("how much farther the same class is than the other", -1.0, 1.0)

    @classmethod
    def examples(cls):
        return [cls(), cls(mining="all"), cls(mining="violating")]

    def needs(self) -> Sequence[Lift]:
        return (Triplets(normalize=self.normalize, mining=self.mining, margin=self.margin),)

    def formula(self, gap: Tensor) -> Tensor:
        return (gap + self.margin).clamp_min(0)
