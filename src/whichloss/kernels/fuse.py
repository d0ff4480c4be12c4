"""What is streamed instead of computed whole: the lifts that look at the logits of images on a CPU."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from whichloss.core.lift import Lift
from whichloss.core.lifts.log_probability import Answers, LogProbability
from whichloss.core.lifts.region import Counts, RegionSums
from whichloss.core.question import Batch, _check_weight, _is_exclusive, _weight

from .streamed import KINDS, STORED, streamed

LEAST = 1 << 15  # logits; of fewer the plain formula is as fast


def fused(batch: Batch, needs: Sequence[Lift]) -> list[Any]:
    """What a streamed pass gives of each need; None where it gives nothing."""
    made: dict[Lift, Any] = {}
    if _suits(batch):
        for classes in dict.fromkeys(one.classes for one in needs):
            made |= _stream(batch, classes, needs)
    return [made.get(one) for one in needs]


def _suits(batch: Batch) -> bool:
    output, others = batch.output, [one for one in (batch.target, batch.weight) if one is not None]
    return (
        output.device.type == "cpu" and output.layout == torch.strided and output.dtype in KINDS
        and 3 <= output.ndim <= 5 and output.numel() >= LEAST
        and all(one.device.type == "cpu" and one.layout == torch.strided and not one.requires_grad for one in others)
    )  # fmt: skip


def _stream(batch: Batch, classes: str, needs: Sequence[Lift]) -> dict[Lift, Any]:
    """Sums and log-probabilities in one pass, as far as they are needed."""
    output, target = batch.output, batch.target
    sums, log_p = RegionSums(classes), LogProbability(classes)
    exclusive, indexed = _is_exclusive(output, target, classes), target.ndim < output.ndim
    wanted = [one for one in (sums, log_p) if one in needs and (one == sums or (exclusive and indexed))]
    if not wanted or (indexed and target.dtype not in STORED):
        return {}
    real = torch.float64 if output.dtype == torch.float64 else torch.float32
    weight = None if batch.weight is None else _weight(batch, output.detach()).to(real)
    if weight is not None:
        _check_weight(batch, weight)
    truth = target.unsqueeze(1) if indexed else target.to(real)
    made = streamed(
        output, truth.detach(), weight, batch.ignore_index, exclusive, sums in wanted, log_p in wanted
    )
    return {one: _counts(made[0]) if one == sums else _answers(made[1], truth, weight, batch) for one in wanted}


def _counts(sums: Tensor) -> Counts:
    return Counts(*sums.unbind(1))


def _answers(log_p: Tensor, target: Tensor, weight: Tensor | None, batch: Batch) -> Answers:
    one = log_p.new_ones(()).expand_as(log_p)
    ignored = None if batch.ignore_index is None else target == batch.ignore_index
    share = one if weight is None else weight
    if share.shape[1] > 1:
        share = share.gather(1, (target if ignored is None else torch.where(ignored, 0, target)).long())
    return Answers(log_p, share if ignored is None else torch.where(ignored, 0.0, share), one, 0)
