"""The layers that the networks share, in two and three dimensions."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from whichloss.core.lifts.points import unit

CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
NORMALIZATION = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MAX_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


class SpatialMean(nn.Module):
    """(N, C, *S) to (N, C). Unlike adaptive pooling it has a deterministic gradient on every device."""

    def forward(self, features: Tensor) -> Tensor:
        return features.flatten(2).mean(2)


class Affine(nn.Module, ABC):
    """A layer W x + b that can also be computed with other weights than its own."""

    weight: nn.Parameter
    bias: nn.Parameter

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features, self.weight, self.bias)

    @abstractmethod
    def linear(self, features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """With these weights and biases in place of its own."""


class CosineHead(nn.Module):
    """The cosines between features (N, F, *S) and a vector of each class: (N, C, *S), from -1 to 1.

    For losses with a margin between directions, such as `CosFace` and `ArcFace`, in place of a last linear layer.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, features))
        nn.init.normal_(self.weight, std=features**-0.5)  # any direction alike, and a length near 1

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):  # half a digit of a cosine is much, times a scale
            wide = features.float() if features.dtype.itemsize < 4 else features
            last = unit(wide).movedim(1, -1)
            return nn.functional.linear(last, unit(self.weight.to(last.dtype))).movedim(-1, 1)


def convolution(dims: int, inputs: int, outputs: int, size: int, **options: int | bool) -> nn.Module:
    """A convolution with the weights of He et al. for a ReLU behind it, and biases of 0."""
    layer = CONVOLUTION[dims](inputs, outputs, size, **options)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def block(dims: int, inputs: int, outputs: int, normalize: bool, stride: int = 1) -> nn.Sequential:
    """A convolution over 3 pixels in each direction, batch normalisation if asked for, and a ReLU.

    Batch normalisation takes away any bias before it, so there is none then.
    """
    layers = [convolution(dims, inputs, outputs, 3, stride=stride, padding=1, bias=not normalize)]
    if normalize:
        layers.append(NORMALIZATION[dims](outputs))
    return nn.Sequential(*layers, nn.ReLU())
