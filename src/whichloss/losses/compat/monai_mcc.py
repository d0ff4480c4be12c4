"""MONAI's MCCLoss, without its smooth."""

from whichloss.core import Card, Loss, PresetLoss, flag
from whichloss.losses.region.mcc import MCC


class MonaiMCC(PresetLoss):
    r"""`MCCLoss(sigmoid=True, smooth_dr=0)`, or `(softmax=True, to_onehot_y=True)`: per image and class, then the mean.

    $$\ell = 1 - \frac{TP\,TN - FP\,FN}{\sqrt{(TP + FP)(TP + FN)(TN + FP)(TN + FN)}}$$

    A class without target costs 1, whatever is found, or 0 where nothing is, and teaches nothing.
    """

    batch: bool = flag(False)
    include_background: bool = flag(True)

    card = Card(
        source="monai",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"MONAI": "MCCLoss"},
        note="MONAI adds 1e-5 under the root, a product of four sums, which is felt in images of a few voxels; without"
        " it a class without target is NaN there.",
    )

    def meaning(self) -> Loss:
        return MCC(over="batch" if self.batch else "image", smooth=0.0, background=self.include_background)
