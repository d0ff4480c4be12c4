"""A chain of augmentations, applied to a batch."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Generator, Tensor

from whichloss.core import UserError

from .augmentation import Augmentation
from .motion import Affine, Warp
from .sampling import Motion, Outside, resample


class Follower(Protocol):
    """What belongs to the masks of a batch, and goes where they go."""

    def move(self, motions: Sequence[Motion], masks: Tensor) -> None: ...


@torch.no_grad()
def augment(
    images: Tensor,
    labels: Tensor,
    chain: Sequence[Augmentation],
    random: Generator,
    *,
    outside: Outside = "zeros",
    outside_label: int = 0,
    beside: Follower | None = None,
) -> tuple[Tensor, Tensor]:
    """Images and labels after every augmentation of the chain, each image with draws of its own.

    images: (N, C, *S), float32 or float64, 2-D or 3-D, on any device and in any memory format, which is kept.
    labels: a mask (N, *S), which goes with its image, or (N,), which stays as it is.
    random: a generator on the CPU; it alone decides, and decides the same for every device.
    outside: what is seen beyond the edge of an image. "zeros" are background in the mask, as in nnU-Net, or another
    `outside_label`: IGNORED (-1) gives them no say. "border" repeats the last voxel of image and mask.
    beside: is told of all motions, to move what else belongs to the masks.

    All motions make one sampling, in the order of the chain, and then come changes of intensity. A mask takes the label
    of the nearest voxel, so -1 (no say) stays a label like any other. An empty chain gives back what it got.

    >>> from whichloss.study.augment.flip import Flip
    >>> images, masks = torch.arange(3.0).reshape(1, 1, 1, 3), torch.tensor([[[0, 0, 1]]])
    >>> augment(images, masks, [Flip(axes=(1,), p=1)], torch.Generator())
    (tensor([[[[2., 1., 0.]]]]), tensor([[[1, 0, 0]]]))
    """
    if not chain or not len(images):
        return images, labels
    mask = _mask(images, labels)
    motions, retouches = [], []
    for one in chain:
        step = one.draw(images.shape, random)
        (motions if isinstance(step, Affine | Warp) else retouches).append(step)
    if motions:
        images, mask = resample(images, mask, motions, outside, outside_label)
        if beside is not None and mask is not None:
            beside.move(motions, mask)
    for retouch in retouches:
        images = retouch(images)
    return images, labels if mask is None else mask


def _mask(images: Tensor, labels: Tensor) -> Tensor | None:
    """The labels, where they are a mask that goes with its image."""
    size = images.shape[2:]
    if len(size) in (2, 3) and labels.shape == (len(images), *size):
        return labels
    if len(size) in (2, 3) and labels.shape == (len(images),):
        return None
    raise UserError(
        f"images {tuple(images.shape)} and labels {tuple(labels.shape)} do not fit.\n"
        "  an answer for each voxel:   images (N, C, *S), labels (N, *S) with 2 or 3 axes in S\n"
        "  an answer for each image:   images (N, C, *S), labels (N,)"
    )
