"""Residual: output minus target, for outputs that are quantities rather than answers."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import UserError
from ..lift import Lift
from ..question import Batch


class Residuals(NamedTuple):
    """What a regression formula sees: residual (N, C, *S), and the say of each."""

    residual: Tensor
    share: Tensor


@dataclass(frozen=True)
class Residual(Lift):
    """Output minus a target of the same shape; or the probability of each class minus its proportion in the truth."""

    of: str = "output"

    def __call__(self, batch: Batch) -> Residuals:
        if self.of == "output":
            return _of_output(batch)
        question = batch.question(self.classes)
        share = (question.weight / question.logits.shape[1]).expand_as(question.logits)
        return Residuals(torch.where(share > 0, question.probabilities - question.proportions, 0.0), share)


def _of_output(batch: Batch) -> Residuals:
    output, target, weight = batch.output, batch.target, batch.weight
    if output.ndim < 2 or target.shape != output.shape or not output.is_floating_point():
        raise UserError(
            f"output {tuple(output.shape)} and target {tuple(target.shape)} must have the same shape (N, C, *S)"
        )
    if batch.ignore_index is not None:
        raise UserError("a regression target has no index to ignore: give a weight map")
    output = output.float() if output.dtype.itemsize < 4 else output
    residual = output - target.to(output.dtype)
    if weight is None:
        return Residuals(residual, residual.new_full((), 1 / output.shape[1]).expand_as(residual))
    if weight.shape not in (output.shape, output.shape[:1] + output.shape[2:]):
        raise UserError(f"weight {tuple(weight.shape)} does not fit output {tuple(output.shape)}")
    weight = (weight if weight.ndim == output.ndim else weight.unsqueeze(1)).to(output.dtype)
    share = (weight / output.shape[1]).expand_as(residual)
    return Residuals(torch.where(share > 0, residual, 0.0), share)
