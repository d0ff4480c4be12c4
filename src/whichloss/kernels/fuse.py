"""What is streamed instead of computed whole: the lifts that look at the logits of images and volumes.

Sums over voxels and log-probabilities are made in one pass by the compiled kernel; what it does not know, and all where
it is missing, in blocks of plain torch; what is no sum over voxels, by the plain formulas. Answers for whole images are
those for the voxels of one image, or cross-entropy as torch has it.
"""

import os
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from whichloss.core import LikelihoodLoss
from whichloss.core.errors import UserError
from whichloss.core.lift import Lift
from whichloss.core.lifts.averaged import Averaged
from whichloss.core.lifts.four_sums import FourCounts, FourSums
from whichloss.core.lifts.log_probability import Answers
from whichloss.core.lifts.power_sums import ErrorCounts, ErrorSums
from whichloss.core.lifts.region import Counts, RegionSums
from whichloss.core.question import Batch, check_weight, is_exclusive, out_of_range, weight_of
from whichloss.core.terms import weight_sum

from . import pairs
from .blocks import Lifted, Softmax, averaged, in_blocks
from .library import found, library
from .pairs import transformed
from .plan import ADDITIVE, Group, Pass, Plan, plan_of, prices
from .streamed import KINDS, STORED, Streams, real, stream

MODES = ("auto", "torch", "off")  # all there is; without the compiled kernel; plain formulas alone
MODE = os.environ.get("WHICHLOSS_KERNELS", "auto")
if MODE not in MODES:
    raise UserError(f"WHICHLOSS_KERNELS is one of {', '.join(MODES)}, not {MODE!r}")

LEAST = 1 << 12  # logits; of fewer the plain formula is as fast as blocks of torch, a GPU, or a compiler's steps
FEW, MANY = 32, 256  # classes of whole images; with some in between torch's cross-entropy is as fast
FEWEST = 4  # classes; of fewer the plain formula is faster than blocks of torch
COMPILED = MODE == "auto" and library() is not None
NAME = f"compiled ({found()})" if COMPILED else "plain" if MODE == "off" else "torch in blocks"


def fused(batch: Batch, needs: Sequence[Lift]) -> list[Any]:
    """What a streamed pass gives of each need; None where it gives nothing."""
    made: list[Any] = [None] * len(needs)
    if MODE == "off":
        return made
    plan = plan_of(needs)
    for at, loss in plan.embeddings:
        made[at] = pairs.averaged(batch, loss)
    if plan.groups and _plain_tensors(batch):
        batch = _as_an_image(batch, plan)
        cpu, logits = batch.output.device.type == "cpu", batch.output.numel() if 3 <= batch.output.ndim <= 5 else 0
        enough = logits >= LEAST
        streams = COMPILED and (enough or not torch.compiler.is_compiling()) if cpu else enough and _on_gpu()
        for group in plan.groups if logits else ():
            if streams:
                _stream(batch, group, made)
            if cpu and enough:
                _in_blocks(batch, group, made)
        for group in plan.groups if batch.output.ndim == 2 else ():
            _by_torch(batch, group, made)
    return made


# what the batch is


def _plain_tensors(batch: Batch) -> bool:
    """On one device, and what they seem: no subclass, nothing that torch.func looks through."""
    output, target, weight = batch.output, batch.target, batch.weight
    device = output.device
    return (
        device.type in ("cpu", "cuda") and output.dtype in KINDS and output.layout == torch.strided
        and type(output) in _KNOWN and _companion(target, device) and (weight is None or _companion(weight, device))
        and (torch.compiler.is_compiling() or not transformed(output))
    )  # fmt: skip


_KNOWN = (Tensor, torch.nn.Parameter)


def _companion(x: Tensor, device: torch.device) -> bool:
    return (
        type(x) in _KNOWN and x.layout == torch.strided and x.device == device and not x.requires_grad
        and (x.dtype in STORED or x.is_floating_point())
    )  # fmt: skip


def _as_an_image(batch: Batch, plan: Plan) -> Batch:
    """Answers for whole images (N, C), where a mean over all is asked for, as those for the voxels of one image.

    Yes/no answers are all of one channel. One class of several: with classes in between torch's own operator is faster.
    """
    output, target, weight = batch.output, batch.target, batch.weight
    if output.ndim != 2 or not plan.lumps:
        return batch
    if weight is not None and weight.shape not in (output.shape, output.shape[:1]):
        return batch  # which the plain formula refuses
    exclusive = {is_exclusive(output, target, one.classes) for one in plan.groups}
    if exclusive == {False}:
        shape = 1, 1, *output.shape
        if weight is not None:
            weight = (weight if weight.ndim == 2 else weight.unsqueeze(1)).expand(shape)
        return Batch(output.view(shape), target.view(shape), weight, batch.ignore_index)
    classes, by_row = output.shape[1], target.ndim == 1 and (weight is None or weight.ndim == 1)
    few, many = classes <= FEW, classes >= MANY and by_row and output.stride(1) == 1 and output.dtype.itemsize > 2
    worth = COMPILED and output.numel() >= LEAST and (few or many)
    if exclusive != {True} or not worth:
        return batch
    weight = None if weight is None else weight.t()[None]
    return Batch(output.t()[None], target.t()[None], weight, batch.ignore_index)


@cache
def _on_gpu() -> bool:
    from .triton_lift import available

    return MODE == "auto" and available()


# by torch's own operator


def _by_torch(batch: Batch, group: Group, made: list[Any]) -> None:
    """Class indices of whole images, all of one say: there is no space to stream, and torch has it in two steps."""
    output, target = batch.output, batch.target
    if batch.weight is not None or batch.ignore_index is not None or torch.compiler.is_compiling():
        return
    if target.ndim == 2 or not is_exclusive(output, target, group.classes):
        return
    logits, target = output.to(real(output)), target.long()
    for at, loss in group.means.items():
        if at in group.priced or not target.numel():
            continue
        curved = loss.focus != 0
        try:
            cost = F.cross_entropy(logits, target, ignore_index=NO_INDEX, reduction="none" if curved else "mean")
        except IndexError:
            raise out_of_range(target, None, output.shape[1]) from None
        made[at] = _formula(loss, cost.neg()).mean() if curved else cost


NO_INDEX = -(1 << 61) - 1  # which no target holds: for functions that must ignore one


# by the compiled kernel


def _stream(batch: Batch, group: Group, made: list[Any]) -> None:
    """Sums and log-probabilities in one pass, as far as they are needed and known to the kernel."""
    output = batch.output
    exclusive, indexed = is_exclusive(output, batch.target, group.classes), batch.target.ndim < output.ndim
    passes = group.passes(exclusive, indexed, output.device.type == "cuda")
    if not passes:
        return
    truth, weight = _as_the_kernel_reads(batch)
    output = output if len(passes) == 1 else output.to(real(output))  # whose gradients are added up
    linear = None
    priced: list[tuple[int, Streams]] = []
    for one in passes:
        seen = stream(output, truth, weight, batch.ignore_index, exclusive, one.region, one.likelihood, one.focus)
        if seen.tp is not None and seen.fp is not None and seen.fn is not None:
            counts = Counts(seen.tp, seen.fp, seen.fn, seen.elements)
            linear = counts if one.region == "linear" else linear
            if one.counts is not None:
                made[one.counts] = counts
        for at in one.means:
            if at in group.priced:
                priced.append((at, seen))
            else:
                made[at] = seen.cost
        if one.each is not None or one.curved:
            _of_each(batch, group, one, seen, truth, weight, made)
    for at, seen in priced:
        asked = prices(group.means[at], linear)
        assert asked is not None
        yes, no = (part.flatten(1) if isinstance(part, Tensor) else part for part in asked)
        made[at] = -(yes * seen.said + no * seen.other).sum() / seen.weight


def _of_each(
    batch: Batch, group: Group, one: Pass, seen: Streams, truth: Tensor, weight: Tensor | None, made: list[Any]
) -> None:
    """What is made of each log-probability."""
    share = _share(batch, truth, weight)
    assert seen.each is not None
    for at in one.curved:
        made[at] = averaged(partial(_formula, group.means[at]), seen.each, share, seen.weight)
    if one.each is not None:
        ones = seen.each.new_ones(()).expand_as(seen.each)
        made[one.each] = Answers(seen.each, ones if share is None else share, ones, 0)


def _as_the_kernel_reads(batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Target and weight as they are stored, where that is a type it knows, with an axis of classes."""
    output, target, weight = batch.output, batch.target.detach(), batch.weight
    truth = target.unsqueeze(1) if target.ndim < output.ndim else target
    reads = STORED if output.device.type == "cpu" else {}
    truth = truth if truth.dtype in reads or target.ndim < output.ndim else truth.to(real(output))
    if weight is None:
        return truth, None
    check_weight(batch, weight)
    kind = weight.dtype if weight.dtype in reads else real(output)
    return truth, weight_of(batch, output.new_empty((), dtype=kind).expand(output.shape))


def _formula(loss: LikelihoodLoss, log_p: Tensor) -> Tensor:
    """Of the log-probabilities of truths that are sure."""
    value = loss.formula(log_p)
    least = None if type(loss).least is LikelihoodLoss.least else loss.least(log_p.new_ones(()))
    return value if least is None else value - least


def _share(batch: Batch, target: Tensor, weight: Tensor | None) -> Tensor | None:
    """The say of each voxel by the class that is its truth, (N, 1, *S); None: 1."""
    index, kind = batch.ignore_index, torch.iinfo(target.dtype if target.dtype != torch.bool else torch.uint8)
    ignored = target == index if index is not None and kind.min <= index <= kind.max else None
    if weight is None:
        return None if ignored is None else (~ignored).to(real(batch.output))
    weight = weight.to(real(batch.output))
    if weight.shape[1] > 1:
        weight = weight.gather(1, (target if ignored is None else torch.where(ignored, 0, target)).long())
    return weight if ignored is None else torch.where(ignored, 0.0, weight)


# in blocks of torch


def _in_blocks(batch: Batch, group: Group, results: list[Any]) -> None:
    """What is left of the sums over voxels, where that is worth it."""
    output, target, classes = batch.output, batch.target, group.classes
    needs = {one: at for at, one in group.needs.items() if results[at] is None}
    if not needs or torch.compiler.is_compiling() or output.shape[1] < FEWEST:
        return
    if batch.weight is not None:
        check_weight(batch, batch.weight)
    made: dict[Lift, Any] = {}
    additive = [one for one in needs if isinstance(one, ADDITIVE)]
    means = [one for one in needs if isinstance(one, Averaged)]
    means = [one for one in means if needs[one] not in group.looking]
    linear = [one for one in means if one.loss.focus == 0 and needs[one] not in group.priced]
    region, shared = RegionSums(classes), batch.weight is None or batch.weight.ndim < output.ndim
    if (
        is_exclusive(output, target, classes)
        and target.ndim < output.ndim
        and shared
        and (region in additive or linear)
    ):
        plain = [region, *linear[:1]]
        parts = in_blocks(Softmax(bool(linear)), plain, batch)
        made[region] = Counts(*parts[:4])
        made |= {one: parts[4].sum() / weight_sum(parts[5]) for one in linear}
    rest = [one for one in (*additive, *means) if one not in made]
    if rest:
        parts = in_blocks(Lifted(rest), rest, batch)
        for one in rest:
            made[one], parts = _gathered(one, parts)
    for one, at in needs.items():
        results[at] = made.get(one)


def _gathered(need: Lift, parts: list[Tensor]) -> tuple[Any, list[Tensor]]:
    """What a lift gives, from its sums; and the sums of the others."""
    if isinstance(need, Averaged):
        return parts[0].sum() / weight_sum(parts[1]), parts[2:]
    made = {FourSums: FourCounts, ErrorSums: ErrorCounts}.get(type(need), Counts)
    return made(*parts[: len(made._fields)]), parts[len(made._fields) :]
