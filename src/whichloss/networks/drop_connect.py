"""DropConnect: in training, connections of a layer are left out at random."""

from math import pi

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from whichloss.networks.layers import Affine


class Dense(Affine):
    """Every input with every output: features (N, inputs) to (N, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def linear(self, features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return linear(features, weight, bias)


class DropConnect(nn.Module):
    r"""A layer and the ReLU behind it. In training $y = \max(0, (M * W) x + b)$, where each weight is kept with
    probability p: $M_{ij} \sim$ Bernoulli(p).

    `masks` says how often M is drawn: once for a batch, or for each example by itself, as Wan et al. do, for which all
    N masked copies of the weights are held in memory. Kept weights are not enlarged.

    In evaluation $u = (M * W) x + b$ is taken for normally distributed, with its own mean
    $\mu = p W x + b$ and variance $\sigma^2 = p (1 - p) (W * W) (x * x)$, and the layer gives the mean of max(0, u).
    Wan et al. draw u and average; for a ReLU the mean has a closed form (`mean_of_relu`), the limit of infinitely many
    draws, so nothing is drawn. `inference="mean"` gives $\max(0, \mu)$.

    Biases are never dropped; Wan et al. drop them in training, too.

    Source: Wan, Zeiler, Zhang, LeCun, Fergus, Regularization of neural networks using DropConnect, ICML 2013.
    """

    def __init__(self, layer: Affine, keep: float = 0.5, masks: str = "batch", inference: str = "moments") -> None:
        super().__init__()
        self.layer, self.keep, self.masks, self.inference = layer, keep, masks, inference

    def forward(self, features: Tensor) -> Tensor:
        if self.training:
            return (self._each(features) if self.masks == "example" else self._all(features)).relu()
        # in the precision of the weights: a square may be too large for float16
        with torch.autocast(features.device.type, enabled=False):
            return self._mean(features.to(self.layer.weight.dtype))

    def _all(self, features: Tensor) -> Tensor:
        weight = self.layer.weight
        return self.layer.linear(features, weight * self.mask(), self.layer.bias)

    def _each(self, features: Tensor) -> Tensor:
        return torch.cat([self._all(one) for one in features.split(1)])

    def mask(self) -> Tensor:
        """Which weights are kept, drawn anew at each call."""
        weight = self.layer.weight
        return torch.rand(weight.shape, device=weight.device) < self.keep  # on a CPU a sixth of bernoulli's time

    def _mean(self, features: Tensor) -> Tensor:
        weight, bias, p = self.layer.weight, self.layer.bias, self.keep
        mean = self.layer.linear(features, p * weight, bias)
        if self.inference == "mean":
            return mean.relu()
        return mean_of_relu(mean, self.layer.linear(features.square(), p * (1 - p) * weight.square()))


def mean_of_relu(mean: Tensor, variance: Tensor) -> Tensor:
    r"""$E[\max(0, u)] = \mu\, \Phi(\mu / \sigma) + \sigma\, \varphi(\mu / \sigma)$ for normal u.

    $\Phi$ and $\varphi$ are the distribution function and the density of N(0, 1). At variance 0 it is max(0, mean).
    """
    deviation = variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt()
    ratio = mean / deviation
    density = (-0.5 * ratio.square()).exp() / (2 * pi) ** 0.5
    # where both terms nearly cancel, far below 0, rounding could leave less than nothing
    return (mean * torch.special.ndtr(ratio) + deviation * density).clamp_min(0)
