"""Hard examples: the mean over what still costs more than a threshold."""

from math import inf, log

from torch import Tensor

from whichloss.core import Card, FieldError, Reach, WrapperLoss, choice, fraction, nonnegative, parse
from whichloss.core.prepare import Prepared
from whichloss.core.terms import Terms
from whichloss.losses.wrap.top_k import farther, hardest, in_rows, refuse_totals


class HardExamples(WrapperLoss):
    r"""Online hard example mining: the terms of another loss above a threshold, or a least share of the hardest.

    $$\ell = \frac{1}{|H|} \sum_{i \in H} \ell_i, \qquad
    H = \{i : \ell_i > t\} \text{, or the hardest share } s \text{ where these are fewer}$$

    As training goes on fewer elements are above the threshold, until the least share takes over and the loss is TopK.
    The default threshold is a probability of 0.7 for the truth, under cross-entropy; another inner loss needs another.
    What is ignored has no say, and the share is of those that have. Wrong labels stay hard to the end.
    """

    takes = (-inf, inf)
    threshold: float = nonnegative(-log(0.7))  # t, in units of the inner loss
    least: float = fraction(1 / 16)  # s
    over: str = choice("batch", "image")  # of which elements the least share is taken

    card = Card(
        source="shrivastava2016training",
        equation="algorithm, in its form for pixels",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (0.5,): 0.5, (3.0,): 3.0},
        equals=(
            ("HardExamples(CrossEntropy(), threshold=0.0)", "CrossEntropy()"),
            ("HardExamples(CrossEntropy(), threshold=1000.0, least=0.25)", "TopK(CrossEntropy(), fraction=0.25)"),
        ),
        aliases=("OHEM", "online hard example mining"),
        note="Shrivastava et al. mine regions of a detector, a fixed number for each image and without a threshold:"
        " TopK(over='image') there. The threshold came with segmentation (wu2016bridging).",
    )

    @classmethod
    def examples(cls):
        return [cls(parse("CrossEntropy()")), cls(parse("CrossEntropy()"), threshold=1.0, least=0.5, over="image")]

    def check(self) -> None:
        super().check()
        if self.least == 0:
            raise FieldError("HardExamples: least is 0, and nothing might be left to learn from; say a small share")
        refuse_totals(self)

    def formula(self, value: Tensor) -> Tensor:
        return value

    @property
    def reach(self) -> Reach:
        return farther(self.loss.reach, self.over)

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = in_rows(self.loss.measure(prepared), self.over)
        hard = (value.detach() > self.threshold).to(value)
        return Terms(value, weight * hard.maximum(hardest(value, weight, self.least)))
