"""Modified focal Tversky: the overlap part of the unified focal loss."""

import torch
from torch import Tensor

from whichloss.core import Card, Counts, RegionLoss, choice, fraction, number
from whichloss.losses.wrap.focal_power import power


class ModifiedFocalTversky(RegionLoss):
    r"""Tversky of each class, to a power that enhances foreground, and not background.

    $$\ell = (1 - T)^{1 - \gamma} \text{ of foreground}, \qquad 1 - T \text{ of background}, \qquad
    T = \frac{TP}{TP + \delta\,FN + (1 - \delta)\,FP}$$

    Background is class 0 of classes that exclude each other. The power keeps a slope for a foreground that is nearly
    right. enhance="all": a power for both, the symmetric form. With a modified focal loss it is the unified focal loss
    of one weight, one delta and one gamma: 0.5 * ModifiedFocal() + 0.5 * ModifiedFocalTversky().
    """

    delta: float = fraction(0.6)  # price of a false negative; a false positive costs the rest
    gamma: float = number(0.5, low=0.0, high=1.0)
    enhance: str = choice("foreground", "all")

    background_first = True

    card = Card(
        source="yeung2022unified",
        equation="modified asymmetric focal Tversky loss",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(3.0, 2.5, 0.0): 0.5, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0},
        equals=(
            (
                "ModifiedFocalTversky(enhance='all', delta=0.75, gamma=0.25)",
                "FocalPower(Tversky(fp=0.25, fn=0.75), exponent=0.75)",
            ),
            ("ModifiedFocalTversky(gamma=0.0, delta=0.5)", "Dice()"),
        ),
        aliases=(
            "asymmetric focal Tversky loss",
            "unified focal loss: 0.5 * ModifiedFocal() + 0.5 * ModifiedFocalTversky()",
        ),
        note="Both codes are of two classes. MONAI takes probabilities, whatever it says, and the mean over the classes"
        " of its focal part, half of ModifiedFocal: its sum is 0.25 * ModifiedFocal(delta=0.7) + 0.5 *"
        " ModifiedFocalTversky(delta=0.7). The weight is that of this part with the authors, of the other in MONAI.",
        peers={
            "MONAI": "AsymmetricUnifiedFocalLoss",
            "unified-focal-loss": "asymmetric_focal_tversky_loss, asym_unified_focal_loss",
        },
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(enhance="all"), cls(delta=0.7, gamma=0.75, over="batch")]

    def formula(self, n: Counts) -> Tensor:
        value = 1 - n.tp / (n.tp + self.delta * n.fn + (1 - self.delta) * n.fp)
        raised = power(value, 1 - self.gamma)
        classes = value.shape[-1]
        if self.enhance == "all" or not self.background or classes == 1 or self.classes == "independent":
            return raised
        return torch.where(torch.arange(classes, device=value.device) == 0, value, raised)
