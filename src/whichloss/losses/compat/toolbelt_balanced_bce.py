"""pytorch-toolbelt's BalancedBCEWithLogitsLoss."""

from whichloss.core import Card, Loss, PresetLoss
from whichloss.losses.likelihood.balanced_cross_entropy import BalancedCrossEntropy


class ToolbeltBalancedBCE(PresetLoss):
    r"""`BalancedBCEWithLogitsLoss()` of one output: yes weighs by the share of no in the batch, and no by that of yes.

    $$\ell = -(\beta y \ln p + (1 - \beta)(1 - y) \ln(1 - p)), \qquad \beta = 1 - \operatorname{mean}(y)$$
    """

    card = Card(
        source="toolbelt",
        equation="its code",
        smooth=True,
        convex=True,
        peers={"pytorch-toolbelt": "BalancedBCEWithLogitsLoss"},
        note="Several outputs share one beta there, and have one each here. Its gamma, which acts twice, is 1 here."
        " A batch without foreground teaches nothing.",
    )

    def meaning(self) -> Loss:
        return BalancedCrossEntropy(over="batch")
