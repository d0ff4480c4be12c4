"""segmentation_models.pytorch's FocalLoss."""

from whichloss.core import Card, Loss, PresetLoss, choice, fraction, nonnegative
from whichloss.losses.likelihood.focal import Focal


class SmpFocal(PresetLoss):
    r"""A yes/no question for each class, in all of its modes: "binary", "multilabel" and "multiclass".

    $$\ell = \frac{1}{C} \sum_k -\alpha_{y_k} (1 - p_{y_k})^\gamma \ln p_{y_k}$$

    Targets are (N, C, *S), and one-hot where smp has mode="multiclass".
    """

    gamma: float = nonnegative(2.0)
    alpha: float | None = fraction(None, optional=True)  # of a yes; 1 - alpha of a no
    classes: str = choice("independent")

    card = Card(
        source="smp",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"smp": "FocalLoss"},
        note='For hard labels. from_logits=False in mode="multiclass" (a sigmoid of log-probabilities) is not here.',
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(alpha=0.25)]

    def meaning(self) -> Loss:
        return Focal(gamma=self.gamma, alpha=self.alpha)
