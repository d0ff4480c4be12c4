"""MONAI's TverskyLoss."""

from whichloss.core import Card, Loss, PresetLoss, flag, nonnegative, positive
from whichloss.losses.region.tversky import Tversky


class MonaiTversky(PresetLoss):
    r"""`TverskyLoss(sigmoid=True)`, or `(softmax=True, to_onehot_y=True)`: per image and class, then the mean.

    $$\ell = 1 - \frac{TP + s}{TP + \alpha\,FP + \beta\,FN + s}, \qquad s = 10^{-5}$$
    """

    alpha: float = positive(0.5)  # price of a false positive
    beta: float = positive(0.5)  # price of a false negative
    batch: bool = flag(False)
    include_background: bool = flag(True)
    smooth: float = nonnegative(1e-5)  # smooth_nr and smooth_dr

    card = Card(
        source="monai",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"MONAI": "TverskyLoss"},
        note="The same smooth counts twice what it does in MONAI's DiceLoss, where it stands beside 2 TP.",
    )

    def meaning(self) -> Loss:
        over = "batch" if self.batch else "image"
        return Tversky(fp=self.alpha, fn=self.beta, over=over, smooth=self.smooth, background=self.include_background)
