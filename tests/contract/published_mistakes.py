"""Mistakes that were published, in a paper or in a library, each ported with nothing else wrong.

The docstring says where the mistake stands; the card says what is true, so that a promise can turn the loss down.
"""

from dataclasses import dataclass
from math import inf, log

import torch
import torch.nn.functional as F
from torch import Tensor

from whichloss.core import (
    Card,
    Counts,
    LikelihoodLoss,
    Loss,
    MarginLoss,
    RegionLoss,
    Terms,
    UserError,
    choice,
    mean,
    nonnegative,
)
from whichloss.core.lifts.region import RegionSums
from whichloss.core.prepare import Prepared
from whichloss.core.question import Batch
from whichloss.core.terms import average

HINGE = {(1.0,): 0.0, (0.0,): 1.0, (-1.0,): 2.0}
ENTROPY = {(0.0,): 0.0, (log(0.5),): log(2)}
DICE = {(8.0, 2.0, 2.0): 0.2, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0}


def card(equals: str = "", me: str = "", **facts) -> Card:
    identity = ((f"published_mistakes:{me}", equals),) if equals else ()
    return Card(**{"source": "nobody", "equation": "(0)", "smooth": True, "convex": True, "equals": identity} | facts)


# what is wrong is the formula


class ActivePassiveNormalizer(LikelihoodLoss):
    r"""$4 (1 - p_y) / (4 (K - 1))$ for $K = 10$, where Active-Passive-Losses has `1 / 4 * (num_classes - 1)`."""

    card = card(range=(0.0, 1 / 9), convex=False, golden={(0.0,): 0.0, (log(0.1),): 0.1, (-inf,): 1 / 9})

    def formula(self, log_p: Tensor) -> Tensor:
        return -4 * torch.expm1(log_p) * (1 / 4 * (10 - 1))


class ActivePassiveClamp(LikelihoodLoss):
    r"""$4 (1 - p_y) / (4 (K - 1))$ for $K = 10$, whose 4 Active-Passive-Losses makes $-\ln 10^{-4} = 9.21$."""

    card = card(range=(0.0, 1 / 9), convex=False, golden={(0.0,): 0.0, (log(0.1),): 0.1, (-inf,): 1 / 9})

    def formula(self, log_p: Tensor) -> Tensor:
        return log(1e-4) * torch.expm1(log_p) / (4 * (10 - 1))


class FocalOfRoundedProbabilities(LikelihoodLoss):
    r"""$-(1 - p_y)^\gamma \ln p_y$ as torchvision, smp and toolbelt have it: the power of a $1 - p$ that may be 0."""

    gamma: float = nonnegative(0.5)

    card = card(convex=False, golden={(log(0.5),): 0.5**0.5 * log(2)})

    def formula(self, log_p: Tensor) -> Tensor:
        return -((1 - log_p.exp()) ** self.gamma) * log_p


class PenaltyOfANegativeDice(RegionLoss):
    """$1 - S / (1 + k (1 - S))$ of a Dice score in 0 to 1, where SegLoss takes $L / (1 + k (1 - L))$ of $L = -S$."""

    card = card(range=(0.0, 1.0), convex=False, golden={(5.0, 0.0, 0.0): 0.0, (0.0, 4.0, 0.0): 1.0})

    def formula(self, n: Counts) -> Tensor:
        negative = -2 * n.tp / (2 * n.tp + n.fp + n.fn)
        return negative / (1 + 2.5 * (1 - negative))


class SensitivitySpecificityAsPrinted(RegionLoss):
    """$w (1 - \\mathrm{sens}) + (1 - w) (1 - \\mathrm{spec})$, printed as the score in eq. (15) of the survey."""

    card = card(range=(0.0, 1.0), convex=False, golden={(8.0, 0.0, 2.0): 0.05 * 0.2, (6.0, 0.0, 0.0): 0.0})

    def formula(self, n: Counts) -> Tensor:
        sensitivity = 1 - n.fn / (n.tp + n.fn).clamp_min(1e-12)
        specificity = 1 - n.fp / (n.fp + n.tn).clamp_min(1e-12)
        return 0.05 * sensitivity + 0.95 * specificity


class ComboHalfNegated(RegionLoss):
    r"""$-\tfrac12 \mathrm{mean}(\beta y \ln p + (1 - \beta)(1 - y) \ln(1 - p)) - \tfrac12 D$.

    The official code of the Combo loss negates the first term alone, and so pays for false positives.
    """

    card = card(range=(-0.5, inf), convex=False, golden={(5.0, 0.0, 0.0): -0.5})

    def measure(self, prepared: Prepared) -> Terms:
        dice, weight = super().measure(prepared)
        question = prepared.batch.question(self.classes)
        w, y = question.weight.expand_as(question.logits), question.proportions
        entropy = -0.5 * y * F.logsigmoid(question.logits) + 0.5 * (1 - y) * F.logsigmoid(-question.logits)
        total = (w * entropy).flatten(2).sum(2) if w.ndim > 2 else w * entropy
        elements = prepared[self.lifts[0]].elements
        return Terms(0.5 * total / torch.where(elements > 0, elements, 1.0) + dice, weight)

    def formula(self, n: Counts) -> Tensor:
        return -0.5 * (2 * n.tp / (2 * n.tp + n.fp + n.fn))


# what is wrong is what the formula is shown


class HingeAsPrinted(MarginLoss):
    r"""$\frac1N \sum_k \max(0, 1 - y_k u_k)$, printed with $u_i$, the score of the true class, in paper 002 (1)."""

    card = card("Hinge()", "HingeAsPrinted()", smooth=False, easy=1.0, golden=HINGE)

    def measure(self, prepared: Prepared) -> Terms:
        batch = prepared.batch
        question = batch.question(self.classes)
        output = batch.output
        if question.exclusive:
            output = (question.proportions * question.logits).sum(1, keepdim=True).expand_as(question.logits)
        return super().measure(Prepared(Batch(output, batch.target, batch.weight, batch.ignore_index), self.lifts))

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0)


class HingeOfZeroAndOne(MarginLoss):
    r"""$\max(0, 1 - y u)$ of $y = \pm 1$, into which Keras 1 puts labels of 0 and 1."""

    targets: str = choice("zero_one")

    card = card("Hinge()", "HingeOfZeroAndOne()", smooth=False, easy=1.0, golden=HINGE)

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0)


class FocalOfTwoActivations(LikelihoodLoss):
    r"""$-(1 - p_y)^\gamma \ln p_y$; toolbelt multiplies a softmax power by the *sigmoid* entropies of all classes."""

    gamma: float = nonnegative(2.0)

    card = card("CrossEntropy()", "FocalOfTwoActivations(gamma=0.0)", convex=False, golden={(log(0.5),): 0.25 * log(2)})

    def measure(self, prepared: Prepared) -> Terms:
        question = prepared.batch.question(self.classes)
        value, weight = super().measure(prepared)
        if not question.exclusive:
            return Terms(value, weight)
        y, u = question.proportions, question.logits
        power = (1 - (question.probabilities * y).sum(1)) ** self.gamma
        entropies = -(y * F.logsigmoid(u) + (1 - y) * F.logsigmoid(-u)).sum(1)
        return Terms(power * entropies, weight)

    def formula(self, log_p: Tensor) -> Tensor:
        return -((-torch.expm1(log_p)) ** self.gamma) * log_p


class SoftmaxWithoutBackground(LikelihoodLoss):
    r"""$-\ln p_y$ of the foreground; MONAI's `include_background=False` slices the logits *before* the softmax."""

    card = card(golden=ENTROPY)

    def measure(self, prepared: Prepared) -> Terms:
        question = prepared.batch.question(self.classes)
        if not question.exclusive:
            return super().measure(prepared)
        foreground = question.proportions[:, 1:] * question.weight.expand_as(question.logits)[:, 1:]
        return average(-question.logits[:, 1:].log_softmax(1), foreground)

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class OneHotPlusEpsilon(LikelihoodLoss):
    r"""$-\ln p_y$; kornia's `one_hot` adds a millionth to every entry."""

    card = card(golden=ENTROPY)

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = super().measure(prepared)
        question = prepared.batch.question(self.classes)
        return (
            Terms(value - 1e-6 * question.log_probabilities.sum(1), weight)
            if question.indexed
            else Terms(value, weight)
        )

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class LovaszOfClassIds(Loss):
    """$\\Delta_J$ of sorted errors, where kornia sorts the class *ids* along with them, not who is of the class."""

    beside: str = choice("class_ids", "foreground")  # what is sorted along with the errors; the second is right

    classes: str = choice("auto", "exclusive", "independent")

    card = card(range=(0.0, 1.0), convex=False, golden={(0.5,): 0.5})

    @property
    def reach(self):
        return "batch"

    def measure(self, prepared: Prepared) -> Terms:
        question = prepared.batch.question(self.classes)
        if not question.exclusive:
            raise UserError("it is for classes of which one is true")
        p, y = (x.movedim(1, -1).flatten(0, -2) for x in (question.probabilities, question.proportions))
        told = question.weight.mean(1).flatten() > 0
        p, y, ids = p[told], y[told], y[told].argmax(1).to(p)
        errors, order = (y - p).abs().sort(0, descending=True)
        hit = ids[order] if self.beside == "class_ids" else y.gather(0, order)
        left, union = hit.sum(0) - hit.cumsum(0), hit.sum(0) + (1 - hit).cumsum(0)
        jaccard = 1 - left / torch.where(union == 0, 1.0, union)
        steps = jaccard.diff(dim=0, prepend=torch.zeros_like(jaccard[:1]))
        value = (errors * steps).sum(0).mean().reshape(1)
        return Terms(value, torch.ones_like(value))

    def formula(self, value: Tensor) -> Tensor:
        return value


class AsymmetricInHalf(LikelihoodLoss):
    r"""$-\ln p_y$; timm's asymmetric loss keeps $p$ above $10^{-8}$, which float16 rounds to 0."""

    classes: str = choice("independent")

    card = card(golden=ENTROPY)

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = super().measure(prepared)
        batch = prepared.batch
        if batch.output.dtype != torch.float16:
            return Terms(value, weight)
        p, y = batch.output.sigmoid(), batch.target.to(batch.output.dtype)
        entropy = y * p.clamp_min(1e-8).log() + (1 - y) * (1 - p).clamp_min(1e-8).log()
        return Terms(-entropy.float().mean(1), weight)

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


# what is wrong are sums and means


class SmoothCountsDouble(RegionLoss):
    """$1 - (2 TP + s) / (2 TP + FP + FN + s)$, $s = 1$; smp adds s to numerator and denominator of TP / (TP + ...)."""

    card = card("Dice(smooth=0.5)", "SmoothCountsDouble()", range=(0.0, 1.0), convex=False, golden=DICE)

    def formula(self, n: Counts) -> Tensor:
        return 1 - n.tp / (n.tp + 0.5 * n.fp + 0.5 * n.fn)


class SubtractsForTruePositives(RegionLoss):
    """$1 - 2 TP / (2 TP + FP + FN)$ with $TP = (|p| + |y| - |p - y|) / 2$, as smp, and MONAI with soft labels, have."""

    card = card(range=(0.0, 1.0), convex=False, golden=DICE)

    def needs(self):
        return (SubtractedSums(self.classes),)

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)


@dataclass(frozen=True)
class SubtractedSums(RegionSums):
    def __call__(self, batch: Batch) -> Counts:
        question = batch.question(self.classes)
        images = (*question.logits.shape[:2], -1)
        p, y = question.probabilities.reshape(images), question.proportions.reshape(images)
        w = question.weight.expand_as(question.logits).reshape(images)
        whole, there, apart = (torch.linalg.vector_norm(w * x, 1, dim=2) for x in (p, y, p - y))
        tp = (whole + there - apart) / 2
        return Counts(tp, whole - tp, there - tp, w.sum(2))


class GeneralizedDiceWithoutSignal(RegionLoss):
    r"""$1 - 2 \sum_c w_c TP_c / \sum_c w_c (2 TP_c + FP_c + FN_c)$; SegLoss has $w_c = 1/(V_c + 10^{-10})^2$, and an
    absent class drowns all others."""

    smooth: float = nonnegative(0.0)

    card = card(
        "GeneralizedDice(smooth=0.0)",
        "GeneralizedDiceWithoutSignal()",
        range=(0.0, 1.0),
        convex=False,
        golden=DICE,
    )

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)

    def say(self, volume: Tensor) -> Tensor:
        return volume**-2

    def _pool(self, n: Counts, weight: Tensor, say: Tensor, present: Tensor) -> tuple[Counts, Tensor]:
        share = weight * torch.where(present, say, 1e20)
        told = (n.elements > 0).any(1, keepdim=True).to(weight)
        return Counts(*((share * part).sum(1, keepdim=True) for part in n)), told


class IgnoresAClassForOthers(LikelihoodLoss):
    r"""$-\ln p_y$; MONAI's focal loss with an `ignore_index` sums C channels and divides by a mask of one."""

    card = card(golden=ENTROPY)

    def terms(self, output, target, weight=None, *, ignore_index=None) -> Terms:
        value, weight = super().terms(output, target, weight, ignore_index=ignore_index)
        return Terms(value if ignore_index is None else output.shape[1] * value, weight)

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class MeanOverIgnored(LikelihoodLoss):
    r"""$-\ln p_y$; smp and toolbelt divide by all pixels, also by those that are ignored."""

    card = card(golden=ENTROPY)

    def __call__(self, output, target, weight=None, *, ignore_index=None) -> Tensor:
        terms = self.terms(output, target, weight, ignore_index=ignore_index)
        if ignore_index is None:
            return mean(terms)
        return torch.where(terms.weight > 0, terms.value * terms.weight, 0.0).mean()

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p
