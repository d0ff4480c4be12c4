"""U-Net: down to see context, up again to see where, with skips between equal sizes."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from whichloss.core import Task, choice, count, flag, number
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

    card = NetworkCard(
        title="U-Net",
        meaning="The common network for outlining structures: one answer per pixel or voxel.",
        source="ronneberger2015unet",
        tasks=("segmentation",),
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
        self.head = CONVOLUTION[dims](max(2, task.outputs), outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        space = images.shape[2:]
        features = self._padded(images)
        skips = []
        for level, encode in enumerate(self.encode):
            features = encode(self.down[level - 1](features) if level else features)
            if level >= len(self.encode) - 2:
                features = self.drop(features)
            skips.append(features)
        skips.pop()
        for up, decode in zip(self.up, self.decode, strict=True):
            features = decode(torch.cat([skips.pop(), up(features)], 1))
        return self.head(self.narrow(features))[(..., *map(slice, space))]

    def _padded(self, images: Tensor) -> Tensor:
        missing = [-side % 2 ** len(self.down) for side in images.shape[2:]]
        after = [amount for side in reversed(missing) for amount in (0, side)]  # pad() counts axes from the last
        return pad(images, after, mode="replicate") if any(after) else images


class _Double(nn.Module):
    """Nearest neighbour to twice the size, then a 2x2 convolution and a ReLU; zeros behind the last pixel."""

    def __init__(self, dims: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolve = convolution(dims, inputs, outputs, 2)
        self.behind = (0, 1) * dims

    def forward(self, features: Tensor) -> Tensor:
        return self.convolve(pad(interpolate(features, scale_factor=2), self.behind)).relu()
