r"""Ranking: every element against every one of a lower target. It makes a surrogate of 1 - ROC area of any margin loss.

The area under the ROC curve is the share of pairs (yes, no) in which the yes has the higher score. With a margin
function $\ell$ in place of the count of errors, and $D = u^+ - u^-$ over all pairs of a batch, each weighing as the
product of its weights, the loss is the mean of $\ell(D)$: LibAUC's `PairwiseAUCLoss`, with any $\ell$. A shift of all
scores changes nothing, so that no threshold comes out of it and no probability; a study tunes the threshold. Several
rankings, one for each channel or each class against the rest, count alike, whatever their numbers of pairs; one in
which all elements have the same target has no say.

The AUC margin loss (AUCM; Yuan et al. 2021) is none of these. Its min-max over a, b and $\alpha \ge 0$ has a closed
solution on any one set of cases (a and b the mean scores of yes and of no, $\alpha = \max(0, m - a + b)$), with the
value, up to the factor p (1 - p),

$$\mathrm{Var}(u^+) + \mathrm{Var}(u^-) + \max(0, m - a + b)^2.$$

As D has the mean a - b and the variance $\mathrm{Var}(u^+) + \mathrm{Var}(u^-)$, without the max this is the mean of
$(m - D)^2$ over all pairs, and so it is while a - b is at most m. The squared hinge, the mean of $\max(0, m - D)^2$,
has its max within the mean: it is never more than AUCM, equal only where no pair leads by more than m (or all by the
same), and leaves pairs alone that lead by m, while AUCM goes on to narrow both classes. A mean over pairs is the same
on average for batches as for all cases; the closed solution for batches is not, wherever the max matters. The authors'
optimiser (PESG) learns a, b and $\alpha$ of all cases beside the weights instead; without it AUCM would be another loss
under that name, so it is not here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import UserError
from ..lift import Lift
from ..question import Batch
from ..terms import Terms

Formula = Callable[[Tensor], Tensor]
AT_ONCE = 1 << 22  # pairs that are in memory together
MOST = 1 << 32  # pairs; beyond, a step takes minutes


class Ranked(NamedTuple):
    """Scores, targets and weights, each (M, C): C rankings of the M elements of a batch."""

    score: Tensor
    target: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Ranking(Lift):
    """The elements of a batch in one row, by channel; exclusive classes are ranked each against the rest."""

    scores: str = "logits"  # or "softmax"

    def __call__(self, batch: Batch) -> Ranked:
        question = batch.question(self.classes)
        scores = question.probabilities if self.scores == "softmax" else question.logits
        pairs = scores.numel() * (scores.numel() // max(1, scores.shape[1]))
        if pairs > MOST and not torch.compiler.is_compiling():
            raise UserError(
                f'lift="ranking" compares every element with every other, and logits {tuple(scores.shape)} make'
                f" {pairs:.1e} pairs, where {MOST:.1e} are the most\n"
                "  remedy: rank cases, not voxels; or train on smaller patches or batches; or say"
                ' lift="one_versus_rest"'
            )

        def by_channel(x: Tensor) -> Tensor:
            return x.expand_as(scores).movedim(1, -1).flatten(0, -2)

        return Ranked(by_channel(scores), by_channel(question.proportions), by_channel(question.weight))


def ranked(formula: Formula, seen: Ranked) -> Terms:
    """One term for each element: the mean of the formula over all pairs in which it should stand above the other."""
    pairs = seen.score.shape[0] * seen.score.numel()
    whole = torch.compiler.is_compiling() or pairs <= AT_ONCE
    cost, say = _above(formula, seen, seen) if whole else InParts.apply(seen.score, formula, *seen[1:])
    pairs = say.sum(0)
    alike = torch.where(pairs > 0, pairs.sum() / torch.where(pairs > 0, pairs, 1.0) / (pairs > 0).sum(), 0.0)
    weight = (alike * say).sum(1)
    return Terms((alike * cost).sum(1) / torch.where(weight > 0, weight, 1.0), weight)


def _above(formula: Formula, high: Ranked, low: Ranked) -> tuple[Tensor, Tensor]:
    """What it costs that some elements should stand above others, and how much say that has: sums, as many as high."""
    margin = high.score.unsqueeze(1) - low.score
    share = torch.where(high.target.unsqueeze(1) > low.target, high.weight.unsqueeze(1) * low.weight, 0.0)
    value = formula(torch.where(share > 0, margin, 0.0))
    return (torch.where(share > 0, value, 0.0) * share).sum(1), share.sum(1)


class InParts(torch.autograd.Function):
    """The same of all elements, some at a time. Memory grows with them, not with the pairs; those are seen twice."""

    @staticmethod
    def forward(ctx: Any, score: Tensor, formula: Formula, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        ctx.formula, seen = formula, Ranked(score, target, weight)
        ctx.save_for_backward(*seen)
        cost, say = torch.zeros_like(score), torch.zeros_like(score)
        for high, low in _parts(seen):
            cost[high], say[high] = _above(formula, _of(seen, high), _of(seen, low))
        ctx.mark_non_differentiable(say)
        return cost, say

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        score, target, weight = ctx.saved_tensors
        again = torch.is_grad_enabled()  # a second derivative will be asked for
        found = torch.zeros_like(score)
        for high, low in _parts(Ranked(score, target, weight)):
            with torch.enable_grad():
                seen = Ranked(score if again else score.detach().requires_grad_(), target, weight)
                cost, _ = _above(ctx.formula, _of(seen, high), _of(seen, low))
            found = found + torch.autograd.grad(cost, seen.score, gradients[0][high], create_graph=again)[0]
        return found, None, None, None


def _of(seen: Ranked, which: Tensor) -> Ranked:
    return Ranked(*(part[which] for part in seen))


def _parts(seen: Ranked) -> Iterator[tuple[Tensor, Tensor]]:
    """Some of those that may stand above others, and all that may stand below: far fewer pairs."""
    _, target, weight = seen
    high, low = (
        (beyond & (weight > 0)).any(1).nonzero().squeeze(1)
        for beyond in (target > target.amin(0), target < target.amax(0))
    )
    rows = max(1, AT_ONCE // max(1, len(low) * target.shape[1]))
    return ((part, low) for part in high.split(rows) if len(part))
