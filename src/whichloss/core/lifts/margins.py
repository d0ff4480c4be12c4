"""Signed margins: how far each score lies on the right side, under five ways to ask for one class of several."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import UserError
from ..lift import Lift
from ..question import Batch, Question


class SignedMargins(NamedTuple):
    """What a margin formula sees.

    margin: (N, Q, *S), one per question asked of an element.
    share:  (N, Q, *S), the say of each question; the shares of an element sum to its weight.
    asked:  how many questions one element answers.
    """

    margin: Tensor
    share: Tensor
    asked: int


@dataclass(frozen=True)
class Margins(Lift):
    """From scores u and truth y to margins.

    one_versus_rest   +-u_k for every class k; the yes/no question itself when C = 1
    one_versus_one    +-u_jk for every pair of classes that y belongs to; the network has C = K (K - 1) / 2 outputs
    each_rival        u_y - u_k for every k other than y (Weston and Watkins; Vapnik)
    top_rival         u_y - max u_k over k other than y (Crammer and Singer)
    sum_to_zero       -u_k for every k other than y, after taking the mean off u (Lee, Lin and Wahba)

    With one output there are no rivals, and every construction is the yes/no question. For u_i - u_j of two elements of
    a batch see `Ranking`.
    """

    construction: str = "one_versus_rest"
    scores: str = "logits"  # or "softmax": probabilities as scores, as Keras models with a softmax layer have it
    targets: str = "signed"  # or "zero_one": y in {0, 1} times the score, as Keras 1 has it

    def __call__(self, batch: Batch) -> SignedMargins:
        question = batch.question(self.classes)
        scores = question.probabilities if self.scores == "softmax" else question.logits
        if self.construction == "one_versus_rest" or scores.shape[1] == 1:
            return self._yes_or_no(question, scores)
        if not question.exclusive:
            raise UserError(f'{self.construction} needs exclusive classes; ask yes/no with lift="one_versus_rest"')
        construct = _CONSTRUCTIONS[self.construction]
        if question.indexed:
            return SignedMargins(*construct(scores, question.target, question.weight))
        return _mixture(construct, scores, question)

    def _yes_or_no(self, question: Question, scores: Tensor) -> SignedMargins:
        no = 0.0 if self.targets == "zero_one" else -1.0
        share = (question.weight / scores.shape[1]).expand_as(scores)
        yes = question.proportions
        if question.indexed:
            return SignedMargins((yes + no * (1 - yes)) * scores, share, scores.shape[1])
        return SignedMargins(
            torch.cat([scores, no * scores], 1), torch.cat([share * yes, share * (1 - yes)], 1), scores.shape[1]
        )


Constructed = tuple[Tensor, Tensor, int]
Construct = Callable[[Tensor, Tensor, Tensor], Constructed]


def _each_rival(scores: Tensor, truth: Tensor, weight: Tensor) -> Constructed:
    return _own(scores, truth) - scores, *_say_of_rivals(scores, truth, weight)


def _sum_to_zero(scores: Tensor, truth: Tensor, weight: Tensor) -> Constructed:
    return scores.mean(1, keepdim=True) - scores, *_say_of_rivals(scores, truth, weight)


def _top_rival(scores: Tensor, truth: Tensor, weight: Tensor) -> Constructed:
    rivals = scores.masked_fill(_is_class(truth, scores.shape[1]), -torch.inf)
    margin = _own(scores, truth) - rivals.amax(1, keepdim=True)
    return margin, _own(weight.expand_as(scores), truth), 1


def _one_versus_one(scores: Tensor, truth: Tensor, weight: Tensor) -> Constructed:
    classes = classes_of_pairs(scores.shape[1])
    first, second = torch.tensor(list(combinations(range(classes), 2)), device=scores.device).T
    shape = (1, -1, *[1] * (scores.ndim - 2))
    wins = truth.unsqueeze(1) == first.reshape(shape)
    loses = truth.unsqueeze(1) == second.reshape(shape)
    share = (wins | loses) * (weight / (classes - 1))
    return torch.where(wins, scores, -scores), share, classes - 1


_CONSTRUCTIONS: dict[str, Construct] = {
    "one_versus_one": _one_versus_one,
    "each_rival": _each_rival,
    "top_rival": _top_rival,
    "sum_to_zero": _sum_to_zero,
}


def classes_of_pairs(outputs: int) -> int:
    """K for K (K - 1) / 2 outputs, one for each pair of classes."""
    classes = round((1 + (1 + 8 * outputs) ** 0.5) / 2)
    if classes * (classes - 1) // 2 != outputs:
        raise UserError(f"one_versus_one needs an output for each pair of classes (1, 3, 6, 10, ...), not {outputs}")
    return classes


def _is_class(truth: Tensor, classes: int) -> Tensor:
    shape = (1, -1, *[1] * (truth.ndim - 1))
    return truth.unsqueeze(1) == torch.arange(classes, device=truth.device).reshape(shape)


def _own(scores: Tensor, truth: Tensor) -> Tensor:
    return scores.gather(1, truth.unsqueeze(1))


def _say_of_rivals(scores: Tensor, truth: Tensor, weight: Tensor) -> tuple[Tensor, int]:
    rivals = scores.shape[1] - 1
    say = _own(weight.expand_as(scores), truth) / rivals  # an element weighs as its true class does
    return ~_is_class(truth, scores.shape[1]) * say, rivals


def _mixture(construct: Construct, scores: Tensor, question: Question) -> SignedMargins:
    """Proportions: each class is the truth in its proportion."""
    if construct is _one_versus_one and classes_of_pairs(scores.shape[1]) != question.target.shape[1]:
        raise UserError("one_versus_one takes proportions only as class indices allow: use an index target")
    truth_is = partial(torch.full_like, question.target[:, 0], dtype=torch.long)
    parts = []
    for k in range(question.target.shape[1]):
        margin, share, asked = construct(scores, truth_is(fill_value=k), question.weight)
        parts.append((margin, share * question.target[:, k : k + 1], asked))
    margins, shares, asked = zip(*parts, strict=True)
    return SignedMargins(torch.cat(margins, 1), torch.cat(shares, 1), asked[0])
