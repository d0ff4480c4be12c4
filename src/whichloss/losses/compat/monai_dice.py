"""MONAI's DiceLoss."""

from whichloss.core import Card, Loss, PresetLoss, flag, nonnegative
from whichloss.losses.region.dice import Dice
from whichloss.losses.region.jaccard import Jaccard


class MonaiDice(PresetLoss):
    r"""`DiceLoss(sigmoid=True)`, or `(softmax=True, to_onehot_y=True)`: per image and class, then the mean.

    $$\ell = 1 - \frac{2\,TP + s}{2\,TP + FP + FN + s}, \qquad s = 10^{-5}$$

    With jaccard=True, FP and FN count twice.
    """

    jaccard: bool = flag(False)
    batch: bool = flag(False)
    include_background: bool = flag(True)
    smooth: float = nonnegative(1e-5)  # smooth_nr and smooth_dr

    card = Card(
        source="monai",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"MONAI": "DiceLoss"},
        note="With so small a smooth a class without target is almost a step: a slope of 6e6 at 0, and none elsewhere.",
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(jaccard=True)]

    def meaning(self) -> Loss:
        overlap = Jaccard if self.jaccard else Dice
        over = "batch" if self.batch else "image"
        return overlap(over=over, smooth=self.smooth / 2, background=self.include_background)
