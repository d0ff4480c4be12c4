"""Hinge: the loss of support vector machines."""

from math import inf

from torch import Tensor

from whichloss.core import Card, MarginLoss


class Hinge(MarginLoss):
    r"""Zero for cases beyond margin 1, linear below.

    $$\ell(m) = \max(0, 1 - m)$$

    Cases beyond the margin teach nothing; all others pull with the same force. The corner at 1 has no slope.
    """

    card = Card(
        source="dierauf2016comparing",
        equation="(1)",
        range=(0.0, inf),
        smooth=False,
        convex=True,
        easy=1.0,
        golden={(-1.0,): 2.0, (0.0,): 1.0, (0.5,): 0.5, (1.0,): 0.0, (3.0,): 0.0},
        equals=(("Hinge(lift='top_rival', per_class='sum')", "Hinge(lift='top_rival')"),),
        aliases=("SVM loss", "L1-SVM", "rank loss (lift='ranking')", "pairwise AUC loss (lift='ranking')"),
        note="(1) prints the score of the true class for every k; a sum over k needs the score of class k.",
        peers={"Keras": "Hinge", "optax": "hinge_loss", "LibAUC": "hinge_loss"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(lift="top_rival"), cls(lift="ranking")]

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0)
