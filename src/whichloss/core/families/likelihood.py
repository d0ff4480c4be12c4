"""Likelihood losses: a function of the log-probability of the truth."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import UserError
from ..fields import choice
from ..lift import Lift
from ..lifts.averaged import Averaged
from ..lifts.log_probability import Answers, LogProbability
from ..loss import Axis, Loss
from ..prepare import Prepared
from ..terms import Terms, average

Prices = tuple[float | Tensor, float | Tensor]  # of a yes, of a no; tensors of shape (N or 1, C, *S or ones)


class LikelihoodLoss(Loss):
    """Sees the log-probability of the truth. `formula` is a function of one number."""

    classes: str = choice("auto", "exclusive", "independent")

    axis = Axis("log-probability of the truth", -4.0, -0.01)

    @abstractmethod
    def formula(self, log_p: Tensor) -> Tensor: ...

    def prices(self, answers: Answers) -> Prices | None:
        """What a yes and a no are multiplied by where classes are independent; never divided out. None: by nothing."""
        return None

    def least(self, truth: Tensor) -> Tensor | None:
        """What no prediction could save on an answer of this proportion in the truth; None: nothing is taken off."""
        return None

    @property
    def focus(self) -> float | None:
        """Gamma, where the formula is -(1 - p)^gamma log p, which kernels know by this number; None: it is another."""
        return None

    def needs(self) -> Sequence[Lift]:
        return (LogProbability(self.classes),)

    def needs_of_mean(self) -> Sequence[Lift]:
        # who measures in a way of one's own may look at all elements together
        return (Averaged(self.classes, self),) if type(self).measure is LikelihoodLoss.measure else self.lifts

    def mean(self, prepared: Prepared) -> Tensor:
        if self.lifts_of_mean == self.lifts:
            return super().mean(prepared)
        return prepared[self.lifts_of_mean[0]]

    def measure(self, prepared: Prepared) -> Terms:
        answers: Answers = prepared[self.lifts[0]]
        # what has no say must not send NaN backwards
        value = self.formula(torch.where(answers.share > 0, answers.log_p, -1.0))
        least = self.least(torch.where(answers.share > 0, answers.truth, 1.0))
        value = value if least is None else value - least
        prices = self.prices(answers)
        if prices is not None:
            if not answers.yes:
                raise UserError(
                    f"{self.label} weighs yes against no, and exclusive classes have neither:"
                    ' weigh classes with a weight map (N, C, *S), or say classes="independent"'
                )
            value = torch.cat([prices[0] * value[:, : answers.yes], prices[1] * value[:, answers.yes :]], 1)
        return average(value, answers.share)
