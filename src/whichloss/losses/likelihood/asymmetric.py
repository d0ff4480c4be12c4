"""Asymmetric loss: a yes among many no is not drowned by them."""

from math import inf, log

import torch
from torch import Tensor

from whichloss.core import Alternatives, Card, DistributionLoss, UserError, fraction, nonnegative

from .focal import modulation


class Asymmetric(DistributionLoss):
    r"""Focal loss of yes/no questions, with a focus for each answer, and no that is nearly right for nothing.

    $$\ell = -y (1 - p)^{\gamma_+} \ln p - (1 - y)\, p_m^{\gamma_-} \ln(1 - p_m), \qquad
    p_m = \max(p - \mathit{clip}, 0)$$

    A no with p below the clip costs nothing and teaches nothing, and one with p a little above hardly does; so a few
    yes outweigh many easy no, and a no that is surely wrong, perhaps by its label, is eased at the same time. Of
    classes that exclude each other only the truth would count: that is `Focal(gamma=gamma_pos)`, and is refused here.
    """

    gamma_pos: float = nonnegative(1.0)  # focus of a yes
    gamma_neg: float = nonnegative(4.0)  # focus of a no
    clip: float = fraction(0.05)  # the paper's m: probability up to which a no is right

    card = Card(
        source="ridnik2021asymmetric",
        equation="definition of ASL",
        range=(0.0, inf),
        smooth=True,
        convex=False,
        golden={
            (log(0.5), 1.0): 0.5 * log(2),
            (log(0.25), 1.0): 0.75 * log(4),
            (log(0.45), 0.0): 0.0625 * log(2),
            (log(0.95), 0.0): 0.0,
            (0.0, 0.0): 0.0,
        },
        equals=(
            (
                "Asymmetric(gamma_pos=2.0, gamma_neg=2.0, clip=0.0, classes='independent')",
                "Focal(gamma=2.0, classes='independent')",
            ),
            (
                "Asymmetric(gamma_pos=0.0, gamma_neg=0.0, clip=0.0, classes='independent')",
                "CrossEntropy(classes='independent')",
            ),
        ),
        aliases=("ASL",),
        note="These are the defaults of the authors' code, which takes the sum over all questions where this is their"
        " mean. It keeps p above 1e-8, which is 0 in float16: infinite at a logit of -20.",
        peers={"timm": "AsymmetricLossMultiLabel"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(gamma_pos=0.0), cls(gamma_pos=0.5, gamma_neg=0.5, clip=0.0)]

    def values(self, seen: Alternatives) -> Tensor:
        if not seen.binary:
            raise UserError(
                f"{self.label} prices a yes otherwise than a no, and exclusive classes have neither: of these it would"
                f' be Focal(gamma={self.gamma_pos!r}); or say classes="independent"'
            )
        no, yes = seen.log_p.unbind(2)
        return torch.stack([self.formula(no, torch.zeros_like(no)), self.formula(yes, torch.ones_like(yes))], 2)

    def formula(self, log_p: Tensor, yes: Tensor) -> Tensor:
        """log_p: log-probability of the truth. yes: 1 where that is a yes, 0 where it is a no."""
        no = log_p if self.clip == 0 else torch.logaddexp(log_p, log_p.new_tensor(log(self.clip))).clamp_max(0)
        cost_of_yes, cost_of_no = -modulation(log_p, self.gamma_pos) * log_p, -modulation(no, self.gamma_neg) * no
        return torch.where(yes > 0, cost_of_yes, cost_of_no)
