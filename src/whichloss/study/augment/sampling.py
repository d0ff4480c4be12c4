"""Images and masks are sampled once, however many motions there are: every interpolation blurs."""

from collections.abc import Sequence
from functools import reduce
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from .motion import Affine, Warp

Outside = Literal["zeros", "border"]
Motion = Affine | Warp


def resample(images: Tensor, mask: Tensor | None, motions: Sequence[Motion], outside: Outside, label: int) -> tuple:
    """Images (N, C, *S) and mask (N, *S) after these motions, the first of them first.

    Images are interpolated linearly, masks take the nearest voxel; images that are only turned over and moved by whole
    voxels are copied, so that what happens to an image never depends on the others in its batch.
    """
    # counted from the label of what lies outside, a mask is 0 there, as grid_sample has it
    marks = None if mask is None else (mask - label).unsqueeze(1).to(images.dtype)
    moved = torch.empty_like(images), None if marks is None else torch.empty_like(marks)
    exact = _whole(motions)
    for chosen, sample in ((exact, _copied), (~exact, _interpolated)):
        if chosen.any():
            rows = chosen.nonzero().flatten()
            here = slice(None) if chosen.all() else rows.to(images.device)
            mine = [motion.rows(rows) for motion in motions]
            results = sample(images[here], None if marks is None else marks[here], mine, outside)
            for whole, part in zip(moved, results, strict=True):
                if whole is not None:
                    whole[here] = part
    return moved[0], None if moved[1] is None or mask is None else moved[1].squeeze(1).to(mask.dtype) + label


def mirrored(motions: Sequence[Motion]) -> Tensor:
    """(N,), on the CPU: whether an image is at most turned over, so that all distances in it stay what they were."""
    return _whole(motions) & (_total(motions).offset == 0).all(1)


def mirror(values: Tensor, motions: Sequence[Motion]) -> Tensor:
    """Values (N, C, *S) of images that are at most turned over."""
    return _copied(values, None, motions, "border")[0]


def _whole(motions: Sequence[Motion]) -> Tensor:
    """(N,): whether all motions together take every voxel from a voxel."""
    still = [motion.whole() for motion in motions if isinstance(motion, Warp)]
    return torch.stack([_total(motions).whole(), *still]).all(0)


def _total(motions: Sequence[Motion]) -> Affine:
    count, dims = _extent(motions[0])
    return reduce(Affine.then, (one for one in motions if isinstance(one, Affine)), Affine.still(count, dims))


def _extent(motion: Motion) -> tuple[int, int]:
    count, dims = (motion.offset if isinstance(motion, Affine) else motion.control).shape[:2]
    return count, dims


# whole voxels


def _copied(images: Tensor, marks: Tensor | None, motions: Sequence[Motion], outside: Outside) -> list:
    total, size = _total(motions), images.shape[2:]
    sign, offset = total.matrix.diagonal(dim1=1, dim2=2), total.offset
    index, beyond = [], torch.zeros(1, dtype=torch.bool, device=images.device)
    for axis, side in enumerate(size):
        centre = (side - 1) / 2
        place = sign[:, axis, None] * (torch.arange(side) - centre) + offset[:, axis, None] + centre  # (N, side)
        at = place.round().long().to(images.device)
        at = at.reshape(len(images), 1, *[side if one == axis else 1 for one in range(len(size))])
        beyond = beyond | (at < 0) | (at >= side)
        index.append(at.clamp(0, side - 1))

    def copied(values: Tensor) -> Tensor:
        device, ones = values.device, [1] * len(size)
        image = torch.arange(len(values), device=device).reshape(-1, 1, *ones)
        channel = torch.arange(values.shape[1], device=device).reshape(1, -1, *ones)
        found = values[(image, channel, *index)]
        return found if outside == "border" else found.masked_fill(beyond, 0)

    return [None if values is None else copied(values) for values in (images, marks)]


# anywhere between voxels


def _interpolated(images: Tensor, marks: Tensor | None, motions: Sequence[Motion], outside: Outside) -> list:
    places = _places(motions, images)
    linear = _at(images, places, "bilinear", outside)  # in a volume grid_sample calls trilinear by this name, too
    return [linear, None if marks is None else _at(marks, places, "nearest", outside)]


def _places(motions: Sequence[Motion], images: Tensor) -> list[Tensor]:
    """Where each voxel of the result comes from: a tensor (N, *S) for each axis."""
    size = images.shape[2:]
    places = list(_still(size, images))
    moved = False
    for motion in _merged(motions)[::-1]:  # from the result back
        if isinstance(motion, Affine):
            places = _affine(places, motion)
        else:
            field = motion.field(size, images)
            # u is smooth, so that between voxels a linear interpolation of it will do; outside it goes on as it ended
            field = _at(field, places, "bilinear", "border") if moved else field
            places = [place + u for place, u in zip(places, field.unbind(1), strict=True)]
        moved = True
    return places


def _still(size: Sequence[int], like: Tensor) -> Sequence[Tensor]:
    sides = [torch.arange(side, device=like.device, dtype=like.dtype) - (side - 1) / 2 for side in size]
    return torch.meshgrid(*sides, indexing="ij")


def _merged(motions: Sequence[Motion]) -> list[Motion]:
    merged: list[Motion] = []
    for motion in motions:
        last = merged[-1] if merged else None
        if isinstance(motion, Affine) and isinstance(last, Affine):
            merged[-1] = last.then(motion)
        else:
            merged.append(motion)
    return merged


def _affine(places: Sequence[Tensor], motion: Affine) -> list[Tensor]:
    """Number by number: a matrix product may be rounded to TF32 on a GPU, a tenth of a voxel."""
    matrix, offset = motion.matrix.to(places[0]), motion.offset.to(places[0])
    each = [-1] + [1] * (motion.offset.shape[1])
    moved = []
    for row in range(len(places)):
        total = offset[:, row].reshape(each)
        for column, place in enumerate(places):
            total = total + matrix[:, row, column].reshape(each) * place
        moved.append(total)
    return moved


def _at(values: Tensor, places: Sequence[Tensor], mode: str, outside: Outside) -> Tensor:
    """Values (N, C, *S) at these places. grid_sample wants x before y before z, -1 and 1 at the edges of the image."""
    pairs = zip(places, values.shape[2:], strict=True)
    grid = torch.stack([place * (2 / side) for place, side in reversed(list(pairs))], -1)
    grid = grid.expand(len(values), *grid.shape[1:])
    return grid_sample(values, grid, mode=mode, padding_mode=outside, align_corners=False)
