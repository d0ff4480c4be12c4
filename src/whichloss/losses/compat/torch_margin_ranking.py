"""torch.nn's MarginRankingLoss."""

from math import inf

from torch import Tensor

from whichloss.core import Card, MarginLoss, choice, nonnegative


class TorchMarginRanking(MarginLoss):
    r"""The hinge of the difference of two scores, over all pairs of a higher and a lower target.

    $$\ell = \max(0, \mathit{margin} - (u_i - u_j)), \qquad y_i > y_j$$

    With the default margin of 0 a constant score is a minimum: give a margin, or take `Hinge(lift="ranking")`.
    """

    margin: float = nonnegative(0.0)
    lift: str = choice("ranking")

    results_version = 2  # several rankings count alike, whatever their numbers of pairs

    card = Card(
        source="torch",
        equation="MarginRankingLoss",
        range=(0.0, inf),
        smooth=False,
        convex=True,
        easy=0.0,
        golden={(1.0,): 0.0, (-1.0,): 1.0, (-2.5,): 2.5},
        equals=(("TorchMarginRanking(margin=1.0)", 'Hinge(lift="ranking")'),),
        aliases=("rank loss", "margin ranking"),
        peers={"torch.nn": "MarginRankingLoss"},
        note="torch is given the pairs; here they are all those of the batch.",
    )

    def formula(self, margin: Tensor) -> Tensor:
        return (self.margin - margin).clamp_min(0)
