"""Top k: the mean over the hardest elements alone."""

from math import inf

import torch
from torch import Tensor

from whichloss.core import Card, FieldError, Reach, WrapperLoss, choice, parse
from whichloss.core import fraction as share
from whichloss.core.prepare import Prepared
from whichloss.core.terms import Terms


class TopK(WrapperLoss):
    r"""The terms of another loss with the largest values; the others have no say.

    $$\ell = \frac{1}{|H|} \sum_{i \in H} \ell_i, \qquad
    H\text{: the } \max(1, \lfloor f n \rfloor) \text{ hardest of } n \text{ elements}$$

    Easy background teaches nothing, so that a small lesion is not outvoted. Wrong labels are hard, too, and are
    then most of what is learned. Elements of weight 0 and ignored ones are never among the hardest, and n counts
    those with a say; elements are ranked by their value, and their weights are those of the mean. Where several tie
    for the last places, as all do at an untrained network of constant output, each has an equal part of these.
    """

    takes = (-inf, inf)
    fraction: float = share(0.1)  # that is kept; nnU-Net's k is in per cent
    over: str = choice("batch", "image")  # of which elements: of the batch's, or of each image's

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
        refuse_totals(self)

    def formula(self, value: Tensor) -> Tensor:
        return value

    @property
    def reach(self) -> Reach:
        return farther(self.loss.reach, self.over)

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = in_rows(self.loss.measure(prepared), self.over)
        return Terms(value, weight * hardest(value, weight, self.fraction))


def refuse_totals(wrapper: WrapperLoss) -> None:
    """Raises FieldError where there is nothing to choose from."""
    if wrapper.loss.lumped:
        name = type(wrapper).__name__
        raise FieldError(
            f"{name} chooses among many terms, and {wrapper.loss.label} gives but one, its total: wrap what it is made"
            f" of, as in {name}(CrossEntropy()) + Dice()"
        )


def farther(reach: Reach, over: str) -> Reach:
    """How far a term sees whose say depends on the others of its image, or of its batch."""
    return "batch" if over == "batch" and reach == "image" else reach


def in_rows(terms: Terms, over: str) -> Terms:
    """Terms (rows, elements): a row for each image, or one for the batch."""
    value, weight = terms
    if over == "batch":
        return Terms(value.reshape(1, -1), weight.reshape(1, -1))
    return Terms(*(part.flatten(1) if part.ndim > 1 else part.unsqueeze(1) for part in terms))


def hardest(value: Tensor, weight: Tensor, k: float) -> Tensor:
    """Of each element (rows, elements) how much of it is among the share k of its row with the largest values.

    All of it or nothing; but those that tie for the last places have an equal part of them.
    """
    if not value.numel():
        return torch.ones_like(value)
    told = weight > 0
    hardness = torch.where(told, value.detach(), -torch.inf)
    places = (k * told.sum(1, keepdim=True).double() + 1e-6).floor().clamp_min(1)  # 0.29 times 100 falls short of 29
    last = _at(hardness, places.long())
    above, level = ~(hardness <= last), hardness == last  # a value that is not a number is above, so that it is seen
    left = (places - above.sum(1, keepdim=True)).clamp_min(0)
    return (above + level * (left / level.sum(1, keepdim=True).clamp_min(1))).to(value)


def _at(hardness: Tensor, places: Tensor) -> Tensor:
    """The value (rows, 1) at one place of each row, counted from the largest."""
    if torch.compiler.is_compiling() or hardness.device.type != "cpu":  # where to look at a place would be to wait
        return hardness.sort(1, descending=True).values.gather(1, places - 1)
    least = [row.kthvalue(len(row) + 1 - int(place)).values for row, place in zip(hardness, places, strict=True)]
    return torch.stack(least).unsqueeze(1)
