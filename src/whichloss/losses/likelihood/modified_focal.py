"""Modified focal loss: focus on what is rare by turning away from easy background alone."""

from math import inf, log

import torch
from torch import Tensor

from whichloss.core import Alternatives, Card, DistributionLoss, choice, fraction, nonnegative

from .focal import modulation


class ModifiedFocal(DistributionLoss):
    r"""The cross-entropy part of the unified focal loss: a price for foreground, a focus for background.

    $$\ell = -\delta \ln p_y \text{ of foreground}, \qquad
    -(1 - \delta) (1 - p_y)^\gamma \ln p_y \text{ of background}$$

    Background is class 0, or a no. Easy background fades as in the focal loss, and foreground keeps the whole slope of
    cross-entropy, where the focal loss would quieten it, too. suppress="all": both fade, the symmetric form, which is
    the focal loss with alpha = delta. The unified focal loss adds a Tversky part to it.
    """

    delta: float = fraction(0.6)  # price of foreground; background has the rest
    gamma: float = nonnegative(0.5)  # how soon what is easy fades
    suppress: str = choice("background", "all")

    background_first = True

    card = Card(
        source="yeung2022unified",
        equation="modified asymmetric focal loss",
        range=(0.0, inf),
        smooth=True,
        convex=False,
        golden={
            (log(0.5), 1.0): 0.6 * log(2),
            (log(0.75), 0.0): 0.4 * 0.5 * log(4 / 3),
            (0.0, 0.0): 0.0,
            (0.0, 1.0): 0.0,
        },
        equals=(
            (
                "ModifiedFocal(suppress='all', delta=0.25, gamma=2.0, classes='independent')",
                "Focal(gamma=2.0, alpha=0.25, classes='independent')",
            ),
            (
                "ModifiedFocal(delta=0.5, gamma=4.0, classes='independent')",
                "0.5 * Asymmetric(gamma_pos=0.0, gamma_neg=4.0, clip=0.0, classes='independent')",
            ),
            ("ModifiedFocal(delta=0.5, gamma=0.0)", "0.5 * CrossEntropy()"),
        ),
        aliases=("asymmetric focal loss", "symmetric focal loss (suppress='all')"),
        note="The authors' code, whose symbols these are, knows two classes and is the mean over voxels, as here; MONAI"
        " 1.6.1 takes the mean over voxels and the two classes, which is half of it.",
        peers={"MONAI": "AsymmetricFocalLoss", "unified-focal-loss": "asymmetric_focal_loss, symmetric_focal_loss"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(suppress="all"), cls(delta=0.7, gamma=2.0)]

    def values(self, seen: Alternatives) -> Tensor:
        foreground = torch.ones_like(seen.log_p)
        foreground[:, :, 0] = 0
        return self.formula(seen.log_p, foreground)

    def formula(self, log_p: Tensor, foreground: Tensor) -> Tensor:
        """log_p: log-probability of the truth. foreground: 1 where that is foreground, 0 where it is background."""
        eased = modulation(log_p, self.gamma)
        rare = eased if self.suppress == "all" else torch.ones_like(eased)
        return -torch.where(foreground > 0, self.delta * rare, (1 - self.delta) * eased) * log_p
