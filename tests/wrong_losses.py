"""Losses that are wrong on purpose, each in one way: the promises must turn them down."""

from dataclasses import dataclass
from math import inf, log

import torch
from torch import Tensor

from whichloss.core import (
    Card,
    Counts,
    LikelihoodLoss,
    Loss,
    MarginLoss,
    OutlineLoss,
    RegionLoss,
    Terms,
    UserError,
    WrapperLoss,
    mean,
    nonnegative,
    positive,
)
from whichloss.core.distance import signed_distances
from whichloss.core.lifts.region import RegionSums
from whichloss.core.prepare import Prepared
from whichloss.core.question import Batch, Question, space_of

HINGE = {(1.0,): 0.0, (0.0,): 1.0, (-1.0,): 2.0}
DICE = {(8.0, 2.0, 2.0): 0.2, (0.0, 4.0, 0.0): 1.0, (5.0, 0.0, 0.0): 0.0}
ENTROPY = {(0.0,): 0.0, (log(0.5),): log(2)}


def card(**facts) -> Card:
    return Card(**{"source": "nobody", "equation": "(0)", "smooth": True, "convex": True} | facts)


# what the card says


class ForgetsAField(MarginLoss):
    r"""$\max(0, w - m)$, whose name does not tell the width."""

    width: float = positive(1.0)

    card = card(smooth=False, easy=1.0, golden=HINGE)

    @classmethod
    def examples(cls):
        return [cls(width=2.0)]

    def spell(self, hide_defaults: bool) -> str:
        return "wrong_losses:ForgetsAField()"

    def formula(self, margin: Tensor) -> Tensor:
        return (self.width - margin).clamp_min(0)


class NamesNoFormula(MarginLoss):
    """A hinge, without its formula."""

    card = card(smooth=False, easy=1.0, golden=HINGE)

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0)


class ReturnsTheScore(RegionLoss):
    """$2 TP / (2 TP + FP + FN)$: the larger the better."""

    card = card(range=(0.0, 1.0), convex=False, golden=DICE)

    def formula(self, n: Counts) -> Tensor:
        return 2 * n.tp / (2 * n.tp + n.fp + n.fn)


class WrongGoldenValue(MarginLoss):
    r"""$\max(0, 1 - m)$."""

    card = card(smooth=False, easy=1.0, golden={(0.0,): 0.5})

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0)


class LeavesItsRange(MarginLoss):
    r"""$\max(0, 1 - m)$, said to be at most 1."""

    card = card(range=(0.0, 1.0), smooth=False, easy=1.0, golden=HINGE)

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0)


class ClaimsToBeSmooth(MarginLoss):
    r"""$\max(0, 1 - m)$, said to be smooth."""

    card = card(smooth=True, easy=1.0, golden=HINGE)

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0)


class ClaimsToBeConvex(MarginLoss):
    r"""$\ln(1 + \max(0, 1 - m)^2)$, said to be convex."""

    card = card(easy=1.0, golden={(0.0,): log(2)})

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0).square().log1p()


class ClaimsEasyCases(MarginLoss):
    r"""$\ln(1 + e^{-m})$, said to leave cases beyond 1 alone."""

    card = card(easy=1.0, golden={(0.0,): log(2)})

    def formula(self, margin: Tensor) -> Tensor:
        return -torch.nn.functional.logsigmoid(margin)


class FalseIdentity(RegionLoss):
    """$1 - 2 TP / (2 TP + FP + FN)$, said to be Jaccard."""

    card = card(range=(0.0, 1.0), convex=False, golden=DICE, equals=(("wrong_losses:FalseIdentity()", "Jaccard()"),))

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)


class ForgetsWhenCopied(MarginLoss):
    r"""$\max(0, w - m)$, whose copies have the default width."""

    width: float = positive(1.0)

    card = card(smooth=False, easy=1.0, golden=HINGE)

    def __deepcopy__(self, memo) -> "ForgetsWhenCopied":
        return ForgetsWhenCopied()

    def formula(self, margin: Tensor) -> Tensor:
        return (self.width - margin).clamp_min(0)


class ClaimsToBeBounded(MarginLoss):
    r"""$\ln(1 + \max(0, 1 - m)^2)$, said to be at most 100, which it is for every margin that anyone has seen."""

    card = card(range=(0.0, 100.0), convex=False, easy=1.0, golden={(0.0,): log(2)})

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0).square().log1p()


class ClaimsNoBound(MarginLoss):
    r"""$1 / (1 + e^m)$, said to grow without end."""

    card = card(convex=False, golden={(0.0,): 0.5})

    def formula(self, margin: Tensor) -> Tensor:
        return (-margin).sigmoid()


class IsFarBelowItsBound(MarginLoss):
    r"""$1 / (1 + e^m)$, said to be at most 10."""

    card = card(range=(0.0, 10.0), convex=False, golden={(0.0,): 0.5})

    def formula(self, margin: Tensor) -> Tensor:
        return (-margin).sigmoid()


# values and gradients


class GivesTermsWithoutGradient(LikelihoodLoss):
    r"""$-\ln p_y$, whose terms a wrapper cannot train with."""

    card = card(golden=ENTROPY)

    def __call__(self, output, target, weight=None, *, ignore_index=None) -> Tensor:
        return mean(super().terms(output, target, weight, ignore_index=ignore_index))

    def terms(self, output, target, weight=None, *, ignore_index=None) -> Terms:
        value, weight = super().terms(output, target, weight, ignore_index=ignore_index)
        return Terms(value.detach(), weight)

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class SpreadsGradientsEvenly(LikelihoodLoss):
    r"""$-\ln p_y$, whose backward pass takes it for granted that the same is asked of every term."""

    card = card(golden=ENTROPY)

    def terms(self, output, target, weight=None, *, ignore_index=None) -> Terms:
        value, weight = super().terms(output, target, weight, ignore_index=ignore_index)
        return Terms(_Evenly.apply(value), weight) if self.classes == "auto" else Terms(value, weight)

    def __call__(self, output, target, weight=None, *, ignore_index=None) -> Tensor:
        return mean(super().terms(output, target, weight, ignore_index=ignore_index))

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class _Evenly(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, *gradients):
        return gradients[0].mean().expand_as(gradients[0])


class SumsByMatrixProducts(RegionLoss):
    """$1 - 2 TP / (2 TP + FP + FN)$, with sums that autocast takes for a layer of the network."""

    card = card(range=(0.0, 1.0), convex=False, golden=DICE)

    def needs(self):
        return (ProductSums(self.classes),)

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)


@dataclass(frozen=True)
class ProductSums(RegionSums):
    def __call__(self, batch: Batch) -> Counts:
        n, question = super().__call__(batch), batch.question(self.classes)
        hits = question.weight * question.proportions
        row, column = (*n.tp.shape, 1, -1), (*n.tp.shape, -1, 1)
        return n._replace(tp=(question.probabilities.reshape(row) @ hits.reshape(column)).flatten(1))


class TakesItsTypeFromTorch(MarginLoss):
    r"""$\max(0, 1 - m)$, with a 1 of whatever type torch has as default."""

    card = card(smooth=False, easy=1.0, golden=HINGE)

    def formula(self, margin: Tensor) -> Tensor:
        return (torch.ones(1) - margin).clamp_min(0)


class TakesChannelsLastForFirst(MarginLoss):
    r"""$\max(0, 1 - m)$ of numbers as they follow each other in memory, whichever axis that is."""

    card = card(smooth=False, easy=1.0, golden=HINGE)

    def measure(self, prepared: Prepared) -> Terms:
        batch = prepared.batch
        output = batch.output
        if output.ndim == 4 and not output.is_contiguous() and output.is_contiguous(memory_format=torch.channels_last):
            output = output.permute(0, 2, 3, 1).reshape(output.shape)
        return super().measure(Prepared(Batch(output, batch.target, batch.weight, batch.ignore_index), self.lifts))

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0)


class DetachesItsGradient(MarginLoss):
    r"""$\max(0, 1 - m)^2$, of which one factor is detached."""

    card = card(easy=1.0, golden={(0.0,): 1.0})

    def formula(self, margin: Tensor) -> Tensor:
        gap = (1 - margin).clamp_min(0)
        return gap * gap.detach()


class SumsInsteadOfMean(MarginLoss):
    r"""$\max(0, 1 - m)$, summed over the elements."""

    card = card(smooth=False, easy=1.0, golden=HINGE)

    def __call__(self, output, target, weight=None, *, ignore_index=None) -> Tensor:
        value, weight = self.terms(output, target, weight, ignore_index=ignore_index)
        return (value * weight).sum()

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0)


class OverflowsForWrongCases(MarginLoss):
    r"""$-\ln \sigma(m)$, through a probability that rounds to 0."""

    card = card(golden={(0.0,): log(2)})

    def formula(self, margin: Tensor) -> Tensor:
        return -margin.sigmoid().log()


class UnsafePower(WrapperLoss):
    """$v^{e}$, whose slope at 0 is infinite."""

    exponent: float = positive(0.75)

    card = card(convex=False, range=(0.0, 1.0), golden={(0.0625,): 0.125})

    def formula(self, value: Tensor) -> Tensor:
        return value**self.exponent


class SumsInHalfPrecision(RegionLoss):
    """$1 - 2 TP / (2 TP + FP + FN)$, with sums of whatever precision the logits have."""

    card = card(range=(0.0, 1.0), convex=False, golden=DICE)

    def needs(self):
        return (HalfSums(self.classes),)

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)


@dataclass(frozen=True)
class HalfSums(RegionSums):
    def __call__(self, batch: Batch) -> Counts:
        if batch.output.dtype.itemsize >= 4:
            return super().__call__(batch)
        question = batch.question(self.classes)
        p, y = question.probabilities.to(batch.output.dtype), question.proportions.to(batch.output.dtype)
        tp, fp, fn = ((one * other).flatten(2).sum(2) for one, other in ((p, y), (p, 1 - y), (1 - p, y)))
        return Counts(tp, fp, fn, tp + fp + fn)


# weights, masks, what is ignored


class IgnoresTheWeights(LikelihoodLoss):
    r"""$-\ln p_y$, whoever has a say."""

    card = card(golden=ENTROPY)

    def measure(self, prepared: Prepared) -> Terms:
        batch = prepared.batch
        return super().measure(Prepared(Batch(batch.output, batch.target, None, batch.ignore_index), self.lifts))

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class CountsIgnoredVoxels(LikelihoodLoss):
    r"""$-\ln p_y$, 0 for ignored elements, which the mean still counts."""

    card = card(golden=ENTROPY)

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = super().measure(prepared)
        return Terms(value * weight, torch.ones_like(weight))

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class MasksTheLogits(RegionLoss):
    """$1 - 2 TP / (2 TP + FP + FN)$ of masked logits, so that a masked voxel has $p = 1/2$."""

    card = card(range=(0.0, 1.0), convex=False, golden=DICE)

    def measure(self, prepared: Prepared) -> Terms:
        batch = prepared.batch
        if batch.weight is None:
            return super().measure(prepared)
        mask = batch.weight if batch.weight.ndim == batch.output.ndim else batch.weight.unsqueeze(1)
        target = batch.target * (mask if batch.target.ndim == mask.ndim else mask[:, 0]).to(batch.target.dtype)
        return super().measure(Prepared(Batch(batch.output * mask, target, None, batch.ignore_index), self.lifts))

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)


class AveragesOverNothing(LikelihoodLoss):
    r"""$-\ln p_y$, and 0 / 0 when all is ignored."""

    card = card(golden=ENTROPY)

    def __call__(self, output, target, weight=None, *, ignore_index=None) -> Tensor:
        value, weight = self.terms(output, target, weight, ignore_index=ignore_index)
        return (value * weight).sum() / weight.sum()

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class TakesNoWeightForHalf(LikelihoodLoss):
    r"""$-\ln p_y$, halved where no weight map is given."""

    card = card(golden=ENTROPY)

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = super().measure(prepared)
        return Terms(value / 2 if prepared.batch.weight is None else value, weight)

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class CountsImagesWithoutWeight(RegionLoss):
    """$1 - 2 TP / (2 TP + FP + FN)$, and 0 for a wholly masked image, which the mean still counts."""

    card = card(range=(0.0, 1.0), convex=False, golden=DICE)

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = super().measure(prepared)
        return Terms(value, torch.ones_like(weight))

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)


class DoesNotKnowIgnoredIndices(MarginLoss):
    r"""$\max(0, 1 - m)$, which takes an ignored index for no class at all."""

    card = card(smooth=False, easy=1.0, golden=HINGE)

    def terms(self, output, target, weight=None, *, ignore_index=None) -> Terms:
        value, say = super().terms(output, target, weight)
        nothing = ignore_index is not None and bool((target == ignore_index).all())
        return Terms(value, torch.zeros_like(say) if nothing else say)

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0)


class CountsChannelsWithoutWeight(RegionLoss):
    """$1 - 2 TP / (2 TP + FP + FN)$, and 0 for a channel without weight, which the mean still counts."""

    card = card(range=(0.0, 1.0), convex=False, golden=DICE)

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = super().measure(prepared)
        return Terms(value, (weight > 0).any(1, keepdim=True).to(weight).expand_as(weight))

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)


class IgnoresOnlyWhatIsNoClass(LikelihoodLoss):
    r"""$-\ln p_y$, which cannot leave out one of its own classes."""

    card = card(golden=ENTROPY)

    def terms(self, output, target, weight=None, *, ignore_index=None) -> Terms:
        its_own = ignore_index is not None and 0 <= ignore_index < output.shape[1]
        return super().terms(output, target, weight, ignore_index=None if its_own else ignore_index)

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


# images and classes


class CountsLaterImagesMore(LikelihoodLoss):
    r"""$-\ln p_y$, where images that come later count for more."""

    card = card(golden=ENTROPY)

    @property
    def reach(self):
        return "batch"

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = super().measure(prepared)
        place = torch.arange(1, len(value) + 1, dtype=value.dtype)
        return Terms(value, weight * place.reshape(-1, *[1] * (value.ndim - 1)))

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class ClaimsToSeeOneImage(RegionLoss):
    """$1 - 2 TP / (2 TP + FP + FN)$ of whatever region, said to be that of an image."""

    card = card(range=(0.0, 1.0), convex=False, golden=DICE)

    @property
    def reach(self):
        return "image"

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)


class PrefersTheFirstClass(LikelihoodLoss):
    r"""$-\ln p_y$ of logits to which 1 is added in the first channel."""

    card = card(golden=ENTROPY)

    def measure(self, prepared: Prepared) -> Terms:
        batch = prepared.batch
        head_start = torch.zeros(batch.output.shape[1], dtype=torch.float64)
        head_start[0] = 1
        output = batch.output.double() + head_start.reshape(1, -1, *[1] * (batch.output.ndim - 2))
        output = output.to(torch.promote_types(batch.output.dtype, torch.float32))
        return super().measure(Prepared(Batch(output, batch.target, batch.weight, batch.ignore_index), self.lifts))

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class DividesByThePositives(LikelihoodLoss):
    r"""$-\ln p_y$, through a sum over what is there: 0 / 0 where nothing is."""

    card = card(golden=ENTROPY)

    @property
    def reach(self):
        return "batch"

    def prices(self, answers):
        there = answers.share[:, : answers.yes].sum()
        there = torch.where(answers.share.sum() > 0, there, 1.0)
        return (1.0, there / there) if answers.yes else None

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


# forms of the same question


class SmoothsOnlyIndices(LikelihoodLoss):
    r"""$-\ln p_y$, with smoothed labels for an index target alone."""

    smoothing: float = nonnegative(0.1)

    card = card(golden=ENTROPY)

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = super().measure(prepared)
        batch = prepared.batch
        if batch.target.ndim == batch.output.ndim:
            return Terms(value, weight)
        spread = -torch.where(weight.unsqueeze(1) > 0, batch.output, 0.0).log_softmax(1).mean(1)
        return Terms((1 - self.smoothing) * value + self.smoothing * spread, weight)

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class GuessesOneHot(LikelihoodLoss):
    r"""$-\ln p_y$, which takes a target of the logits' shape for one-hot."""

    card = card(golden=ENTROPY)

    def terms(self, output, target, weight=None, *, ignore_index=None) -> Terms:
        if self.classes == "auto" and output.shape == target.shape and output.shape[1] > 1:
            return GuessesOneHot(classes="exclusive").terms(output, target, weight, ignore_index=ignore_index)
        return super().terms(output, target, weight, ignore_index=ignore_index)

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class DependsOnVoxelOrder(LikelihoodLoss):
    r"""$-\ln p_y$, where rows that come later count for more."""

    card = card(golden=ENTROPY)

    def measure(self, prepared: Prepared) -> Terms:
        value, weight = super().measure(prepared)
        if value.ndim == 1:
            return Terms(value, weight)
        rows = torch.arange(1, value.shape[1] + 1, dtype=value.dtype)
        return Terms(value, weight * rows.reshape(-1, *[1] * (value.ndim - 2)))

    def formula(self, log_p: Tensor) -> Tensor:
        return -log_p


class KnowsTwoAxesOnly(RegionLoss):
    """$1 - 2 TP / (2 TP + FP + FN)$ of each slice of a volume on its own."""

    card = card(range=(0.0, 1.0), convex=False, golden=DICE)

    def measure(self, prepared: Prepared) -> Terms:
        batch = prepared.batch
        if batch.output.ndim < 5:
            return super().measure(prepared)
        axes = batch.output.ndim

        def slices(x: Tensor) -> Tensor:
            return (x.movedim(2, 1) if x.ndim == axes else x).flatten(0, 1)

        weight = None if batch.weight is None else slices(batch.weight)
        each = Batch(slices(batch.output), slices(batch.target), weight, batch.ignore_index)
        return super().measure(Prepared(each, self.lifts))

    def formula(self, n: Counts) -> Tensor:
        return 1 - 2 * n.tp / (2 * n.tp + n.fp + n.fn)


class LooksToOneSide(OutlineLoss):
    r"""$p_i y_{i-1}$, where $i - 1$ is the voxel above, and none below is looked at."""

    card = card(range=(0.0, 1.0), golden={(0.5, 1.0): 0.5})

    def seen(self, prepared: Prepared, question: Question) -> tuple[Tensor, ...]:
        space_of(question)
        y = torch.where(question.weight.expand_as(question.logits) > 0, question.proportions, 0.0)
        return question.probabilities, torch.cat([torch.zeros_like(y[:, :, :1]), y[:, :, :-1]], 2)

    def formula(self, p: Tensor, beside: Tensor) -> Tensor:
        return p * beside


class TakesTheFrameForBackground(OutlineLoss):
    r"""$p \phi$, with distances to what has no weight."""

    card = card(range=(-inf, inf), golden={(0.5, 2.0): 1.0})

    def seen(self, prepared: Prepared, question: Question) -> tuple[Tensor, ...]:
        steps = [1.0] * len(space_of(question))
        yes = question.proportions > 0.5
        return question.probabilities, signed_distances(yes, yes | ~yes, steps, question.logits.dtype, keep=False)

    def formula(self, p: Tensor, distance: Tensor) -> Tensor:
        return p * distance


class ChangesItsInputs(MarginLoss):
    r"""$\max(0, 1 - m)$, with weights normalised in place."""

    card = card(smooth=False, easy=1.0, golden=HINGE)

    def measure(self, prepared: Prepared) -> Terms:
        terms = super().measure(prepared)
        if prepared.batch.weight is not None:
            prepared.batch.weight.div_(prepared.batch.weight.sum().clamp_min(1))
        return terms

    def formula(self, margin: Tensor) -> Tensor:
        return (1 - margin).clamp_min(0)


class HasNoProblem(Loss):
    """$0$ for nobody: it refuses everything."""

    card = card(golden={(0.0,): 0.0})

    def measure(self, prepared: Prepared) -> Terms:
        raise UserError("no")

    def formula(self, value: Tensor) -> Tensor:
        return value


class Crashes(MarginLoss):
    """$1 / 0$."""

    card = card(golden={(0.0,): 0.0})

    def formula(self, margin: Tensor) -> Tensor:
        return margin * (1 / 0)
