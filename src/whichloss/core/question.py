"""The one rule for shapes: which question do logits and target ask, and which elements have a say?

Logits are `(N, C, *S)`, always, never probabilities. An index target means exactly one class of several; one channel
means a yes/no question; a target of the logits' shape with several channels must say which it is. Nothing else in the
library looks at shapes, so formulas carry no mode, activation or axis, and 2-D, 3-D and plain classification are one.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import ShapeError, UserError


class Batch:
    """What a loss is called with, as it came; and the question it asks, worked out once for all who share it."""

    def __init__(
        self,
        output: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        known: Mapping[Any, Any] | None = None,
    ) -> None:
        self.output, self.target, self.weight, self.ignore_index = output, target, weight, ignore_index
        self.known = known  # what lifts that look at the target alone have made of it before
        self._asked: dict[str, Question] = {}

    def question(self, classes: str) -> "Question":
        if classes not in self._asked:
            self._asked[classes] = ask(self, classes)
        return self._asked[classes]


class Question:
    """Logits and target in one of two forms, and the weight of each element.

    exclusive: one class of several. target: (N, *S) of indices, or (N, C, *S) of proportions (soft labels).
    else:      a yes/no per channel. target: (N, C, *S), the proportion of yes.
    logits (N, C, *S) in float32 or better, finite where nothing has a say; weight (N, 1, *S) or (N, C, *S).
    """

    def __init__(self, logits: Tensor, target: Tensor, weight: Tensor, exclusive: bool) -> None:
        self.logits, self.target, self.weight, self.exclusive = logits, target, weight, exclusive
        self.indexed = target.ndim < logits.ndim
        self._probabilities: Tensor | None = None
        self._log_probabilities: Tensor | None = None
        self._proportions: Tensor | None = None

    # each worked out once for all who share the question; functools.cached_property does not compile

    @property
    def proportions(self) -> Tensor:
        """The target as (N, C, *S), one-hot where it was an index."""
        if self._proportions is None:
            self._proportions = self._one_hot() if self.indexed else self.target
        return self._proportions

    @property
    def probabilities(self) -> Tensor:
        if self._probabilities is None:
            self._probabilities = self.logits.softmax(1) if self.exclusive else self.logits.sigmoid()
        return self._probabilities

    @property
    def log_probabilities(self) -> Tensor:
        if self._log_probabilities is None:
            self._log_probabilities = F.log_softmax(self.logits, 1) if self.exclusive else F.logsigmoid(self.logits)
        return self._log_probabilities

    def _one_hot(self) -> Tensor:
        classes = torch.arange(self.logits.shape[1], device=self.target.device)
        classes = classes.reshape(1, -1, *[1] * (self.logits.ndim - 2))
        return (self.target.unsqueeze(1) == classes).to(self.logits.dtype)


def space_of(question: Question) -> tuple[int, ...]:
    """The axes *S of logits (N, C, *S). Raises UserError where there are none."""
    space = tuple(question.logits.shape[2:])
    if not space:
        raise UserError(
            "this loss looks at how elements lie beside each other, and logits"
            f" {tuple(question.logits.shape)} are answers for whole images: it is for logits (N, C, *S) of images and"
            " volumes"
        )
    return space


class Points(NamedTuple):
    """The elements of a batch as points to be compared: embeddings (M, D) and, for each, its label and weight (M,)."""

    embeddings: Tensor  # float32 or better, 0 where nothing has a say
    labels: Tensor
    weight: Tensor


def points(batch: Batch) -> Points:
    """Apply the rule to embeddings: output (N, D, *S), target (N, *S) of class indices, or (N, 1, *S) of yes and no.

    A weight (N, D, *S) counts by its mean over D, as an embedding is one answer.
    """
    output, target = batch.output, batch.target
    if output.ndim < 2 or not output.is_floating_point():
        raise UserError(f"embeddings must be floats (N, D, *S), not {output.dtype} {tuple(output.shape)}")
    by_index = target.shape == output.shape[:1] + output.shape[2:]
    if not by_index and target.shape != (len(output), 1, *output.shape[2:]):
        raise UserError(
            f"embeddings {tuple(output.shape)} and target {tuple(target.shape)} do not fit:"
            " the target is a class index for each, (N, *S), or a yes/no, (N, 1, *S)"
        )
    if by_index and target.is_floating_point():
        raise UserError("class indices are integers, not floats: use target.long()")
    embeddings = output.float() if output.dtype.itemsize < 4 else output
    weight = weight_of(batch, embeddings).mean(1)
    check_weight(batch, weight)
    labels = target if by_index else target.squeeze(1)
    labels = labels if labels.is_floating_point() else labels.long()  # bytes equal -100 where they are 156
    if batch.ignore_index is not None:
        weight = torch.where(labels == batch.ignore_index, 0.0, weight)
    weight = weight.expand(labels.shape).flatten()
    embeddings = embeddings.movedim(1, -1).flatten(0, -2)
    return Points(torch.where(weight.unsqueeze(1) > 0, embeddings, 0.0), labels.flatten(), weight)


def ask(batch: Batch, classes: str) -> Question:
    """Apply the rule. `classes` is what the loss says: "auto", "exclusive" or "independent"."""
    output, target = batch.output, batch.target
    exclusive = is_exclusive(output, target, classes)
    logits = output.float() if output.dtype.itemsize < 4 else output
    weight = weight_of(batch, logits)
    target = target.long() if target.ndim < output.ndim else target.to(logits.dtype)
    _check_values(batch, target, weight)
    if batch.ignore_index is not None:
        ignored = target == batch.ignore_index
        target = torch.where(ignored, 0, target)
        if exclusive and target.ndim == output.ndim:
            ignored = ignored.any(1, keepdim=True)
        elif exclusive:
            ignored = ignored.unsqueeze(1)
        weight = torch.where(ignored, 0.0, weight)
    if batch.weight is not None or batch.ignore_index is not None:
        # What has no say must not say NaN either, not even in the backward pass. Under softmax the channels
        # depend on each other, so an element goes only when none of its channels has a say.
        said = (weight > 0).any(1, keepdim=True) if exclusive else weight > 0
        logits = torch.where(said, logits, 0.0)
        target = target if target.ndim < output.ndim else torch.where(said, target, 0.0)
    return Question(logits, target, weight, exclusive)


def is_exclusive(output: Tensor, target: Tensor, classes: str) -> bool:
    """Whether one class of several is asked for, and not a yes/no per channel. Raises ShapeError."""
    if output.ndim < 2 or not output.is_floating_point():
        raise ShapeError(output, target)
    several = output.shape[1] > 1
    if target.shape == output.shape:
        if several and classes == "auto":
            raise ShapeError(output, target, 'are ambiguous: say classes="exclusive" or classes="independent"')
        if classes == "exclusive" and not several:
            raise ShapeError(output, target, "have one channel, and one class excludes nothing")
        return classes == "exclusive"
    if target.shape == output.shape[:1] + output.shape[2:] and several and classes != "independent":
        if target.is_floating_point():
            raise ShapeError(output, target, "do not fit: class indices are integers; use target.long()")
        return True
    raise ShapeError(output, target)


def _check_values(batch: Batch, target: Tensor, weight: Tensor) -> None:
    """Refuse indices that are no class, and weights below 0, where looking costs nothing: on a CPU, not compiled.

    On a GPU to look is to wait, so there an index out of range raises where it is used, or not at all.
    """
    check_weight(batch, weight)
    if torch.compiler.is_compiling() or target.device.type != "cpu":
        return
    if target.ndim == batch.output.ndim or not target.numel():
        return
    known = target if batch.ignore_index is None else target[target != batch.ignore_index]
    classes = batch.output.shape[1]
    if known.numel() and (int(known.min()) < 0 or int(known.max()) >= classes):
        raise out_of_range(target, batch.ignore_index, classes)


def out_of_range(target: Tensor, ignore_index: int | None, classes: int) -> UserError:
    """What to say of indices of which some are no class."""
    known = target if ignore_index is None else target[target != ignore_index]
    return UserError(
        f"the target holds indices from {int(known.min())} to {int(known.max())}, and the logits have {classes}"
        f" classes, 0 to {classes - 1}; a label to be left out is named by ignore_index"
    )


def check_weight(batch: Batch, weight: Tensor) -> None:
    """Raises UserError where one is below 0, if looking costs nothing: on a CPU, not compiled."""
    if torch.compiler.is_compiling() or weight.device.type != "cpu" or batch.weight is None or not weight.numel():
        return
    if not float(weight.detach().min()) >= 0:
        raise UserError(f"weights must be 0 or more; the smallest is {float(weight.detach().min()):g}")


def weight_of(batch: Batch, logits: Tensor) -> Tensor:
    """The weight as (N, 1, *S) or (N, C, *S), in the type of these logits."""
    whole = (logits.shape[0], 1, *logits.shape[2:])
    if batch.weight is None:
        return logits.new_ones(()).expand(whole)
    weight = batch.weight.to(logits.dtype)
    if weight.shape == logits.shape:
        return weight
    if weight.shape == logits.shape[:1] + logits.shape[2:]:
        return weight.unsqueeze(1)
    raise UserError(
        f"weight {tuple(weight.shape)} does not fit logits {tuple(logits.shape)}:"
        " it must be (N, *S), one number an element, or (N, C, *S)"
    )
