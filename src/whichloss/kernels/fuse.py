"""What is streamed instead of computed whole: the lifts that look at the logits of images and volumes.

Sums over voxels and log-probabilities are made in one pass by the compiled kernel; what it does not know, and all where
it is missing, in blocks of plain torch; small batches, and what is no sum over voxels, by the plain formulas.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from whichloss.core import EmbeddingLoss, LikelihoodLoss, Prices
from whichloss.core.errors import UserError
from whichloss.core.lift import Lift
from whichloss.core.lifts.averaged import Averaged
from whichloss.core.lifts.four_sums import FourCounts, FourSums
from whichloss.core.lifts.log_probability import Answers, LogProbability
from whichloss.core.lifts.power_sums import ErrorCounts, ErrorSums, PowerSums
from whichloss.core.lifts.region import Counts, RegionSums
from whichloss.core.question import Batch, check_weight, is_exclusive, weight_of

from . import pairs
from .blocks import Lifted, Softmax, in_blocks, summed
from .library import found, library
from .pairs import transformed
from .streamed import KINDS, STORED, real, stream

MODES = ("auto", "torch", "off")  # all there is; without the compiled kernel; plain formulas alone
MODE = os.environ.get("WHICHLOSS_KERNELS", "auto")
if MODE not in MODES:
    raise UserError(f"WHICHLOSS_KERNELS is one of {', '.join(MODES)}, not {MODE!r}")

LEAST = 1 << 12  # logits; of fewer the plain formula is as fast
FEWEST = 4  # classes; of fewer the plain formula is faster than blocks of torch
COMPILED = MODE == "auto" and library() is not None
NAME = f"compiled ({found()})" if COMPILED else "plain" if MODE == "off" else "torch in blocks"
ADDITIVE = RegionSums | PowerSums | ErrorSums | FourSums


def fused(batch: Batch, needs: Sequence[Lift]) -> list[Any]:
    """What a streamed pass gives of each need; None where it gives nothing."""
    made: dict[Lift, Any] = {}
    if MODE != "off":
        for one in needs:
            if isinstance(one, Averaged) and isinstance(one.loss, EmbeddingLoss):
                made[one] = pairs.averaged(batch, one.loss)
        known = [one for one in needs if isinstance(one, ADDITIVE | LogProbability) or _of_likelihood(one)]
        batch = _as_one_channel(batch, known)
        if known and _suits(batch):
            for classes in dict.fromkeys(one.classes for one in known):
                of_these = [one for one in known if one.classes == classes]
                if COMPILED if batch.output.device.type == "cpu" else _on_gpu():
                    made |= _stream(batch, classes, of_these)
                if batch.output.device.type == "cpu":
                    made |= _in_blocks(batch, classes, [one for one in of_these if one not in made])
    return [made.get(one) for one in needs]


def _as_one_channel(batch: Batch, needs: Sequence[Lift]) -> Batch:
    """Yes/no answers for whole images (N, C) as those of one channel: a mean over all is the same."""
    output, target, weight = batch.output, batch.target, batch.weight
    if output.ndim != 2 or target.shape != output.shape:
        return batch
    if weight is not None and weight.shape not in (output.shape, output.shape[:1]):
        return batch  # which the plain formula refuses
    for one in needs:
        if not isinstance(one, Averaged) or _looks_at_prevalence(one.loss) or is_exclusive(output, target, one.classes):
            return batch
    if weight is not None:
        weight = (weight if weight.ndim == 2 else weight.unsqueeze(1)).expand_as(output)[None, None]
    return Batch(output[None, None], target[None, None], weight, batch.ignore_index)


@cache
def _on_gpu() -> bool:
    from .triton_lift import available

    return MODE == "auto" and available()


def _of_likelihood(need: Lift) -> bool:
    if not (isinstance(need, Averaged) and isinstance(need.loss, LikelihoodLoss)):
        return False
    try:
        _prices(need.loss, None)
    except AttributeError:  # its prices look at each answer
        return False
    return True


def _suits(batch: Batch) -> bool:
    output, target, weight = batch.output, batch.target, batch.weight
    others = [target] if weight is None else [target, weight]
    return (
        output.device.type in ("cpu", "cuda") and output.layout == torch.strided and output.dtype in KINDS
        and 3 <= output.ndim <= 5 and output.numel() >= max(LEAST, 1)
        and (target.dtype in STORED or target.is_floating_point())
        and all(one.device == output.device and one.layout == torch.strided and not one.requires_grad for one in others)
        and all(type(one) in (Tensor, torch.nn.Parameter) for one in (output, *others))
        and (torch.compiler.is_compiling() or not transformed(output))
    )  # fmt: skip


# by the compiled kernel


def _stream(batch: Batch, classes: str, needs: Sequence[Lift]) -> dict[Lift, Any]:
    """Sums and log-probabilities in one pass, as far as they are needed and known to the kernel.

    A pass has one way to count errors and one focus; what asks for another has a pass of its own.
    """
    exclusive, indexed = is_exclusive(batch.output, batch.target, classes), batch.target.ndim < batch.output.ndim
    regions = {_REGIONS.get(_without_classes(one)): one for one in needs}
    regions = {name: one for name, one in regions.items() if name}
    means = [one for one in needs if isinstance(one, Averaged)]
    if exclusive:  # which have no yes and no to be priced: the plain formula says so
        means = [one for one in means if _prices(one.loss, None) is None]
    else:
        means = [one for one in means if one.loss.focus is not None]
    if batch.output.device.type == "cuda":  # whose kernel counts errors in one way, and has no focus
        regions = {name: one for name, one in regions.items() if name == "linear"}
        means = [one for one in means if exclusive or one.loss.focus == 0]
    curved = [one for one in means if exclusive and indexed and one.loss.focus != 0]
    sums = [one for one in means if not exclusive or one.loss.focus == 0]
    each = [one for one in needs if one == LogProbability(classes) and exclusive and indexed]
    if not (regions or sums or curved or each):
        return {}
    if not exclusive and any(_looks_at_prevalence(one.loss) for one in sums):
        regions.setdefault("linear", RegionSums(classes))
    focuses = list(dict.fromkeys(one.loss.focus for one in sums)) or [0.0]
    likelihood = "each" if each or curved else "sum" if sums else "none"
    passes = list(zip_longest(regions or ["none"], focuses))
    truth, weight = _as_the_kernel_reads(batch)
    output = batch.output if len(passes) == 1 else batch.output.to(real(batch.output))  # whose gradients are added up
    made: dict[Lift, Any] = {}
    for name, focus in passes:
        asked = "none" if focus is None else likelihood
        tp, fp, fn, elements, said, share, of_truth = stream(
            output, truth, weight, batch.ignore_index, exclusive, name or "none", asked, focus or 0.0
        )
        counts = Counts(tp, fp, fn, elements.detach())
        if name in regions:
            made[regions[name]] = counts
        made |= {one: (said, share, counts.elements) for one in sums if one.loss.focus == focus}
        if asked == "each":
            made |= _of_each(batch, truth, weight, of_truth, each, curved, share.detach().sum())
    counts = made.get(RegionSums(classes))
    made |= {one: _mean_of_sums(one.loss, made[one], counts, exclusive) for one in sums}
    return {one: result for one, result in made.items() if one in needs}


_REGIONS = {RegionSums(): "linear", RegionSums(squared=True): "squared", PowerSums(exponent=2.0): "power"}


def _without_classes(need: Lift) -> Lift | None:
    return replace(need, classes="auto") if isinstance(need, RegionSums | PowerSums) else None


def _of_each(
    batch: Batch,
    truth: Tensor,
    weight: Tensor | None,
    log_p: Tensor,
    each: Sequence[Lift],
    curved: Sequence[Averaged],
    shares: Tensor,
) -> dict[Lift, Any]:
    """What is made of each log-probability."""
    share = _share(batch, truth, weight)
    made: dict[Lift, Any] = {one: _curved(one.loss, log_p, share) / _or_one(shares) for one in curved}
    if each:
        one = log_p.new_ones(()).expand_as(log_p)
        made[each[0]] = Answers(log_p, one if share is None else share, one, 0)
    return made


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


def _mean_of_sums(
    loss: LikelihoodLoss, sums: tuple[Tensor, Tensor, Tensor], counts: Counts | None, exclusive: bool
) -> Tensor:
    """The mean of a loss that is a power of the error times -log p, from the last sums of a pass."""
    said, other, elements = sums
    if exclusive:
        return -said.sum() / _or_one(other.detach().sum())
    prices = _prices(loss, counts) or (1.0, 1.0)
    yes, no = (one.flatten(1) if isinstance(one, Tensor) else one for one in prices)
    return -(yes * said + no * other).sum() / _or_one(elements.sum())


def _curved(loss: LikelihoodLoss, log_p: Tensor, share: Tensor | None) -> Tensor:
    """The sum of what elements cost, each times its share."""
    least = loss.least(log_p.new_ones(()))
    return summed(loss.formula if least is None else partial(_less, loss.formula, least), log_p, share)


def _less(formula: Callable[[Tensor], Tensor], least: Tensor, x: Tensor) -> Tensor:
    return formula(x) - least


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


class _Prevalence:
    """Answers of a batch of which only counts are known."""

    def __init__(self, counts: Counts | None) -> None:
        self.counts, self.looked, self.yes = counts, False, 1

    def prevalence(self, over: str) -> Tensor:
        self.looked = True
        if self.counts is None:
            return torch.zeros(())
        yes, total = self.counts.tp + self.counts.fn, self.counts.elements
        if over == "batch":
            yes, total = yes.sum(0, keepdim=True), total.sum(0, keepdim=True)
        return (yes / _or_one(total)).detach()


def _prices(loss: LikelihoodLoss, counts: Counts | None) -> Prices | None:
    return loss.prices(_Prevalence(counts))  # type: ignore[arg-type]


def _looks_at_prevalence(loss: LikelihoodLoss) -> bool:
    seen = _Prevalence(None)
    loss.prices(seen)  # type: ignore[arg-type]
    return seen.looked


def _or_one(total: Tensor) -> Tensor:
    return torch.where(total > 0, total, 1.0)


# in blocks of torch


def _in_blocks(batch: Batch, classes: str, needs: Sequence[Lift]) -> dict[Lift, Any]:
    """Sums over voxels, where that is worth it."""
    output, target = batch.output, batch.target
    if torch.compiler.is_compiling() or output.shape[1] < FEWEST:
        return {}
    if batch.weight is not None:
        check_weight(batch, batch.weight)
    made: dict[Lift, Any] = {}
    additive = [one for one in needs if isinstance(one, ADDITIVE)]
    means = [one for one in needs if isinstance(one, Averaged)]
    means = [one for one in means if not _looks_at_prevalence(one.loss)]
    linear = [one for one in means if one.loss.focus == 0 and _prices(one.loss, None) is None]
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
        made |= {one: parts[4].sum() / _or_one(parts[5].sum()) for one in linear}
    rest = [one for one in (*additive, *means) if one not in made]
    if rest:
        parts = in_blocks(Lifted(rest), rest, batch)
        for one in rest:
            made[one], parts = _gathered(one, parts)
    return {one: result for one, result in made.items() if one in needs}


def _gathered(need: Lift, parts: list[Tensor]) -> tuple[Any, list[Tensor]]:
    """What a lift gives, from its sums; and the sums of the others."""
    if isinstance(need, Averaged):
        return parts[0].sum() / _or_one(parts[1].sum()), parts[2:]
    made = {FourSums: FourCounts, ErrorSums: ErrorCounts}.get(type(need), Counts)
    return made(*parts[: len(made._fields)]), parts[len(made._fields) :]
