"""segmentation_models.pytorch's LovaszLoss of one output."""

from whichloss.core import Card, Loss, PresetLoss, choice, flag
from whichloss.losses.region.lovasz_hinge import LovaszHinge


class SmpBinaryLovasz(PresetLoss):
    r"""`LovaszLoss(mode="binary")`: the Lovasz hinge over the batch, or per image.

    $$\ell = \bar\Delta_J(m), \qquad m_i = \max(0, 1 - y_i u_i)$$
    """

    per_image: bool = flag(False)
    classes: str = choice("independent")

    card = Card(
        source="smp",
        equation="its code",
        smooth=False,
        convex=True,
        peers={"smp": 'LovaszLoss(mode="binary")'},
        note='mode="multilabel" makes one region of all channels; here each is its own.',
    )

    def meaning(self) -> Loss:
        return LovaszHinge(over="image" if self.per_image else "batch")
