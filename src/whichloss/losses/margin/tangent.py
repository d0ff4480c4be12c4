"""Tangent loss: bounded, so that a hopeless case is given up."""

from math import atan, pi

from torch import Tensor

from whichloss.core import Card, MarginLoss, choice


class Tangent(MarginLoss):
    r"""Bounded margin loss: beyond a few units on the wrong side a case hardly pulls any more.

    $$\ell(m) = (\arctan m - \pi/4)^2 \text{ if } m \le 1, \quad 0 \text{ otherwise} \qquad \text{(modified)}$$
    $$\ell(m) = (2 \arctan m - 1)^2 \qquad \text{(original)}$$

    The modified form is zero from margin 1 on. The original has its zero at $\tan(1/2) = 0.546$ and charges
    $(\pi - 1)^2$ for being far too right. Both abandon hard positives early: the slope peaks inside the doubtful zone.
    """

    form: str = choice("modified", "original")

    card = Card(
        source="barbu2018robust",
        equation="(8)",
        range=(0.0, (3 * pi / 4) ** 2),
        smooth=True,
        convex=False,
        easy=1.0,
        golden={(0.0,): (pi / 4) ** 2, (-1.0,): (pi / 2) ** 2, (1.0,): 0.0, (2.0,): 0.0},
        note="(8) drops the factor 4 of the original (masnadi2010design), so their scales differ. The paper cites one"
        " work for Savage (NIPS 2008) and Tangent (CVPR 2010); they are two.",
    )

    @property
    def formula_range(self) -> tuple[float, float]:
        return self.card.range if self.form == "modified" else (0.0, (pi + 1) ** 2)

    @classmethod
    def examples(cls):
        return [cls(), cls(form="original")]

    def formula(self, margin: Tensor) -> Tensor:
        if self.form == "original":
            return (2 * margin.atan() - 1).square()
        return (margin.clamp_max(1).atan() - atan(1)).square()

    def link(self, margin: Tensor) -> Tensor:
        """Where the slopes of yes and no balance: p l'(m) = (1 - p) l'(-m)."""
        if self.form == "original":
            return (margin.atan() + 0.5).clamp(0, 1)
        return 0.5 + margin.clamp(-1, 1).atan() * 2 / pi
