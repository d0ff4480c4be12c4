"""Sensitivity-specificity: the errors among what is there and among what is not, each in its own proportion."""

from collections.abc import Sequence

from torch import Tensor

from whichloss.core import Card, Counts, RegionLoss, choice, fraction
from whichloss.core.lift import Lift
from whichloss.core.lifts.region import RegionSums


class SensitivitySpecificity(RegionLoss):
    r"""The error rate of the foreground and that of the background, weighed against each other.

    $$\ell = r\,\frac{\sum (y - p)^2 y}{\sum y} + (1 - r)\,\frac{\sum (y - p)^2 (1 - y)}{\sum (1 - y)}$$

    r: weight of the sensitivity error, 0.05 in Brosch's work, where lesions are rare. With errors="linear" it is one
    minus the weighted mean of soft sensitivity and specificity, the score that the survey prints.
    """

    weight: float = fraction(0.05)
    errors: str = choice("squared", "linear")

    card = Card(
        source="brosch2015deep",
        equation="(4)",
        range=(0.0, 1.0),
        smooth=True,
        convex=False,
        golden={(8.0, 0.0, 2.0): 0.05 * 0.2, (6.0, 0.0, 0.0): 0.0},
        note="Yuan (15) prints the score as if it were the loss: minimised, it rewards errors. NiftyNet and SegLoss"
        " name the two parts the wrong way round, so that their r weighs sensitivity as here.",
        peers={"SegLoss": "SSLoss", "NiftyNet": "sensitivity_specificity_loss"},
    )

    @classmethod
    def examples(cls):
        return [cls(), cls(weight=0.5, errors="linear")]

    def needs(self) -> Sequence[Lift]:
        return (RegionSums(self.classes, squared=self.errors == "squared"),)

    def formula(self, n: Counts) -> Tensor:
        missed = n.fn / (n.tp + n.fn).clamp_min(1e-12)
        false = n.fp / (n.fp + n.tn).clamp_min(1e-12)
        return self.weight * missed + (1 - self.weight) * false
