"""The lifts in plain torch, some voxels at a time, so that what is made on the way stays in cache.

What there is without a compiled kernel, and what it does not know. Results are sums over voxels; backward sees each
block again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from whichloss.core.lift import Lift
from whichloss.core.lifts.averaged import Averaged
from whichloss.core.prepare import Prepared
from whichloss.core.question import Batch, out_of_range, weight_of

from .library import in_huge_pages

CELLS = 1 << 19  # logits of a block
POINTS = 1 << 17  # numbers of a block of `averaged`
FEW = 1 << 13  # which torch adds up in one thread, so that the sum does not depend on how many there are

Where = tuple[slice, ...]  # of an image, and of its axes of space


class Piece(ABC):
    """What is summed. `forward` gives tensors of one block, which add up over the blocks of an image."""

    @abstractmethod
    def forward(self, block: Batch) -> list[Tensor]: ...

    @abstractmethod
    def backward(self, block: Batch, upstream: Sequence[Tensor]) -> Tensor:
        """The gradient at the logits of the block."""


class Lifted(Piece):
    """Any lifts that are sums over voxels: their plain formulas, on each block."""

    def __init__(self, needs: Sequence[Lift]) -> None:
        self.needs = needs

    def forward(self, block: Batch) -> list[Tensor]:
        return [part for need in self.needs for part in _sums(need, block)]

    def backward(self, block: Batch, upstream: Sequence[Tensor]) -> Tensor:
        with torch.enable_grad():
            logits = block.output.detach().requires_grad_()
            parts = self.forward(Batch(logits, block.target, block.weight, block.ignore_index))
        pairs = [(part, above) for part, above in zip(parts, upstream, strict=True) if part.requires_grad]
        return torch.autograd.grad([part for part, _ in pairs], logits, [above for _, above in pairs])[0]


def _sums(need: Lift, block: Batch) -> Sequence[Tensor]:
    if not isinstance(need, Averaged):
        return need(block)
    value, weight = need.loss.measure(Prepared(block, need.loss.lifts))
    return (torch.where(weight > 0, value, 0.0) * weight).sum().reshape(1, 1), weight.sum().reshape(1, 1)


class Softmax(Piece):
    """Region sums of exclusive classes, and the sum of -log p, of class indices, without one-hot targets.

    Gives TP, FP, FN, elements (1, C); and, with `likelihood`, the sums of -w log p and of w, (1, 1).
    """

    def __init__(self, likelihood: bool) -> None:
        self.likelihood = likelihood

    def forward(self, block: Batch) -> list[Tensor]:
        logits, truth, weight = self._flat(block)
        p = logits.softmax(0)
        hit = self._of_truth(p, truth, block).squeeze(0)
        found, missed = (hit, 1 - hit) if weight is None else (weight * hit, weight * (1 - hit))
        total = p.new_tensor(float(hit.numel())) if weight is None else weight.sum()
        sums = [p.new_zeros(len(p)).index_add_(0, truth[0], part) for part in (found, missed)]
        more = []
        if self.likelihood:
            log_p = logits.gather(0, truth).squeeze(0) - logits.amax(0) + p.amax(0).log()
            more = [-(log_p if weight is None else weight * log_p).sum(), total]
        p.scatter_(0, truth, 0.0)
        wrong = p.sum(1) if weight is None else p @ weight
        parts = [sums[0], wrong, sums[1], total.expand(len(p)), *(part.reshape(1) for part in more)]
        return [part.unsqueeze(0) for part in parts]

    def backward(self, block: Batch, upstream: Sequence[Tensor]) -> Tensor:
        logits, truth, weight = self._flat(block)
        p = logits.softmax(0)
        of_tp, of_fp, of_fn = (part[0] for part in upstream[:3])
        hit = p.gather(0, truth).squeeze(0)
        right = hit * (of_tp - of_fn - of_fp)[truth[0]]
        mean = of_fp @ p + right
        if self.likelihood:
            said = upstream[4].reshape(())
            mean, right = mean - said, right - said
        p *= of_fp.unsqueeze(1) - mean
        p.scatter_add_(0, truth, right.unsqueeze(0))
        if weight is not None:
            p *= weight
        return p.reshape(block.output.shape)

    def _flat(self, block: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits (C, M), class indices (1, M), weights (M,)."""
        logits, truth = block.output[0].flatten(1), block.target.reshape(1, -1).long()
        logits = logits.float() if logits.dtype.itemsize < 4 else logits
        weight = None if block.weight is None else weight_of(block, logits.new_empty(block.output.shape)).flatten()
        if block.ignore_index is not None:
            ignored = truth == block.ignore_index
            weight = torch.where(ignored[0], 0.0, 1.0 if weight is None else weight)
            truth = torch.where(ignored, 0, truth)
        if weight is not None:
            weight = weight.to(logits.dtype)
            logits = torch.where(weight > 0, logits, 0.0)
        return logits, truth, weight

    def _of_truth(self, p: Tensor, truth: Tensor, block: Batch) -> Tensor:
        try:
            return p.gather(0, truth)
        except (RuntimeError, IndexError):
            raise out_of_range(block.target, block.ignore_index, len(p)) from None


def in_blocks(piece: Piece, needs: Sequence[Lift], batch: Batch) -> list[Tensor]:
    """The sums of a piece over each image, (N, C) or (N, 1). `needs`: the plain lifts that are the same."""
    return list(InBlocks.apply(batch.output, batch, piece, needs))  # type: ignore[arg-type]


class InBlocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, batch: Batch, piece: Piece, needs: Sequence[Lift]) -> tuple[Tensor, ...]:
        ctx.save_for_backward(logits)
        ctx.of = batch.target, batch.weight, batch.ignore_index, piece, needs
        sums: list[list[Tensor]] = []
        for image in range(len(logits)):
            blocks = [piece.forward(_block(batch, where)) for where in _blocks(logits, image)]
            sums.append([torch.cat(same).sum(0, dtype=torch.float64) for same in zip(*blocks, strict=True)])
        kind = torch.float64 if logits.dtype == torch.float64 else torch.float32
        return tuple(torch.stack(same).to(kind) for same in zip(*sums, strict=True))

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (logits,) = ctx.saved_tensors
        target, weight, ignore_index, piece, needs = ctx.of
        batch = Batch(logits, target, weight, ignore_index)
        if torch.is_grad_enabled():  # a second derivative will be asked for: the plain formula has one
            plain = [part for need in needs for part in _whole(need, batch)]
            pairs = [(part, above) for part, above in zip(plain, upstream, strict=True) if part.requires_grad]
            parts, aboves = zip(*pairs, strict=True)
            return *torch.autograd.grad(parts, logits, aboves, create_graph=True), None, None, None
        gradient = in_huge_pages(torch.empty_like(logits))
        for image in range(len(logits)):
            of_image = [part[image : image + 1] for part in upstream]
            for where in _blocks(logits, image):
                gradient[_in(logits, where)] = piece.backward(_block(batch, where), of_image)
        return gradient, None, None, None


def _whole(need: Lift, batch: Batch) -> Sequence[Tensor]:
    """As `_sums`, of each image."""
    if not isinstance(need, Averaged):
        return need(batch)
    images = [_block(batch, (slice(image, image + 1),)) for image in range(len(batch.output))]
    return [torch.cat(same) for same in zip(*(_sums(need, one) for one in images), strict=True)]


def _blocks(logits: Tensor, image: int) -> Iterator[Where]:
    """Slices of an image that hold about CELLS logits, along the first axes of space."""
    one = slice(image, image + 1)
    first, *others = logits.shape[2:]
    plane = logits[0, :, 0].numel() if first else 0
    rows = max(1, CELLS // max(1, plane))
    along = others and plane > 2 * CELLS
    columns = max(1, CELLS // max(1, plane // others[0])) if along else 0
    for at in range(0, first, rows):
        if not along:
            yield one, slice(at, at + rows)
            continue
        for of in range(0, others[0], columns):
            yield one, slice(at, at + rows), slice(of, of + columns)


def _in(x: Tensor, where: Where) -> tuple[slice, ...]:
    return (where[0], slice(None), *where[1:])


def _block(batch: Batch, where: Where) -> Batch:
    output, target, weight = batch.output, batch.target, batch.weight

    def cut(x: Tensor) -> Tensor:
        return x[_in(x, where)] if x.ndim == output.ndim else x[where]

    return Batch(cut(output), cut(target), None if weight is None else cut(weight), batch.ignore_index)


# a formula of one number


def averaged(formula: Callable[[Tensor], Tensor], x: Tensor, share: Tensor | None, total: Tensor | float) -> Tensor:
    """The sum of formula(x) times its share, where that is above 0, over the total. Backward keeps one number an x."""
    if torch.compiler.is_compiling() or x.numel() <= FEW:  # a compiler does as much by itself
        return formula(x).mean() if share is None else _shared(formula, x, share).sum() / total
    return Summed.apply(x, share, formula) / total  # type: ignore[operator]


def _shared(formula: Callable[[Tensor], Tensor], x: Tensor, share: Tensor | None) -> Tensor:
    if share is None:
        return formula(x)
    value = formula(torch.where(share > 0, x, -1.0))
    return torch.where(share > 0, value, 0.0) * share


class Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, share: Tensor | None, formula: Callable[[Tensor], Tensor]) -> Tensor:
        flat, of = x.reshape(-1), None if share is None else share.expand_as(x).reshape(-1)
        learns = ctx.needs_input_grad[0]
        slope = torch.empty_like(flat) if learns else None
        sums = []
        for at in range(0, len(flat), POINTS):
            part = slice(at, at + POINTS)
            with torch.set_grad_enabled(learns):
                one = flat[part].detach().requires_grad_(learns)
                value = _shared(formula, one, None if of is None else of[part])
            if slope is not None:
                slope[part] = torch.autograd.grad(value, one, torch.ones_like(value))[0]
            sums += [few.sum() for few in value.detach().split(FEW)]
        if slope is not None:
            ctx.save_for_backward(slope.reshape(x.shape))
        return torch.stack(sums).sum(dtype=torch.float64).to(x.dtype) if sums else flat.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        return ctx.saved_tensors[0] * upstream[0], None, None
