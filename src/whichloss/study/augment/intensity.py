"""Change how bright images are, and how much they differ from grey."""

from dataclasses import dataclass
from math import log

import torch
from torch import Generator, Size, Tensor

from whichloss.core import fraction, nonnegative

from .augmentation import Augmentation, uniform


class Intensity(Augmentation):
    r"""$x \to \mu + c (x - \mu) + b \sigma$, then gamma, then noise; $\mu$, $\sigma$ of each channel of each image.

    The unit of an image is its own standard deviation, so that a number means the same for CT, for 8-bit colours and
    after z-scoring, where nnU-Net states its own. All channels of an image share c, b and gamma.

    contrast     c ~ U(1 - contrast, 1 + contrast), a factor
    brightness   b ~ U(-brightness, brightness), standard deviations
    gamma        the exponent is log-uniform from 1 / (1 + gamma) to 1 + gamma, on values between the least and largest
                 of the channel, which keep their places
    noise        normal, independent in every voxel and channel, with this many standard deviations; drawn on the CPU
                 and sent to the device, as all draws are
    """

    brightness: float = nonnegative(0.1)
    contrast: float = fraction(0.1)
    gamma: float = nonnegative(0.0)
    noise: float = nonnegative(0.0)

    def draw(self, shape: Size, random: Generator) -> "Retouched":
        each = (shape[0], *[1] * (len(shape) - 1))
        contrast = uniform(each, 1 - self.contrast, 1 + self.contrast, random)
        brightness = uniform(each, -self.brightness, self.brightness, random)
        gamma = uniform(each, -log(1 + self.gamma), log(1 + self.gamma), random).exp() if self.gamma else None
        noise = self.noise * torch.randn(shape, generator=random) if self.noise else None
        return Retouched(self.chosen(each, random), contrast, brightness, gamma, noise)


@dataclass(frozen=True)
class Retouched:
    """What was drawn for N images: (N, 1, ...) each, noise (N, C, *S)."""

    chosen: Tensor
    contrast: Tensor
    brightness: Tensor
    gamma: Tensor | None
    noise: Tensor | None

    def __call__(self, images: Tensor) -> Tensor:
        space = tuple(range(2, images.ndim))
        mean, sd = images.mean(space, keepdim=True), images.std(space, correction=0, keepdim=True)
        changed = mean + self.contrast.to(images) * (images - mean) + self.brightness.to(images) * sd
        if self.gamma is not None:
            changed = curved(changed, self.gamma.to(images))
        if self.noise is not None:
            changed = changed + self.noise.to(images) * sd
        return torch.where(self.chosen.to(images.device), changed, images)


def curved(images: Tensor, gamma: Tensor) -> Tensor:
    """To the power gamma between the least and the largest value of each channel."""
    space = tuple(range(2, images.ndim))
    least = images.amin(space, keepdim=True)
    span = images.amax(space, keepdim=True) - least
    share = (images - least) / span.clamp_min(torch.finfo(images.dtype).tiny)  # 0 where a channel is constant
    return least + span * share.clamp(0, 1).pow(gamma)
