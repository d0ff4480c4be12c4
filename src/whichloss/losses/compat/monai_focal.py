"""MONAI's FocalLoss as it is by default: with a sigmoid."""

from whichloss.core import Card, Loss, PresetLoss, choice, fraction, nonnegative
from whichloss.losses.likelihood.focal import Focal


class MonaiFocal(PresetLoss):
    r"""`FocalLoss()`: a yes/no question for each class, also where classes exclude each other.

    $$\ell = \frac{1}{C} \sum_k -\alpha_{y_k} (1 - p_{y_k})^\gamma \ln p_{y_k}$$

    Targets are (N, C, *S), and one-hot where MONAI has `to_onehot_y=True`. `use_softmax=True` is `MonaiSoftmaxFocal`.
    """

    gamma: float = nonnegative(2.0)
    alpha: float | None = fraction(None, optional=True)  # of a yes; 1 - alpha of a no
    classes: str = choice("independent")

    card = Card(
        source="monai",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"MONAI": "FocalLoss"},
        note="For hard labels; soft ones are mixed within the power. Its ignore_index makes the mean C times as large.",
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(alpha=0.25)]

    def meaning(self) -> Loss:
        return Focal(gamma=self.gamma, alpha=self.alpha)
