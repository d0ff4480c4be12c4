"""Synthetic candidates of a lymph node detector, each seen in several views of three planes."""

from dataclasses import replace
from hashlib import sha256
from typing import Self

import numpy as np
import torch

from whichloss.core import Candidates, Task, count, nonnegative, number

from .cases import Cases, joined
from .dataset import DataSet
from .find import Root
from .phantom import Volume, draw, grain, render

MEAN, SPREAD = 0.2, 0.4  # of grey levels, about: images have mean 0 and variance 1, as networks are given them
GREYS = 2**12  # grey levels are rounded to this fraction, so that every machine makes the same bytes


class LymphNodePhantom(DataSet):
    r"""Is this candidate a lymph node or a vessel? Both are bright spheroids, and only their elongation tells.

    A volume has Poisson(`lesions`) lymph nodes, each hit by `hits` candidates, and `negatives` vessels, a candidate
    each. Semi-axes are $b, b, e b$ pixels: $b \sim U(2.5, 6)$ in both classes, and the elongation $e$ has the densities

    $$f(e \mid \text{lymph node}) = 2\,(2.2 - e) / 1.3^2, \quad .9 < e < 2.2
        \qquad\qquad f(e \mid \text{vessel}) = 1 / 6.8, \quad 1.2 < e < 8.$$

    With axis $n$, even over the sphere, and grey level $h \sim U(.8, 1.2)$ a spheroid shows at $x$, from its middle, as

    $$h\,\sigma((b - \sqrt{|x|^2 - (1 - e^{-2})(n \cdot x)^2}\,) / .6).$$

    Beside each lie Poisson(`neighbours`) vessels, thinner, $b \sim U(1.5, 4)$, with middles 4 to 12 pixels away in any
    direction; where several structures meet, the brightest shows. A candidate is off the middle by $U(-1.5, 1.5)^3$
    pixels, each view of it by as much again. A view has a rotation, even over all, and a scale of 1 or 1.5 pixels from
    sample to sample. Its three channels are the planes through the origin of this frame; no volume is built. They get
    noise, $N(0, \mathrm{noise}^2)$, independent in every sample; $(x - .2) / .4$ then brings them near mean 0 and
    variance 1.

    Nothing but $e$ depends on the class, and the likelihood ratio falls with $e$: no reader of the images, of whatever
    kind, tells single candidates apart better than $-e$ does (column `elongation`). With n vessels a volume its FROC
    curve is $1 - ((1 - 6.8 f / n) / 1.3)^2$ up to $f = n / 6.8$ false positives per volume, then 1. With 38 the
    area up to 10 is .890. Since a lesion is found by either of its two candidates, a reader may gain from judging these
    differently, and reach .914, if it looks at one candidate at a time.

    Each volume has a seed of its own: `volumes=24` begins `volumes=48`, and other views, sizes and noise show the same
    anatomy. The candidates of a lymph node see the same structures.

    Numbers of lesions, candidates and views, ranges of semi-axes and elongation and the noise stand in for the 176 CT
    volumes of Barbu, Lu, Roth, Seff and Summers; everything else above is a design of this project.
    """

    volumes: int = count(24, low=2)
    test_volumes: int = count(80, low=2)  # in the one test set that independent draws share
    views: int = count(5)  # of each candidate
    size: int = count(20)  # of a plane, pixels
    lesions: float = number(5.585, low=0.1, high=1000)  # of a volume, mean
    hits: int = count(2)  # candidates of each lesion
    negatives: int = count(38)  # candidates of each volume that are no lesion
    neighbours: float = number(1.0, low=0, high=1000)  # beside each lesion or vessel, mean
    noise: float = nonnegative(0.25)  # standard deviation
    seed: int = count(0, low=0)

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(volumes=2, test_volumes=2)]

    def draw(self, number: int) -> Volume:
        """What chance decided about the volume of this number."""
        return draw(
            self.seed,
            number,
            views=self.views,
            lesions=self.lesions,
            hits=self.hits,
            negatives=self.negatives,
            neighbours=self.neighbours,
        )

    def load(self, root: Root = None) -> Cases:
        drawn = [self.draw(number) for number in range(self.volumes)]
        ends = np.cumsum([len(one.views.place) for one in drawn])
        images = np.empty((ends[-1], 3, self.size, self.size), np.float32)  # filled volume by volume, to bound memory
        for at, one in enumerate(drawn):
            images[ends[at] - len(one.views.place) : ends[at]] = self._images(at, one)
        candidates = self._candidates(drawn)
        return Cases(
            images=torch.from_numpy(images),
            labels=torch.tensor([int(bool(lesion)) for lesion in candidates.lesion]),
            ids=tuple(f"{name}-{at % self.views}" for at, name in enumerate(candidates.candidate)),
            task=Task(kind="detection", classes=("no lesion", "lesion"), channels=3, size=(self.size, self.size)),
            groups=candidates.volume,
            columns=_columns(drawn),
            candidates=candidates,
        )

    def load_draw(self, number: int) -> Cases:
        train = replace(self, seed=_derived(self.seed, number)).load()
        test = replace(self, volumes=self.test_volumes, seed=_derived(self.seed, "test")).load()
        return joined(train, test)

    def _images(self, number: int, drawn: Volume) -> np.ndarray:
        grey = render(drawn.structures, drawn.views, self.size)
        grey += self.noise * grain(self.seed, number, views=self.views, candidates=drawn.candidates, size=self.size)
        return np.round((grey - MEAN) / SPREAD * GREYS) / GREYS

    def _candidates(self, drawn: list[Volume]) -> Candidates:
        candidate, volume, lesion = [], [], []
        for at, one in enumerate(drawn):
            here = f"{self.seed}-{at:03d}"
            for view, place in enumerate(one.views.place.tolist()):
                candidate.append(f"{here}-{view // self.views:02d}")
                volume.append(here)
                lesion.append(f"{here}-lesion{place}" if place < one.lesions else "")
        return Candidates(candidate=tuple(candidate), volume=tuple(volume), lesion=tuple(lesion))


def _derived(seed: int, name: object) -> int:
    """A seed of its own for each draw of each seed."""
    return int.from_bytes(sha256(f"lymph node phantom/{seed}/{name}".encode()).digest()[:4], "big") >> 1


def _columns(drawn: list[Volume]) -> dict[str, tuple]:
    """Of the structure that a view is about; and of the view itself."""
    facts: dict[str, list[np.ndarray]] = {"elongation": [], "radius": [], "contrast": [], "neighbours": [], "scale": []}
    for one in drawn:
        place, structures = one.views.place, one.structures
        for name in ("elongation", "radius", "contrast"):
            facts[name].append(getattr(structures, name)[place])
        facts["neighbours"].append(np.bincount(structures.place)[place] - 1)
        facts["scale"].append(one.views.scale)
    return {name: tuple(np.concatenate(parts).tolist()) for name, parts in facts.items()}
