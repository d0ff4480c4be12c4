"""MONAI's AsymmetricUnifiedFocalLoss, of probabilities that are the softmax of logits."""

from whichloss.core import Card, Loss, PresetLoss, choice, fraction, number
from whichloss.losses.likelihood.modified_focal import ModifiedFocal
from whichloss.losses.region.modified_focal_tversky import ModifiedFocalTversky


class MonaiUnifiedFocal(PresetLoss):
    r"""Half of the modified focal loss, its mean over two classes, and the modified focal Tversky loss.

    $$\ell = \frac{w}{2}\,\mathrm{ModifiedFocal} + (1 - w)\,\mathrm{ModifiedFocalTversky}$$

    The unified focal loss of its authors has no half, and a w for the Tversky part.
    """

    weight: float = fraction(0.5)
    gamma: float = number(0.5, low=0.0, high=1.0)
    delta: float = fraction(0.7)
    classes: str = choice("exclusive")

    card = Card(
        source="monai",
        equation="its code",
        smooth=True,
        convex=False,
        equals=(
            (
                "MonaiUnifiedFocal(weight=0.25, delta=0.6)",
                "0.125 * ModifiedFocal() + 0.75 * ModifiedFocalTversky(smooth=1e-7)",
            ),
        ),
        aliases=("unified focal loss",),
        peers={"MONAI": "AsymmetricUnifiedFocalLoss"},
        note="MONAI says that it takes logits and applies a sigmoid, and applies none: of logits, which it clamps to 0"
        " and 1, it has no gradient. It is for two classes. 1.5 had the sum over them, twice this focal part.",
    )

    def meaning(self) -> Loss:
        focal = ModifiedFocal(delta=self.delta, gamma=self.gamma)
        tversky = ModifiedFocalTversky(delta=self.delta, gamma=self.gamma, smooth=1e-7)
        if self.weight in (0, 1):
            return 0.5 * focal if self.weight else tversky
        return 0.5 * self.weight * focal + (1 - self.weight) * tversky
