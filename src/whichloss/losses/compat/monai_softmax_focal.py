"""MONAI's FocalLoss with a softmax."""

from collections.abc import Sequence

from whichloss.core import Card, Loss, PresetLoss, choice, count, nonnegative
from whichloss.losses.likelihood.focal import Focal


class MonaiSoftmaxFocal(PresetLoss):
    r"""`FocalLoss(use_softmax=True, to_onehot_y=True)`: the mean over voxels and classes, of which one is not zero.

    $$\ell = -\frac{1}{C} (1 - p_y)^\gamma \ln p_y$$
    """

    num_classes: int = count(low=2)  # C, the number of outputs of the network
    gamma: float = nonnegative(2.0)
    classes: str = choice("exclusive")

    card = Card(
        source="monai",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"MONAI": "FocalLoss(use_softmax=True)"},
        note="A C-th of the paper's loss. Its alpha (1 - alpha for class 0) and include_background=False (a softmax"
        " without class 0) are not here.",
    )

    @classmethod
    def examples(cls) -> Sequence[Loss]:
        return [cls(num_classes=3)]

    def meaning(self) -> Loss:
        return (1 / self.num_classes) * Focal(gamma=self.gamma)
