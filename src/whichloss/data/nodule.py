"""One synthetic nodule: what chance decides about it, and how it is drawn from that.

The two are apart so that the same nodule can be drawn again with one fact changed:

    >>> from dataclasses import replace
    >>> from whichloss.data.nodules import Nodules
    >>> drawn = Nodules().draw(range(10))
    >>> render(replace(drawn, shape=1 - drawn.shape)).shape
    (10, 40, 40)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

RADIUS = (6.0, 11.0)  # pixels
JITTER = 2.0  # of the centre, pixels
GREYS = 2**16  # grey levels are rounded to this fraction, so that every machine makes the same bytes


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """All that chance decided about N nodules; arrays over the nodules, (N,) where nothing else is said."""

    y: np.ndarray  # 1: malignant
    shape: np.ndarray  # s, 1: spiculated
    texture: np.ndarray  # t, 1: heterogeneous
    shape_spread: np.ndarray  # within its mode, -.15 to .15
    texture_spread: np.ndarray
    radius: np.ndarray  # R, pixels
    centre: np.ndarray  # (N, 2): off the middle, down and right, pixels
    bend: np.ndarray  # (N, 2): n_2 and n_3, how far the outline is from a circle
    bend_phase: np.ndarray  # (N, 2)
    spikes: np.ndarray  # k_1, how many
    spike_phase: np.ndarray  # (N, 2)
    noise: np.ndarray  # (N, 3, size, size): white noise under texture, background and grain

    @property
    def graded_shape(self) -> np.ndarray:
        """s' = .15 + .7 s + spread: from 0 to .3, or from .7 to 1."""
        return 0.15 + 0.7 * self.shape + self.shape_spread

    @property
    def graded_texture(self) -> np.ndarray:
        return 0.15 + 0.7 * self.texture + self.texture_spread


def draw(seed: int, numbers: Sequence[int], *, size: int, shape: float, texture: float, size_shift: float) -> Drawn:
    """Each nodule from a seed of its own: what is asked of the others changes nothing in it.

    Other values of shape, texture and size_shift turn the same chances into other latents, so that two sets of one
    seed are paired case by case.
    """
    chances = [Generator(PCG64(SeedSequence(seed, spawn_key=(number,)))) for number in numbers]
    uniform = np.stack([one.random(13) for one in chances]).T
    bend = np.stack([one.standard_normal(2) for one in chances])
    noise = np.stack([one.standard_normal((3, size, size)) for one in chances])
    y = (uniform[0] < 0.5).astype(float)
    angle = 2 * np.pi * uniform[9:13].T
    return Drawn(
        y=y,
        shape=np.where(uniform[1] < shape, y, 1 - y),
        texture=np.where(uniform[2] < texture, y, 1 - y),
        shape_spread=0.3 * uniform[3] - 0.15,
        texture_spread=0.3 * uniform[4] - 0.15,
        radius=RADIUS[0] + (RADIUS[1] - RADIUS[0]) * uniform[5] + size_shift * y,
        centre=JITTER * (2 * uniform[6:8].T - 1),
        bend=bend,
        bend_phase=angle[:, :2],
        spikes=6 + np.floor(5 * uniform[8]),
        spike_phase=angle[:, 2:],
        noise=noise,
    )


def render(drawn: Drawn, grain: float = 0.04) -> np.ndarray:
    """Images (N, size, size), float32."""
    texture, background, white = drawn.noise.swapaxes(0, 1)
    # a logistic step over .6 pixels, written with tanh, which does not overflow
    mask = 0.5 + 0.5 * np.tanh(edge(drawn) / (2 * 0.6))
    inside = 0.6 + (0.02 + 0.16 * _over_pixels(drawn.graded_texture)) * _smooth(texture, 1.2)
    outside = 0.12 + 0.05 * _smooth(background, 2.0)
    image = outside * (1 - mask) + inside * mask + grain * white
    return (np.round(image * GREYS) / GREYS).astype(np.float32)


def edge(drawn: Drawn) -> np.ndarray:
    """r(theta) - rho: how far inside the outline each pixel lies, along its ray, in pixels; (N, size, size)."""
    size = drawn.noise.shape[-1]
    axis = np.arange(size) - (size - 1) / 2
    down = axis[:, None] - _over_pixels(drawn.centre[:, 0])
    right = axis[None, :] - _over_pixels(drawn.centre[:, 1])
    theta = np.arctan2(down, right)

    def wave(k: np.ndarray | float, phase: np.ndarray) -> np.ndarray:
        return np.cos(_over_pixels(np.broadcast_to(k, phase.shape)) * theta + _over_pixels(phase))

    k, phase = drawn.spikes, drawn.spike_phase
    bends = sum(_over_pixels(drawn.bend[:, i]) * wave(2 + i, drawn.bend_phase[:, i]) for i in (0, 1))
    spikes = 0.7 * wave(k, phase[:, 0]) + 0.3 * wave(k + 3, phase[:, 1])
    height = _over_pixels(0.02 + 0.30 * drawn.graded_shape)
    outline = _over_pixels(drawn.radius) * (1 + 0.05 * bends + height * spikes)
    return outline - np.hypot(down, right)


def _over_pixels(per_nodule: np.ndarray) -> np.ndarray:
    return per_nodule[:, None, None]


def _smooth(white: np.ndarray, sigma: float) -> np.ndarray:
    """White noise through a Gaussian, still of variance 1 in every pixel, those at the border included."""
    place = np.arange(white.shape[-1])
    gauss = np.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))
    gauss /= np.linalg.norm(gauss, axis=1, keepdims=True)
    return gauss @ white @ gauss.T
