"""Centreline Dice: whether the skeletons of vessels lie in each other's volumes."""

from collections.abc import Sequence

from torch import Tensor

from whichloss.core import Card, OutlineLoss, count, positive
from whichloss.core.lifts.morphology import Skeletons, SoftSkeletons
from whichloss.core.prepare import Prepared
from whichloss.core.question import Question
from whichloss.core.terms import Terms


class ClDice(OutlineLoss):
    r"""One minus the harmonic mean of topology precision and topology sensitivity.

    $$\ell = 1 - \frac{2\,T_p\,T_s}{T_p + T_s}, \qquad
    T_p = \frac{\sum s_p\,y + \epsilon}{\sum s_p + \epsilon}, \quad
    T_s = \frac{\sum s_y\,p + \epsilon}{\sum s_y + \epsilon}$$

    $s_p$ and $s_y$ are the soft skeletons of prediction and target. A gap in a thin vessel costs as much as one in a
    thick vessel, whatever the volumes. `iterations` must be no less than half the width of the thickest vessel, in
    voxels. The authors train with a sum: `0.5 * Dice() + 0.5 * ClDice()`.
    """

    iterations: int = count(3, low=0)
    smooth: float = positive(1.0)  # epsilon, imagined elements of both skeletons that lie where they should

    card = Card(
        source="shit2021cldice",
        equation="definition of soft-clDice",
        range=(0.0, 1.0),
        smooth=False,
        convex=False,
        golden={(1.0, 1.0): 0.0, (0.5, 0.5): 0.5, (1.0, 1 / 3): 0.5},
        aliases=("centreline Dice", "soft-clDice"),
        note="One term for each image and class; MONAI 1.6.1 pools the classes of an image, the background included,"
        " and the authors' code pools the batch without the first channel, which is all there is of one output.",
        peers={"MONAI": "SoftclDiceLoss"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(iterations=1, smooth=0.01), cls(background=False)]

    def needs(self) -> Sequence[SoftSkeletons]:
        return (SoftSkeletons(self.classes, self.iterations),)

    def seen(self, prepared: Prepared, question: Question) -> tuple[Tensor, ...]:
        s: Skeletons = prepared[self.lifts[0]]
        weight = question.weight
        share = [
            ((weight * skeleton * volume).flatten(2).sum(2) + self.smooth)
            / ((weight * skeleton).flatten(2).sum(2) + self.smooth)
            for skeleton, volume in ((s.predicted, s.y), (s.true, s.p))
        ]
        return tuple(share)

    def formula(self, precision: Tensor, sensitivity: Tensor) -> Tensor:
        return 1 - 2 * precision * sensitivity / (precision + sensitivity)

    def measure(self, prepared: Prepared) -> Terms:
        question = prepared.batch.question(self.classes)
        precision, sensitivity = map(self.told, self.seen(prepared, question))
        there = (self.told(question.weight.expand_as(question.logits)) > 0).flatten(2).any(2)
        return Terms(self.formula(precision, sensitivity), there.to(precision.dtype))
