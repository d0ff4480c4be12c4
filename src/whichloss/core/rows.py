"""Rows: tensors that may be larger than memory, of which no copy is made, and the way through them part by part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

PART = 1 << 22  # elements that are looked at in one go


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a tensor, in an order: what the tensor indexed by a list would be, if that were no copy.

    `to` and `contiguous` move nothing: they say where, and in which order, what is cut out of the rows is wanted.
    """

    of: Tensor
    index: Sequence[int]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    memory: torch.memory_format = torch.contiguous_format

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[Tensor]:
        return (self.of[at] for at in self.index)

    def __getitem__(self, chosen: slice | Sequence[int] | Tensor) -> "Rows":
        picked = range(len(self))[chosen] if isinstance(chosen, slice) else torch.as_tensor(chosen).tolist()
        return replace(self, index=[self.index[at] for at in picked])

    def to(self, device: torch.device) -> "Rows":
        return replace(self, device=device)

    def contiguous(self, *, memory_format: torch.memory_format) -> "Rows":
        return replace(self, memory=memory_format)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self), *self.of.shape[1:]))

    @property
    def ndim(self) -> int:
        return self.of.ndim

    @property
    def dtype(self) -> torch.dtype:
        return self.of.dtype

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def is_floating_point(self) -> bool:
        return self.of.is_floating_point()

    def numel(self) -> int:
        return self.shape.numel()

    def element_size(self) -> int:
        return self.of.element_size()

    def min(self) -> Tensor:
        return torch.stack([one.min() for one in self]).min()

    def max(self) -> Tensor:
        return torch.stack([one.max() for one in self]).max()


def parts(tensor: Tensor) -> Iterator[Tensor]:
    """All elements, in their order, as flat views of at most PART of them. tensor: contiguous."""
    return iter(tensor.view(-1).split(PART))


def slabs(space: Sequence[int]) -> list[slice]:
    """The first axis of a space (*S) in pieces of at most PART elements, or of one layer."""
    thick = max(1, PART // max(1, torch.Size(space[1:]).numel()))
    return [slice(start, min(start + thick, space[0])) for start in range(0, space[0], thick)]


def finite(tensor: Tensor) -> bool:
    """Whether all elements are numbers."""
    return all(bool(part.isfinite().all()) for part in parts(tensor.contiguous()))
