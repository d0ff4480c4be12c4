"""Boundary noise: lesions are drawn too large or too small."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from whichloss.core import count, fraction
from whichloss.core.task import IGNORED
from whichloss.data.cases import Cases

from .lesions import Lesion, lesions
from .stress import Stress, StressCard


class BoundaryNoise(Stress):
    """`round(share * n)` of the n lesions in the training masks are dilated or eroded, each at random, evenly.

    By the ball of radius `voxels`. An eroded voxel takes the label of the nearest voxel outside the lesion, so that a
    tumour in a liver becomes liver. Erosion leaves the innermost voxels, so that no lesion vanishes by it. The edge of
    the image and ignored voxels are no boundary, and ignored voxels stay so. Where two lesions meet, one that grows
    wins over one that shrinks or stays; of two alike, one drawn by lot.
    """

    voxels: int = count(1, low=0)  # by which the boundary moves
    share: float = fraction(1.0)  # of the lesions

    card = StressCard(
        title="boundary noise",
        meaning="the outlines of lesions in the training masks are this much too wide or too narrow",
        axis="boundary_noise",
        tasks=("segmentation",),
        changes="labels",
        unit="voxels",
    )

    @property
    def none(self) -> bool:
        return not (self.voxels and self.share)

    def relabel(self, cases: Cases, train: Sequence[int], random: np.random.Generator) -> Tensor:
        labels = cases.labels[list(train)]
        if self.none:
            return labels
        drawn, true = labels.numpy(), labels.numpy().copy()  # `drawn` is the memory of `labels`
        found = lesions(true)
        order, grows = random.permutation(len(found)), random.random(len(found)) < 0.5
        chosen = order[: round(self.share * len(found))]
        for at in chosen[~grows[chosen]]:
            _shrink(found[at], true[found[at].case], drawn[found[at].case], self.voxels)
        for at in chosen[grows[chosen]]:
            _grow(found[at], true[found[at].case], drawn[found[at].case], self.voxels)
        return labels


def _shrink(lesion: Lesion, true: np.ndarray, drawn: np.ndarray, reach: int) -> None:
    box, inside = lesion.widened(reach, true.shape)
    outside = ~inside & (true[box] != IGNORED)
    if not outside.any():
        return
    depth, nearest = distance_transform_edt(~outside, return_indices=True)  # type: ignore[misc]
    lost = inside & (depth <= min(reach, np.nextafter(depth[inside].max(), 0)))  # never all
    drawn[box][lost] = true[box][tuple(nearest)][lost]
    # What a shrinking neighbour has just given to this lesion goes back to it: the boundary between the two moves one
    # way, and they do not swap their edges.
    given = ~inside & (drawn[box] == lesion.label) & _near(inside, reach)
    drawn[box][given] = true[box][given]


def _grow(lesion: Lesion, true: np.ndarray, drawn: np.ndarray, reach: int) -> None:
    box, inside = lesion.widened(reach, true.shape)
    drawn[box][_near(inside, reach) & (true[box] != IGNORED)] = lesion.label


def _near(inside: np.ndarray, reach: int) -> np.ndarray:
    """What is inside, or no farther from it than that."""
    return np.asarray(distance_transform_edt(~inside)) <= reach
