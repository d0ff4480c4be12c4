"""What new patients would make of a FROC curve: it is drawn again from volumes drawn with replacement."""

import numpy as np
from torch import Tensor

from whichloss.core.candidates import NONE, VOLUME

from .views import pool_views

Band = tuple[np.ndarray, np.ndarray]


def resampled(logits: Tensor, labels: Tensor, rates: np.ndarray, times: int, seed: int) -> Band:
    """The sensitivity per lesion at each rate of false positives per volume, (G,), and in each resample, (times, G).

    logits: (N, 1), one for each view. labels: (N + m, 4), see `Candidates.truth`. The trained network stays as it is;
    a volume keeps its lesions and candidates together. NaN in a resample without a lesion.
    """
    score, lesion, row = (one.numpy() for one in pool_views(logits, labels))
    volume = labels[:, VOLUME].unique(return_inverse=True)[1].numpy()
    count, missed = int(volume.max()) + 1, volume[len(logits) :]
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=times)
    weights = np.concatenate([np.ones((1, count), dtype=int), drawn])  # the first is the data themselves
    score = np.nan_to_num(score, nan=-np.inf)
    hit = lesion != NONE
    best, home = _of_lesions(score[hit], lesion[hit], volume[row][hit])
    cost = _cost(best, score[~hit], weights[:, volume[row][~hit]]) / count
    cost[:, np.isneginf(best)] = np.inf
    share = weights[:, home]
    lesions = share.sum(1) + weights[:, missed].sum(1)
    with np.errstate(invalid="ignore"):
        curves = np.stack([(share * (cost <= rate)).sum(1) for rate in rates], 1) / lesions[:, None]
    return curves[0], curves[1:]


def _of_lesions(score: np.ndarray, lesion: np.ndarray, volume: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The highest score of each lesion, and its volume."""
    names, first, at = np.unique(lesion, return_index=True, return_inverse=True)
    best = np.full(len(names), -np.inf)
    np.maximum.at(best, at, score)
    return best, volume[first]


def _cost(bars: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weight of the scores that reach each bar, (B, R). weights: (B, F)."""
    order = np.argsort(-scores, kind="stable")
    below = np.concatenate([np.zeros((len(weights), 1)), weights[:, order].cumsum(1)], 1)
    return below[:, np.searchsorted(-scores[order], -bars, side="right")]
