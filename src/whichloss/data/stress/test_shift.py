"""Test shift: the images that are tested come from another scanner."""

from typing import ClassVar, get_args

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from whichloss.core import nonnegative, number, positive
from whichloss.core.task import Kind

from .stress import Stress, StressCard


class TestShift(Stress):
    r"""Each channel $x$ of each test image is changed by itself, in this order:

    a Gaussian blur; $x = a + (b - a)\,((x - a)/(b - a))^\gamma$ between its lowest value $a$ and its highest $b$;
    contrast about its mean, $\bar x + \mathrm{contrast}\,(x - \bar x)$; brightness, $x + \mathrm{brightness}\,s$;
    white noise, $x + \mathrm{noise}\,s\,N(0, 1)$. $s$ is the standard deviation of the channel as it came.

    Training images stay as they are. Values are not clipped.
    """

    noise: float = nonnegative(0.0)  # standard deviations of the image
    brightness: float = number(0.0)  # standard deviations of the image
    contrast: float = positive(1.0)  # factor
    gamma: float = positive(1.0)  # exponent; above 1 is darker
    blur: float = nonnegative(0.0)  # pixels or voxels, standard deviation of the Gaussian

    card = StressCard(
        title="test shift",
        meaning="the images that are tested look different from those in training, as from another scanner",
        axis="shift",
        tasks=get_args(Kind),
        changes="images",
        unit="standard deviations of the image",
    )
    __test__: ClassVar[bool] = False  # pytest would take the name for that of a test

    @property
    def none(self) -> bool:
        return self == TestShift()

    def reimage(self, images: Tensor, random: np.random.Generator) -> Tensor:
        if self.none:
            return images
        shifted = np.empty_like(images.numpy())
        for image, result in zip(images.numpy(), shifted, strict=True):
            for channel, place in zip(image, result, strict=True):
                place[...] = self._shift(channel, random)
        return torch.from_numpy(shifted)

    def _shift(self, x: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """x: (*S), float32."""
        s = x.std(dtype=float)
        if self.blur:
            x = np.asarray(gaussian_filter(x, self.blur, mode="nearest"))
        if self.gamma != 1 and np.ptp(x):
            low, high = float(x.min()), float(x.max())
            x = low + (high - low) * ((x - low) / (high - low)).clip(0, 1) ** self.gamma
        if self.contrast != 1:
            mean = x.mean(dtype=float)
            x = mean + self.contrast * (x - mean)
        if self.brightness:
            x = x + self.brightness * s
        if self.noise:
            x = x + self.noise * s * random.standard_normal(x.shape, dtype=np.float32)
        return x
