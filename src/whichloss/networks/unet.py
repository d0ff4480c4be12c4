"""U-Net: down to see context, up again to see where, with skips between equal sizes."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from whichloss.core import FieldError, Task, choice, count, flag, number
from whichloss.networks.layers import CONVOLUTION, MAX_POOL, block, convolution
from whichloss.networks.network import Network, NetworkCard


class UNet(Network):
    """Two 3x3 convolutions at each level, 32-64-128-256-512 wide, and as many on the way up.

    With `normalize=False, down="pool"` it is the U-Net of the FocusNet authors' code: 7,760,645 weights for three
    channels and one output. The defaults are what their paper describes, batch normalisation after every 3x3 and
    3x3 convolutions of stride 2 (783,840 weights) in place of max-pooling.

    Before the head stand 2 channels, or as many as there are classes. Without normalisation a ReLU can silence them
    for good at an unlucky seed.

    Any image size: what `2 ** (depth - 1)` does not divide is padded by repeating the border, and cropped again.
    """

    width: int = count(32)  # channels of the first level; doubled at each further one
    depth: int = count(5, low=2)  # levels
    normalize: bool = flag(True)
    dropout: float = number(0.5, low=0.0, high=0.95)  # at the two deepest levels
    down: str = choice("stride", "pool")
    deep_supervision: int = count(0, low=0)  # in training, so many coarser outputs, each of half the size, behind it

    later = ("deep_supervision",)

    card = NetworkCard(
        title="U-Net",
        meaning="The common network for outlining structures: one answer per pixel or voxel.",
        source="ronneberger2015unet",
        tasks=("segmentation",),
    )

    def check(self) -> None:
        if self.deep_supervision > self.depth - 2:
            raise FieldError(
                f"UNet: deep_supervision is {self.deep_supervision}, and a depth of {self.depth} has"
                f" {self.depth - 2} coarser levels on the way up"
            )

    def build(self, task: Task, outputs: int) -> nn.Module:
        self.accept(task)
        return _Layers(self, task, outputs)


class _Layers(nn.Module):
    def __init__(self, plan: UNet, task: Task, outputs: int) -> None:
        super().__init__()
        dims, normalize = task.dims, plan.normalize
        widths = [plan.width * 2**level for level in range(plan.depth)]

        def twice(inputs: int, width: int) -> nn.Module:
            return nn.Sequential(block(dims, inputs, width, normalize), block(dims, width, width, normalize))

        def halve(width: int) -> nn.Module:
            return MAX_POOL[dims](2) if plan.down == "pool" else block(dims, width, width, normalize, stride=2)

        steps_up = [(below, width) for width, below in pairwise(widths)][::-1]
        self.encode = nn.ModuleList(twice(*pair) for pair in pairwise([task.channels, *widths]))
        self.down = nn.ModuleList(halve(width) for width in widths[:-1])
        self.drop = nn.Dropout(plan.dropout)
        self.up = nn.ModuleList(_Double(dims, *pair) for pair in steps_up)
        self.decode = nn.ModuleList(twice(2 * width, width) for _, width in steps_up)
        self.narrow = block(dims, plan.width, max(2, task.outputs), normalize)
        coarser = widths[1 : 1 + plan.deep_supervision]
        self.coarse_heads = nn.ModuleList(CONVOLUTION[dims](width, outputs, 1) for width in coarser)
        self.head = CONVOLUTION[dims](max(2, task.outputs), outputs, 1)

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        """Logits; in training with deep supervision those of all its resolutions, the finest first."""
        space = images.shape[2:]
        features = self._padded(images)
        skips, levels = [], []
        for level, encode in enumerate(self.encode):
            features = encode(self.down[level - 1](features) if level else features)
            if level >= len(self.encode) - 2:
                features = self.drop(features)
            skips.append(features)
        skips.pop()
        for up, decode in zip(self.up, self.decode, strict=True):
            features = decode(torch.cat([skips.pop(), up(features)], 1))
            levels.insert(0, features)
        finest = _cropped(self.head(self.narrow(features)), space, 1)
        if not (self.training and self.coarse_heads):
            return finest
        coarser = zip(self.coarse_heads, levels[1:], strict=False)
        return [finest, *(_cropped(head(level), space, 2**at) for at, (head, level) in enumerate(coarser, 1))]

    def _padded(self, images: Tensor) -> Tensor:
        missing = [-side % 2 ** len(self.down) for side in images.shape[2:]]
        after = [amount for side in reversed(missing) for amount in (0, side)]  # pad() counts axes from the last
        return pad(images, after, mode="replicate") if any(after) else images


def _cropped(logits: Tensor, space: Sequence[int], step: int) -> Tensor:
    """What answers for an image of this size, one pixel of the logits for `step` of it in each direction."""
    return logits[(..., *(slice(-(-side // step)) for side in space))]


class _Double(nn.Module):
    """Nearest neighbour to twice the size, then a 2x2 convolution and a ReLU; zeros behind the last pixel."""

    def __init__(self, dims: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolve = convolution(dims, inputs, outputs, 2)
        self.behind = (0, 1) * dims

    def forward(self, features: Tensor) -> Tensor:
        return self.convolve(pad(interpolate(features, scale_factor=2), self.behind)).relu()
