"""torch.nn's MultiMarginLoss."""

from torch import Tensor

from whichloss.core import Card, MarginLoss, choice, number, positive


class TorchMultiMargin(MarginLoss):
    r"""The hinge against each rival, divided by the number of classes, not of rivals.

    $$\ell = \frac{1}{C} \sum_{k \ne y} \max(0, \mathit{margin} - u_y + u_k)^p$$
    """

    p: float = number(1.0, low=1.0)  # torch has 1 and 2
    margin: float = positive(1.0)
    lift: str = choice("each_rival")

    card = Card(
        source="torch",
        equation="MultiMarginLoss",
        smooth=False,
        convex=True,
        easy=1.0,
        golden={(1.0,): 0.0, (0.0,): 1.0, (-1.0,): 2.0},
        peers={"torch.nn": "MultiMarginLoss"},
        note="torch takes (N, C) only; here it is dense too.",
    )

    def formula(self, margin: Tensor) -> Tensor:
        gap = (self.margin - margin).clamp_min(0)
        return gap if self.p == 1 else gap**self.p

    def times(self, asked: int) -> float:
        return asked / (asked + 1)  # rivals, over classes
