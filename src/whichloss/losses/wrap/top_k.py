"""Top k: the mean over the hardest elements alone."""

from math import inf

from torch import Tensor

from whichloss.core import Card, FieldError, MiningLoss, hardest, parse
from whichloss.core import fraction as share


class TopK(MiningLoss):
    r"""The terms of another loss with the largest values; the others have no say.

    $$\ell = \frac{1}{|H|} \sum_{i \in H} \ell_i, \qquad
    H\text{: the } \max(1, \lfloor f n \rfloor) \text{ hardest of } n \text{ elements}$$

    Easy background teaches nothing, so that a small lesion is not outvoted. Wrong labels are hard, too, and are
    then most of what is learned. Elements of weight 0 and ignored ones are never among the hardest, and n counts
    those with a say; elements are ranked by their value, and their weights are those of the mean. Where several tie
    for the last places, as all do at an untrained network of constant output, each has an equal part of these.
    """

    fraction: float = share(0.1)  # that is kept; nnU-Net's k is in per cent

    card = Card(
        source="wu2016bridging",
        equation="online bootstrapping",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (0.5,): 0.5, (3.0,): 3.0},
        equals=(("TopK(CrossEntropy(), fraction=1.0)", "CrossEntropy()"),),
        aliases=("online bootstrapping", "bootstrapped cross-entropy"),
        note="nnU-Net's ranks ignored voxels, too, each at a loss of 0, and is NaN where k % are less than a voxel.",
        peers={"nnU-Net": "TopKLoss", "SegLoss": "TopKLoss"},
    )

    @classmethod
    def examples(cls):
        return [
            cls(parse("CrossEntropy()")),
            cls(parse("CrossEntropy()"), fraction=0.5, over="image"),
            cls(parse("Dice()"), fraction=0.5),
        ]

    def check(self) -> None:
        super().check()
        if self.fraction == 0:
            raise FieldError("TopK: fraction is 0; it is the share of the elements that is kept, above 0 and at most 1")

    def chosen(self, value: Tensor, weight: Tensor) -> Tensor:
        return hardest(value, weight, self.fraction)
