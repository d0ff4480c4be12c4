"""Missed lesions: the annotator overlooked them."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from whichloss.core import fraction
from whichloss.data.cases import Cases

from .lesions import lesions
from .stress import Stress, StressCard


class MissedLesions(Stress):
    """`round(share * n)` of the n lesions in all training masks together become background.

    A lesion is what hangs together, corners included, each class by itself.
    """

    share: float = fraction(0.2)  # of the lesions

    card = StressCard(
        title="missed lesions",
        meaning="this share of the lesions was overlooked when the training masks were drawn",
        axis="missed_lesions",
        tasks=("segmentation",),
        changes="labels",
        unit="share of the lesions in the training masks",
    )

    @property
    def none(self) -> bool:
        return not self.share

    def relabel(self, cases: Cases, train: Sequence[int], random: np.random.Generator) -> Tensor:
        labels = cases.labels[list(train)]
        masks = labels.numpy()  # the same memory, which is a copy of the cases'
        found = lesions(masks)
        for at in random.permutation(len(found))[: round(self.share * len(found))]:
            missed = found[at]
            masks[missed.case][missed.box][missed.inside] = 0
        return labels
