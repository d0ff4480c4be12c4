"""Synthetic lung nodules whose class shows in two ways, shape and texture."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Self

import numpy as np
import torch

from whichloss.core import FieldError, Task, choice, count, fraction, nonnegative, number

from .cases import Cases, joined
from .dataset import DataSet
from .find import Root
from .nodule import JITTER, RADIUS, Drawn, draw, render

_AT_ONCE = 256  # nodules, to bound the memory that drawing takes


class Nodules(DataSet):
    r"""Which feature does a network learn when two of them tell the classes apart? Here both can be set.

    Class $y$ is benign or malignant, evenly. Shape $s$ (0 smooth, 1 spiculated) and texture $t$ (0 homogeneous, 1
    heterogeneous) agree with it by chance, $P(s = y) = \rho_s$ (`shape`), $P(t = y) = \rho_t$ (`texture`), and show by
    degrees, $s' = .15 + .7 s + U(-.15, .15)$ and so $t'$. The radius $R$ is $U(6, 11)$ pixels, `size_shift` more in the
    malignant. Around a centre within 2 pixels of the middle the outline is

    $$r(\theta) = R\,[1 + .05 \sum_{k=2,3} n_k \cos(k\theta + \phi_k)
        + (.02 + .30 s')(.7 \cos(k_1\theta + \phi) + .3 \cos((k_1 + 3)\theta + \phi'))]$$

    with $n_k \sim N(0, 1)$, $k_1$ one of 6 to 10, and even phases. With $m = \sigma((r(\theta) - \rho) / .6)$, F and G
    Gaussian noise of variance 1, smoothed over 1.2 and 2 pixels, the image is

    $$x = (1 - m)(.12 + .05\,G) + m\,(.6 + (.02 + .16\,t')\,F) + \mathrm{noise} \cdot N(0, 1).$$

    `target="radius"` asks for $R$ instead of $y$, of the same images.

    Each case has a seed of its own: `Nodules(cases=500)` begins `Nodules(cases=1000)`, and whatever `shape`, `texture`
    and `size_shift` say, one seed gives the same classes, outlines and noise, so that test suites are paired case by
    case. Take another seed to test than to train.

    The distribution is a design of this project, after Baltatzis et al. (2021), of which only the abstract was at hand.
    """

    cases: int = count(1000, low=2)
    size: int = count(40)  # of an image, pixels
    shape: float = fraction(0.95)  # P(s = y)
    texture: float = fraction(0.95)  # P(t = y)
    size_shift: float = number(0.0)  # of the malignant, pixels of radius
    noise: float = nonnegative(0.04)  # of the image, standard deviation
    seed: int = count(0, low=0)
    target: str = choice("class", "radius")  # what is asked
    test_cases: int = count(1000, low=2)  # in the one test set that independent draws share

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(), cls(cases=100, target="radius")]

    def check(self) -> None:
        least, most = RADIUS[0] + min(self.size_shift, 0), RADIUS[1] + max(self.size_shift, 0)
        if least < 1:
            raise FieldError(
                f"Nodules: size_shift is {self.size_shift}; the smallest nodules would have radius {least:g}"
            )
        if most + JITTER > self.size / 2:
            raise FieldError(
                f"Nodules: size is {self.size}; radii up to {most:g} need at least {2 * (most + JITTER):g}"
            )

    def draw(self, numbers: Sequence[int]) -> Drawn:
        """What chance decided about the cases of these numbers."""
        return draw(
            self.seed, numbers, size=self.size, shape=self.shape, texture=self.texture, size_shift=self.size_shift
        )

    def load(self, root: Root = None) -> Cases:
        images, labels, columns = [], [], []
        for start in range(0, self.cases, _AT_ONCE):
            drawn = self.draw(range(start, min(start + _AT_ONCE, self.cases)))
            images.append(torch.from_numpy(render(drawn, self.noise)))
            labels.append(self._labels(drawn))
            columns.append(_columns(drawn))
        return Cases(
            images=torch.cat(images).unsqueeze(1),
            labels=torch.cat(labels),
            ids=tuple(f"{self.seed}-{number:05d}" for number in range(self.cases)),
            task=self._task(),
            columns={name: tuple(np.concatenate([part[name] for part in columns]).tolist()) for name in columns[0]},
        )

    def load_draw(self, number: int) -> Cases:
        train = replace(self, seed=_derived(self.seed, number)).load()
        test = replace(self, cases=self.test_cases, seed=_derived(self.seed, "test")).load()
        return joined(train, test)

    def _task(self) -> Task:
        size = (self.size, self.size)
        if self.target == "radius":
            return Task(kind="regression", quantity="radius", unit="pixels", size=size)
        return Task(kind="classification", classes=("benign", "malignant"), size=size)

    def _labels(self, drawn: Drawn) -> torch.Tensor:
        return torch.from_numpy(drawn.radius).float() if self.target == "radius" else torch.from_numpy(drawn.y).long()


def _derived(seed: int, name: object) -> int:
    """A seed of its own for each draw of each seed."""
    return int.from_bytes(sha256(f"nodules/{seed}/{name}".encode()).digest()[:4], "big") >> 1


def _columns(drawn: Drawn) -> dict[str, np.ndarray]:
    return {
        "shape": drawn.shape.astype(int),
        "texture": drawn.texture.astype(int),
        "graded_shape": drawn.graded_shape,
        "graded_texture": drawn.graded_texture,
        "radius": drawn.radius,
    }
