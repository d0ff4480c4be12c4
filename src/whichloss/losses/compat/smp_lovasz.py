"""segmentation_models.pytorch's LovaszLoss of several classes."""

from whichloss.core import Card, Loss, PresetLoss, choice
from whichloss.losses.region.lovasz_softmax import LovaszSoftmax


class SmpLovasz(PresetLoss):
    r"""`LovaszLoss(mode="multiclass")`: over the batch, the mean over the classes that are present.

    $$\ell = \frac{1}{|\mathrm{present}|} \sum_{c\ \mathrm{present}} \bar\Delta_{J_c}(m(c))$$
    """

    classes: str = choice("exclusive")

    card = Card(
        source="smp",
        equation="its code",
        smooth=False,
        convex=True,
        peers={"smp": 'LovaszLoss(mode="multiclass")'},
        note="per_image=True takes the mean over the classes of each image, and then over images: an image with few"
        " classes has as much say as one with many. It is not here; LovaszSoftmax(over='image') has a term for each.",
    )

    def meaning(self) -> Loss:
        return LovaszSoftmax(over="batch", empty="skip")
