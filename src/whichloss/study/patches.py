"""Patches: images and volumes larger than what a network is trained on.

Training sees one patch of each image; prediction slides a window over the whole.
"""

from collections.abc import Sequence
from itertools import product
from math import ceil
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import pad

from whichloss.core import FieldError, UserError, Value, fraction, number

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
    def sample(self, images: Tensor, labels: Tensor, random: Generator) -> tuple[Tensor, Tensor]:
        """One patch of each image: (N, C, *S) and (N, *S) to (N, C, *size) and (N, *size), on their device.

        A patch lies inside its image; near the edge a foreground voxel is therefore not in the middle. Of several
        classes in an image each is as likely to be the centre as any other. Images smaller than the patch get zeros and
        background on both sides. An image without foreground gives a patch from anywhere. random: on the CPU.
        """
        self._accept(images, labels)
        images, _ = padded(images, self.size)
        labels, _ = padded(labels.unsqueeze(1), self.size)
        labels = labels.squeeze(1)
        # as many draws for every image, whatever is found in it
        draws = torch.rand(len(images), 3 + len(self.size), generator=random, dtype=torch.float64)
        boxes = [self._box(mask, draw) for mask, draw in zip(labels, draws.tolist(), strict=True)]
        patches = torch.stack([image[(..., *box)] for image, box in zip(images, boxes, strict=True)])
        masks = torch.stack([mask[box] for mask, box in zip(labels, boxes, strict=True)])
        return patches.contiguous(memory_format=memory_format(images)), masks

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
        room = [side - window for side, window in zip(mask.shape, self.size, strict=True)]
        centre = _foreground(mask, which_class, which_voxel) if wanted < self.foreground else None
        if centre is None:
            starts = [int(place * (free + 1)) for place, free in zip(corner, room, strict=True)]
        else:
            before = [at - window // 2 for at, window in zip(centre, self.size, strict=True)]
            starts = [min(max(start, 0), free) for start, free in zip(before, room, strict=True)]
        return _box_at(starts, self.size)


def _foreground(mask: Tensor, which_class: float, which_voxel: float) -> list[int] | None:
    """A voxel of the foreground, chosen by two numbers from 0 to 1."""
    classes = mask.unique()
    classes = classes[classes > 0]
    if not len(classes):
        return None
    voxels = (mask == classes[int(which_class * len(classes))]).nonzero()
    return voxels[int(which_voxel * len(voxels))].tolist()


@torch.no_grad()
def sliding_window(
    network: nn.Module,
    images: Tensor,
    size: Sequence[int],
    overlap: float = 0.5,
    batch: int = 1,
    *,
    weights: Weights = "gaussian",
) -> Tensor:
    """Logits (N, C, *S), float32, of images (N, channels, *S) that the network sees in windows of one size.

    network: any function of images (n, channels, *size) to logits (n, C, *size); `batch` windows go through it at once.
    Windows are spread evenly, the first and the last at the edges, and overlap by a share of each side or more. Where
    they do, logits are averaged: "gaussian" trusts the middle of a window most (a deviation of 1/8 of its side, as in
    nnU-Net and MONAI, no weight below 1/1000), since a network sees too little of what surrounds the edge.
    Images smaller than the window are set in the middle of zeros, and the answer is cropped.
    """
    if not 0 <= overlap < 1 or batch < 1 or images.ndim != 2 + len(size):
        raise UserError(
            f"a window of {tuple(size)} with overlap {overlap} and batch {batch} does not fit images"
            f" {tuple(images.shape)}: as many axes as in S of (N, C, *S), 0 <= overlap < 1, batch >= 1"
        )
    images, inner = padded(images, size)
    weight, boxes = importance(size, weights).to(images.device), _grid(images.shape[2:], size, overlap)
    norm = torch.zeros(images.shape[2:], device=images.device)
    for box in boxes:
        norm[box] += weight
    total = norm.new_zeros(len(images), 0, *norm.shape)
    windows = list(product(range(len(images)), boxes))
    for first in range(0, len(windows), batch):
        part = windows[first : first + batch]
        logits = _answers(network, torch.stack([images[n][(..., *box)] for n, box in part]), memory_format(images))
        total = total if first else norm.new_zeros(len(images), logits.shape[1], *norm.shape)
        for (n, box), one in zip(part, logits, strict=True):
            total[n][(..., *box)] += weight * one
    return (total / norm)[(..., *inner)]


def _answers(network: nn.Module, windows: Tensor, memory: torch.memory_format) -> Tensor:
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
    space = images.shape[2:]
    missing = [max(0, wanted - side) for side, wanted in zip(space, size, strict=True)]
    around = [amount for lack in reversed(missing) for amount in (lack // 2, lack - lack // 2)]  # last axis first
    inner = _box_at([lack // 2 for lack in missing], space)
    return (pad(images, around) if any(missing) else images), inner


def memory_format(images: Tensor) -> torch.memory_format:
    """In which order the images lie. One channel lies in both orders, and is called contiguous."""
    last = torch.channels_last if images.ndim == 4 else torch.channels_last_3d
    return last if not images.is_contiguous() and images.is_contiguous(memory_format=last) else torch.contiguous_format
