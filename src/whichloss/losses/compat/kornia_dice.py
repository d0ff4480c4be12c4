"""kornia's DiceLoss."""

from whichloss.core import Card, Loss, PresetLoss, choice
from whichloss.losses.region.generalized_dice import GeneralizedDice


class KorniaDice(PresetLoss):
    r"""`DiceLoss(average="micro")`, its default: one overlap of all classes of an image, which is its mean $p_y$.

    $$\ell = 1 - \frac{2 \sum_c TP_c}{\sum_c 2\,TP_c + FP_c + FN_c} = 1 - \operatorname{mean} p_y$$
    """

    classes: str = choice("exclusive")

    card = Card(
        source="kornia",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"kornia": "DiceLoss"},
        equals=(("KorniaDice()", "GeneralizedCrossEntropy(q=1.0)"),),
        note="So it is the absolute error, and no overlap: a large class outweighs a small one. kornia takes 2-D"
        ' images, and adds 1e-8 to the denominator. average="macro" (over classes, then over images) is not here.',
    )

    def meaning(self) -> Loss:
        return GeneralizedDice(weighting="uniform", smooth=0.0)
