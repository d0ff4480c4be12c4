"""The layers that the networks share, in two and three dimensions."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

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
