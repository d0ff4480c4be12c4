"""Savage loss: bounded by 1, so that a hopeless case is given up."""

from torch import Tensor

from whichloss.core import Card, MarginLoss, choice


class Savage(MarginLoss):
    r"""The square of the probability that the link gives to the wrong answer.

    $$\ell(m) = \frac{1}{(1 + e^{2m})^2} \text{ (half\_log\_odds)}, \qquad \frac{1}{(1 + e^{m})^2} \text{ (log\_odds)}$$

    Redescending: beyond a few units on the wrong side a case hardly pulls any more. The two forms differ by the link:
    the margin is half the log-odds of the answer (SavageBoost), or the log-odds (many later sources).
    """

    margin_is: str = choice("half_log_odds", "log_odds")

    card = Card(
        source="masnadi2008design",
        equation="Savage loss",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(0.0,): 0.25, (0.5493061443340549,): 1 / 16, (-0.5493061443340549,): 9 / 16},
        note="Paper 000 cites one work for Savage and Tangent; Savage is NIPS 2008, Tangent is CVPR 2010.",
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(margin_is="log_odds")]

    def formula(self, margin: Tensor) -> Tensor:
        return (-self._log_odds(margin)).sigmoid().square()

    def link(self, margin: Tensor) -> Tensor:
        return self._log_odds(margin).sigmoid()

    def _log_odds(self, margin: Tensor) -> Tensor:
        return 2 * margin if self.margin_is == "half_log_odds" else margin
