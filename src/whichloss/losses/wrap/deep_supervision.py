"""Deep supervision: a loss at every resolution at which a network answers."""

from collections.abc import Sequence
from itertools import pairwise
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from whichloss.core import Card, FieldError, UserError, WrapperLoss, numbers, parse
from whichloss.core.lift import Lift
from whichloss.core.loss import Known
from whichloss.core.prepare import Prepared
from whichloss.core.terms import Terms


class DeepSupervision(WrapperLoss):
    r"""The weighted mean of another loss over the outputs of a network, from the finest to the coarsest.

    $$\ell = \sum_i w_i\, \ell(u_i, y_i) \Big/ \sum_i w_i, \qquad w_i = 2^{-i}$$

    Called with a list of outputs where other losses take one. Deep layers learn from the target itself, not only
    through the layers above them. Targets go to each resolution once: class indices, with their weights, to the
    nearest element; proportions, yes/no and quantities to the mean over the area, by weight. An element is ignored
    where all below it are. With one output it is the inner loss.
    """

    takes = (-inf, inf)
    weights: tuple[float, ...] | None = numbers(None, low=0.0, optional=True)  # of the outputs; None: 1, 1/2, 1/4, ...

    card = Card(
        source="lee2015deeply",
        equation="definition; weights of isensee2021nnunet",
        range=(0.0, inf),
        smooth=True,
        convex=True,
        golden={(0.0,): 0.0, (0.5,): 0.5, (3.0,): 3.0},
        equals=(("DeepSupervision(Dice())", "Dice()"), ("DeepSupervision(CrossEntropy())", "CrossEntropy()")),
        note="nnU-Net gives its coarsest output no weight: weights=(1, 0.5, 0.25, 0). MONAI does not divide by the sum"
        " of the weights, 1.75 for three outputs, and takes the nearest element of any target.",
        peers={"nnU-Net": "DeepSupervisionWrapper", "MONAI": "DeepSupervisionLoss"},
    )

    @classmethod
    def examples(cls):
        return [cls(parse("Dice()")), cls(parse("CrossEntropy()"), weights=(1.0, 0.5, 0.25, 0.0))]

    def check(self) -> None:
        super().check()
        if self.weights is not None and not sum(self.weights):
            raise FieldError("DeepSupervision: one of the weights must be above 0")
        if not self.loss.answers:
            raise FieldError(f"DeepSupervision: the outputs of {self.loss.label} are embeddings, of one resolution")

    def formula(self, value: Tensor) -> Tensor:
        return value

    def measure(self, prepared: Prepared) -> Terms:
        return self.loss.measure(prepared)

    def needs_of_mean(self) -> Sequence[Lift]:
        return self.loss.lifts_of_mean

    def mean(self, prepared: Prepared) -> Tensor:
        return self.loss.mean(prepared)

    def __call__(
        self,
        output: Tensor | Sequence[Tensor],
        target: Tensor,
        weight: Tensor | None = None,
        *,
        ignore_index: int | None = None,
        known: Known | None = None,
    ) -> Tensor:
        """output: (N, C, *S), or a list of such of falling resolution. The rest: as for any loss, of the finest."""
        if isinstance(output, Tensor):
            return super().__call__(output, target, weight, ignore_index=ignore_index, known=known)
        values = []
        for one, share in zip(output, self._say(output, target), strict=True):
            if share and one.shape[2:] == _space(target, one):
                values.append(share * self.loss(one, target, weight, ignore_index=ignore_index, known=known))
            elif share:
                coarse, say, ignored = self._coarser(one, target, weight, ignore_index)
                values.append(share * self.loss(one, coarse, say, ignore_index=ignored))
        return torch.stack(values).sum()

    def terms(
        self,
        output: Tensor | Sequence[Tensor],
        target: Tensor,
        weight: Tensor | None = None,
        *,
        ignore_index: int | None = None,
        known: Known | None = None,
    ) -> Terms:
        """Those of the inner loss; of a list of outputs one, its total."""
        if isinstance(output, Tensor):
            return super().terms(output, target, weight, ignore_index=ignore_index, known=known)
        value = self(output, target, weight, ignore_index=ignore_index, known=known).reshape(1)
        return Terms(value, torch.ones_like(value))

    def _say(self, outputs: Sequence[Tensor], target: Tensor) -> list[float]:
        """The share of each output, of 1."""
        if not isinstance(outputs, list | tuple) or not outputs or not all(isinstance(one, Tensor) for one in outputs):
            raise UserError(f"{self.label} takes a tensor or a list of tensors, the finest first")
        sizes = [_space(target, outputs[0]), *(one.shape[2:] for one in outputs)]
        if not all(_covers(finer, one) for finer, one in pairwise(sizes)):
            raise UserError(
                f"{self.label}: outputs go from the finest, which is no finer than the target, to the coarsest;"
                f" the target is {tuple(sizes[0])}, the outputs are {', '.join(str(tuple(one)) for one in sizes[1:])}"
            )
        weights = self.weights or [0.5**at for at in range(len(outputs))]
        if len(weights) != len(outputs):
            raise UserError(f"{self.label} has {len(weights)} weights for {len(outputs)} outputs")
        return [one / sum(weights) for one in weights]

    def _coarser(
        self, output: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int | None
    ) -> tuple[Tensor, Tensor | None, int | None]:
        """Target, weight and index to ignore at the resolution of an output."""
        size = output.shape[2:]
        if target.ndim < output.ndim:
            return _nearest(target, size), None if weight is None else _nearest(weight, size), ignore_index
        target = target.to(torch.promote_types(output.dtype, torch.float32))
        weight = torch.ones_like(target[:, :1]) if weight is None else weight.to(target.dtype)
        weight = (weight.unsqueeze(1) if weight.ndim < target.ndim else weight).expand_as(target)
        if ignore_index is not None:
            ignored = target == ignore_index
            ignored = ignored.any(1, keepdim=True) if self.loss.exclusive(output) else ignored
            weight = torch.where(ignored, 0.0, weight)
        share = F.interpolate(weight, size, mode="area")
        known = F.interpolate(torch.where(weight > 0, weight * target, 0.0), size, mode="area")
        return known / torch.where(share > 0, share, 1.0), share, None


def _space(target: Tensor, output: Tensor) -> torch.Size:
    """The axes *S of a target, of which it has as many as an output."""
    return target.shape[target.ndim - output.ndim + 2 :]


def _covers(finer: torch.Size, coarser: torch.Size) -> bool:
    return len(finer) == len(coarser) and all(one >= other for one, other in zip(finer, coarser, strict=True))


def _nearest(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Labels or weights (..., *S) at the elements whose centres are nearest to those of a coarser space."""
    first = labels.ndim - len(size)
    for axis, (old, new) in enumerate(zip(labels.shape[first:], size, strict=True), first):
        places = torch.arange(new, device=labels.device)
        labels = labels.index_select(axis, (2 * places + 1) * old // (2 * new))
    return labels
