"""What new patients would make of a FROC curve: it is drawn again from volumes drawn with replacement.

The trained network stays as it is; a volume keeps its lesions and candidates together. Sensitivity is per lesion, those
that are missed included, by steps; the score of a candidate is the mean of its views.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from whichloss.core.candidates import NONE, VOLUME

from .views import pool_views

CHUNK = 256  # resamples at a time, to bound the memory


@dataclass(frozen=True, eq=False)
class Scene:
    """Scores of a fold, with the number of the volume of each."""

    best: np.ndarray  # (R,): the highest score of each lesion that a candidate hits
    home: np.ndarray  # (R,)
    false: np.ndarray  # (F,): scores of candidates of no lesion, descending
    false_home: np.ndarray  # (F,)
    missed_home: np.ndarray  # of each lesion that no candidate hits
    volumes: int

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> "Scene":
        """logits: (N, 1), one for each view. labels: (N + m, 4), see `Candidates.truth`."""
        score, lesion, row = (one.numpy() for one in pool_views(logits, labels))
        volume = labels[:, VOLUME].unique(return_inverse=True)[1].numpy()
        score, home, hit = np.nan_to_num(score, nan=-np.inf), volume[row], lesion != NONE
        names, first, at = np.unique(lesion[hit], return_index=True, return_inverse=True)
        best = np.full(len(names), -np.inf)
        np.maximum.at(best, at, score[hit])
        order = np.argsort(-score[~hit], kind="stable")
        return cls(
            best=best, home=home[hit][first], false=score[~hit][order], false_home=home[~hit][order],
            missed_home=volume[len(logits) :], volumes=int(volume.max()) + 1,
        )  # fmt: skip

    def draws(self, times: int, seed: int) -> np.ndarray:
        """How often each volume is in each resample, (times, volumes)."""
        chance = np.random.default_rng(seed)
        return chance.multinomial(self.volumes, np.full(self.volumes, 1 / self.volumes), size=times).astype(np.int32)

    def costs(self, weights: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Chunk by chunk: false positives per volume that each lesion costs, (B, R), its weight, (B, R), and theirs."""
        reached = np.searchsorted(-self.false, -self.best, side="right")
        for start in range(0, len(weights), CHUNK):
            part = weights[start : start + CHUNK]
            marked = np.zeros((len(part), len(self.false) + 1), np.int32)
            np.cumsum(part[:, self.false_home], axis=1, out=marked[:, 1:])
            cost = marked[:, reached] / self.volumes
            cost[:, np.isneginf(self.best)] = np.inf
            share = part[:, self.home]
            yield cost, share, share.sum(1) + part[:, self.missed_home].sum(1)


def resampled(
    logits: Tensor, labels: Tensor, rates: np.ndarray, times: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The sensitivity at each rate of false positives per volume, (G,), and in each resample, (times, G).

    NaN in a resample without a lesion.
    """
    scene, curves = Scene.of(logits, labels), []
    for cost, share, lesions in scene.costs(_itself_and(scene, times, seed)):
        with np.errstate(invalid="ignore"):
            curves.append(np.stack([(share * (cost <= rate)).sum(1) for rate in rates], 1) / lesions[:, None])
    drawn = np.concatenate(curves)
    return drawn[0], drawn[1:]


def resampled_area(logits: Tensor, labels: Tensor, up_to: float, times: int, seed: int) -> tuple[float, np.ndarray]:
    """The area up to so many false positives per volume, as `FrocArea` has it, and in each resample, (times,)."""
    scene, areas = Scene.of(logits, labels), []
    for cost, share, lesions in scene.costs(_itself_and(scene, times, seed)):
        with np.errstate(invalid="ignore"):
            areas.append((share * np.maximum(0, 1 - cost / up_to)).sum(1) / lesions)
    drawn = np.concatenate(areas)
    return float(drawn[0]), drawn[1:]


def _itself_and(scene: Scene, times: int, seed: int) -> np.ndarray:
    """Weights of the volumes: the data themselves first."""
    return np.concatenate([np.ones((1, scene.volumes), np.int32), scene.draws(times, seed)])
