"""segmentation_models.pytorch's TverskyLoss."""

from whichloss.core import Card, Loss, PresetLoss, nonnegative, positive
from whichloss.losses.region.tversky import Tversky
from whichloss.losses.wrap.focal_power import FocalPower


class SmpTversky(PresetLoss):
    r"""Over the batch, always; a class without target costs nothing. The power is of the mean over the classes.

    $$\ell = \Big(\frac{1}{C} \sum_{c\ \mathrm{present}} \ell_c\Big)^\gamma, \qquad
    \ell_c = 1 - \frac{TP + s}{TP + \alpha\,FP + \beta\,FN + s}$$
    """

    alpha: float = positive(0.5)  # price of a false positive
    beta: float = positive(0.5)  # price of a false negative
    gamma: float = positive(1.0)
    smooth: float = nonnegative(0.0)

    card = Card(
        source="smp",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"smp": "TverskyLoss"},
        note="The focal Tversky loss has a power for each class. For hard labels, as SmpJaccard.",
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(gamma=0.75)]

    def meaning(self) -> Loss:
        half = 0.5 * Tversky(fp=self.alpha, fn=self.beta, over="batch", smooth=self.smooth, empty="zero")
        return FocalPower(half + half, exponent=self.gamma)  # a sum has one term: its power is that of the mean
