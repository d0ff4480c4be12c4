"""Label noise: cases get the label of another class, whichever class they are of."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from whichloss.core import fraction
from whichloss.data.cases import Cases

from .stress import Stress, StressCard, units


class LabelNoise(Stress):
    """Symmetric noise: `round(share * n)` of n training cases get another class, each of the others equally likely.

    Each case by itself, whatever its patient; in detection each candidate, with all its views. With K classes a share
    of (K - 1)/K leaves no information in the labels.
    """

    share: float = fraction(0.2)  # of the training cases

    card = StressCard(
        title="label noise",
        meaning="this share of the training cases carries a wrong diagnosis, at random",
        axis="label_noise",
        tasks=("classification", "detection"),
        changes="labels",
        unit="share of the training cases",
    )

    @property
    def none(self) -> bool:
        return not self.share

    def relabel(self, cases: Cases, train: Sequence[int], random: np.random.Generator) -> Tensor:
        labels, classes = cases.labels[list(train)], len(cases.task.classes)
        count, member = units(cases, train)
        order = random.permutation(count)
        steps = random.integers(1, classes, size=count)  # for all, so that levels are nested
        steps[order[round(self.share * count) :]] = 0
        return (labels + torch.from_numpy(steps[member])) % classes
