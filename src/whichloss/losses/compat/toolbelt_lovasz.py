"""pytorch-toolbelt's LovaszLoss."""

from whichloss.core import Card, Loss, PresetLoss, choice
from whichloss.losses.region.lovasz_softmax import LovaszSoftmax


class ToolbeltLovasz(PresetLoss):
    r"""`LovaszLoss()` of logits: over the batch, the mean over the classes that are present.

    $$\ell = \frac{1}{|\mathrm{present}|} \sum_{c\ \mathrm{present}} \bar\Delta_{J_c}(m(c))$$
    """

    classes: str = choice("exclusive")

    card = Card(
        source="toolbelt",
        equation="its code",
        smooth=False,
        convex=True,
        equals=(("ToolbeltLovasz()", "SmpLovasz()"),),
        peers={"pytorch-toolbelt": "LovaszLoss"},
        note="toolbelt takes probabilities here, where smp takes logits. BinaryLovaszLoss is SmpBinaryLovasz.",
    )

    def meaning(self) -> Loss:
        return LovaszSoftmax(over="batch", empty="skip")
