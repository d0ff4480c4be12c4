"""A locally connected layer: a convolution whose weights are another set at each position."""

from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from whichloss.networks.layers import Affine


class Local(Affine):
    r"""Images (N, C, H, W) to (N, O, H', W'), like a convolution of stride 1, and nothing is shared:

    $y_{n,o,p} = b_{p,o} + \sum_k W_{p,k,o}\, x_{n,p,k}$ at each of the P = H' W' positions p, where $x_{n,p}$ are the
    K = size * size * C values in the window there, row by row and channels last. H' = H + 2 padding - size + 1.

    Weights are (P, K, O) and biases (P, 1, O): one product of matrices (N, K) and (K, O) for each position, all of them
    in one call. What comes out lies in memory as (H', W', N, O), which is how the next such layer reads it.
    """

    def __init__(self, channels: int, outputs: int, image: tuple[int, int], size: int, padding: int = 0) -> None:
        super().__init__()
        self.size, self.padding = size, padding
        positions = [side + 2 * padding - size + 1 for side in image]
        self.weight = nn.Parameter(torch.empty(positions[0] * positions[1], size * size * channels, outputs))
        self.bias = nn.Parameter(torch.zeros(positions[0] * positions[1], 1, outputs))
        nn.init.normal_(self.weight, std=(2 / self.weight.shape[1]) ** 0.5)

    def linear(self, features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        windows = self._windows(features)  # (H', W', N, K)
        flat = windows.flatten(0, 1)
        outputs = torch.bmm(flat, weight) if bias is None else torch.baddbmm(bias, flat, weight)
        return outputs.unflatten(0, windows.shape[:2]).permute(2, 3, 0, 1)

    def _windows(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (H', W', N, K)."""
        border = self.padding
        spread = pad(images.permute(2, 3, 0, 1), (0, 0, 0, 0, border, border, border, border))
        return Windows.apply(spread, self.size)  # type: ignore[return-value]


class Windows(torch.autograd.Function):
    """Slices put side by side, row by row: (H, W, N, C) to (H', W', N, size * size * C).

    Quicker than `unfold`. The gradient is added up in place, where that of `cat` and slices, which is the same but for
    rounding, would fill an image with zeros for every slice.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, size: int) -> Tensor:
        ctx.shape, ctx.size = images.shape, size
        rows, columns = (side - size + 1 for side in images.shape[:2])
        windows = images.new_empty(rows, columns, images.shape[2], size * size, images.shape[3])
        for at, (down, right) in enumerate(product(range(size), repeat=2)):
            windows[:, :, :, at] = images[down : down + rows, right : right + columns]
        return windows.flatten(3)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        rows, columns = gradient.shape[:2]
        parts = gradient.unflatten(3, (ctx.size**2, -1))
        total = gradient.new_zeros(ctx.shape)
        for at, (down, right) in enumerate(product(range(ctx.size), repeat=2)):
            total[down : down + rows, right : right + columns] += parts[:, :, :, at]
        return total, None
