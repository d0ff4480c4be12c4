"""MONAI's GeneralizedDiceLoss, without its smooth."""

from whichloss.core import Card, Loss, PresetLoss, choice, flag
from whichloss.losses.region.generalized_dice import GeneralizedDice


class MonaiGeneralizedDice(PresetLoss):
    r"""`GeneralizedDiceLoss(smooth_nr=0, smooth_dr=0)`, with `sigmoid=True` or `(softmax=True, to_onehot_y=True)`.

    $$\ell = 1 - \frac{2 \sum_c w_c\,TP_c}{\sum_c w_c (2\,TP_c + FP_c + FN_c)}, \qquad w_c = 1/V_c^2$$

    An absent class gets the largest weight of those that are present; where none is, the loss is 0 and teaches nothing.
    """

    w_type: str = choice("square", "simple", "uniform")
    batch: bool = flag(False)
    include_background: bool = flag(True)

    card = Card(
        source="monai",
        equation="its code",
        smooth=True,
        convex=False,
        peers={"MONAI": "GeneralizedDiceLoss"},
        note="MONAI adds 1e-5 beside w TP, where w is 1e-6 for a class of 1000 voxels: it counts more, the larger the"
        " classes are. Without it, MONAI has NaN where no class is present, and 0 with it.",
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(w_type="uniform")]

    def meaning(self) -> Loss:
        return GeneralizedDice(
            weighting=self.w_type,
            over="batch" if self.batch else "image",
            background=self.include_background,
            smooth=0.0,
            empty="formula" if self.w_type == "uniform" else "zero",
        )
