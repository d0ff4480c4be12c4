"""kornia's FocalLoss."""

from collections.abc import Sequence

from whichloss.core import Card, Loss, PresetLoss, choice, count, nonnegative
from whichloss.losses.likelihood.focal import Focal


class KorniaFocal(PresetLoss):
    r"""`FocalLoss(alpha=None, reduction="mean")`: the mean over voxels and classes, of which one is not zero.

    $$\ell = -\frac{1}{C} (1 - p_y)^\gamma \ln p_y$$
    """

    num_classes: int = count(low=2)  # C, the number of outputs of the network
    gamma: float = nonnegative(2.0)
    classes: str = choice("exclusive")

    card = Card(
        source="kornia",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"kornia": "FocalLoss"},
        note="A C-th of the paper's loss. alpha (1 - alpha for class 0) is not here; ignored voxels count in the mean.",
    )

    @classmethod
    def examples(cls) -> Sequence[Loss]:
        return [cls(num_classes=3)]

    def meaning(self) -> Loss:
        return (1 / self.num_classes) * Focal(gamma=self.gamma)
