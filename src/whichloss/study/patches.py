"""Patches: images and volumes larger than what a network is trained on.

Training sees one patch of each image; prediction slides a window over the whole.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from math import ceil
from typing import Literal, Protocol

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

from whichloss.core import FieldError, UserError, Value, fraction, number
from whichloss.core.rows import Rows, slabs

from .wholes import wholes

Weights = Literal["gaussian", "constant"]


class Patches(Value):
    """Training on patches of one size, some of them centred on foreground, as nnU-Net does it."""

    size: tuple[int, ...] = wholes((96, 96), low=1)  # voxels, (y, x) or (z, y, x)
    foreground: float = fraction(0.33)  # share of patches centred on a voxel of a class above 0
    overlap: float = number(0.5, low=0.0, high=0.95)  # of windows in prediction, a share of each side

    def check(self) -> None:
        if len(self.size) not in (2, 3):
            raise FieldError(f"Patches: size is {self.size}; an image has 2 axes, a volume 3")

    @torch.no_grad()
    def sample(
        self, images: Tensor, labels: Tensor, random: Generator, beside: "Follower | None" = None
    ) -> tuple[Tensor, Tensor]:
        """One patch of each image: (N, C, *S) and (N, *S) to (N, C, *size) and (N, *size), on their device.

        Of Rows that stand in for tensors, no more images are read than these patches.

        A patch lies inside its image; near the edge a foreground voxel is therefore not in the middle. Of several
        classes in an image each is as likely to be the centre as any other. Images smaller than the patch get zeros and
        background on both sides. An image without foreground gives a patch from anywhere. random: on the CPU.
        beside: is told of the boxes, to cut what else belongs to the masks.
        """
        self._accept(images, labels)
        # as many draws for every image, whatever is found in it
        draws = torch.rand(len(images), 3 + len(self.size), generator=random, dtype=torch.float64)
        boxes = [self._box(mask, draw) for mask, draw in zip(labels, draws.tolist(), strict=True)]
        patches = torch.stack([cut(image, box) for image, box in zip(images, boxes, strict=True)])
        masks = torch.stack([cut(mask.unsqueeze(0), box)[0] for mask, box in zip(labels, boxes, strict=True)])
        if isinstance(labels, Rows):
            masks = masks.long()
        patches, masks = patches.to(images.device), masks.to(labels.device)
        if beside is not None:
            beside.cut(boxes, labels.shape[1:], masks)
        return patches.contiguous(memory_format=memory_format(images)), masks

    def corners(self, images: Tensor) -> Tensor:
        """The first patch of each image, to try a network on."""
        return torch.stack([cut(image, tuple(map(slice, self.size))) for image in images]).to(images.device)

    def _accept(self, images: Tensor, labels: Tensor) -> None:
        if images.ndim != 2 + len(self.size):
            raise UserError(f"patches of {self.size} cannot be cut from images {tuple(images.shape)}, (N, C, *S)")
        if labels.shape != (len(images), *images.shape[2:]):
            raise UserError(
                f"labels {tuple(labels.shape)} are no masks of images {tuple(images.shape)}: what is true of an image"
                " need not be true of a patch of it"
            )

    def _box(self, mask: Tensor, draw: Sequence[float]) -> tuple[slice, ...]:
        wanted, which_class, which_voxel, *corner = draw
        room = [max(0, side - window) for side, window in zip(mask.shape, self.size, strict=True)]
        centre = _foreground(mask, which_class, which_voxel) if wanted < self.foreground else None
        if centre is None:
            starts = [int(place * (free + 1)) for place, free in zip(corner, room, strict=True)]
        else:
            before = [at - window // 2 for at, window in zip(centre, self.size, strict=True)]
            starts = [min(max(start, 0), free) for start, free in zip(before, room, strict=True)]
        return _box_at(starts, self.size)


class Follower(Protocol):
    """What belongs to the masks of a batch, and goes where they go."""

    def cut(self, boxes: Sequence[Sequence[slice]], space: Sequence[int], masks: Tensor) -> None: ...


def _foreground(mask: Tensor, which_class: float, which_voxel: float) -> list[int] | None:
    """A voxel of the foreground, chosen by two numbers from 0 to 1."""
    layers = slabs(mask.shape)
    classes = torch.cat([mask[part].unique() for part in layers]).unique()
    classes = classes[classes > 0]
    if not len(classes):
        return None
    wanted = classes[int(which_class * len(classes))]
    counts = [int((mask[part] == wanted).sum()) for part in layers]
    place = int(which_voxel * sum(counts))  # among the voxels of the class, in their order
    for part, count in zip(layers, counts, strict=True):
        if place < count:
            first, *others = (mask[part] == wanted).nonzero()[place].tolist()
            return [part.start + first, *others]
        place -= count
    return None


@torch.no_grad()
def sliding_window(
    network: Callable[[Tensor], Tensor],
    images: Tensor,
    size: Sequence[int],
    overlap: float = 0.5,
    batch: int = 1,
    *,
    weights: Weights = "gaussian",
    room: Callable[[Sequence[int]], Tensor] | None = None,
) -> Tensor:
    """Logits (N, C, *S), float32, of images (N, channels, *S) that the network sees in windows of one size.

    network: any function of images (n, channels, *size) to logits (n, C, *size); `batch` windows go through it at once.
    Windows are spread evenly, the first and the last at the edges, and overlap by a share of each side or more. Where
    they do, logits are averaged: "gaussian" trusts the middle of a window most (a deviation of 1/8 of its side, as in
    nnU-Net and MONAI, no weight below 1/1000), since a network sees too little of what surrounds the edge.
    Images smaller than the window are set in the middle of zeros, and the answer is cropped.
    room: makes the zeros, on the device of the images, to which logits are added; in memory, where nothing is said.
    """
    if not 0 <= overlap < 1 or batch < 1 or images.ndim != 2 + len(size):
        raise UserError(
            f"a window of {tuple(size)} with overlap {overlap} and batch {batch} does not fit images"
            f" {tuple(images.shape)}: as many axes as in S of (N, C, *S), 0 <= overlap < 1, batch >= 1"
        )
    space, inner = padded_space(images.shape[2:], size)
    weight, boxes = importance(size, weights).to(images.device), _grid(space, size, overlap)
    room = room or partial(torch.zeros, device=images.device)
    total = room((0, 0, *space))
    windows = list(product(range(len(images)), boxes))
    for first in range(0, len(windows), batch):
        part = windows[first : first + batch]
        logits = _answers(network, torch.stack([cut(images[n], box) for n, box in part]), memory_format(images))
        total = total if first else room((len(images), logits.shape[1], *space))
        for (n, box), one in zip(part, logits, strict=True):
            total[n][(..., *box)] += weight * one
    for layers in slabs(space):
        norm = torch.zeros((layers.stop - layers.start, *space[1:]), device=images.device)
        for box in boxes:
            start, stop = max(box[0].start, layers.start), min(box[0].stop, layers.stop)
            if start < stop:
                here = slice(start - layers.start, stop - layers.start)
                norm[(here, *box[1:])] += weight[start - box[0].start : stop - box[0].start]
        total[:, :, layers] /= norm
    return total[(..., *inner)]


def _answers(network: Callable[[Tensor], Tensor], windows: Tensor, memory: torch.memory_format) -> Tensor:
    logits = network(windows.contiguous(memory_format=memory))
    if logits.shape[2:] != windows.shape[2:]:
        raise UserError(
            f"windows {tuple(windows.shape)} were answered by {tuple(logits.shape)}: they need a network with logits"
            " (N, C, *S) for images (N, channels, *S)"
        )
    return logits.float()


def importance(size: Sequence[int], weights: Weights) -> Tensor:
    """What each voxel of a window counts, *size: above 0 and at most 1."""
    weight = torch.ones(tuple(size))
    for axis, side in enumerate(size if weights == "gaussian" else ()):
        place = (torch.arange(side) - (side - 1) / 2) / (side / 8)
        weight *= (-0.5 * place**2).exp().reshape([side if at == axis else 1 for at in range(len(size))])
    return weight.clamp_min(1e-3)


def _grid(space: Sequence[int], size: Sequence[int], overlap: float) -> list[tuple[slice, ...]]:
    starts = [_starts(side, window, overlap) for side, window in zip(space, size, strict=True)]
    return [_box_at(start, size) for start in product(*starts)]


def _starts(side: int, window: int, overlap: float) -> list[int]:
    """Where windows begin, evenly, so that the last one ends where the image does."""
    step = max(1, int(window * (1 - overlap)))
    steps = ceil((side - window) / step)
    return [round(at * (side - window) / max(1, steps)) for at in range(steps + 1)]


def _box_at(starts: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(start, start + side) for start, side in zip(starts, size, strict=True))


def padded(images: Tensor, size: Sequence[int]) -> tuple[Tensor, tuple[slice, ...]]:
    """Images (N, C, *S) with zeros on both sides, where they are smaller than `size`; and where in it they lie."""
    space, inner = padded_space(images.shape[2:], size)
    missing = [wide - side for wide, side in zip(space, images.shape[2:], strict=True)]
    around = [amount for lack in reversed(missing) for amount in (lack // 2, lack - lack // 2)]  # last axis first
    return (pad(images, around) if any(missing) else images), inner


def padded_space(space: Sequence[int], size: Sequence[int]) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """The shape (*S) of images after `padded`; and where in it they lie."""
    wide = tuple(map(max, space, size))
    return wide, _box_at([(one - side) // 2 for one, side in zip(wide, space, strict=True)], space)


def cut(image: Tensor, box: Sequence[slice]) -> Tensor:
    """(C, *S) to a box of it, (C, *size), placed where `padded` would put the image; nothing else of it is read."""
    return padded(image[(..., *box)].unsqueeze(0), [one.stop - (one.start or 0) for one in box])[0].squeeze(0)


def memory_format(images: Tensor) -> torch.memory_format:
    """In which order the images lie. One channel lies in both orders, and is called contiguous."""
    if isinstance(images, Rows):
        return images.memory if images.shape[1] > 1 else torch.contiguous_format
    last = torch.channels_last if images.ndim == 4 else torch.channels_last_3d
    return last if not images.is_contiguous() and images.is_contiguous(memory_format=last) else torch.contiguous_format
