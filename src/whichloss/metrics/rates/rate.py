"""The two rates of a diagnostic test, and the threshold at which both are given."""

import torch
from torch import Tensor

from whichloss.core import Counts
from whichloss.core.task import Kind
from whichloss.metrics.thresholded import ThresholdedMetric

TASKS: tuple[Kind, ...] = ("classification", "segmentation")


class RateMetric(ThresholdedMetric):
    """In classification a rate over the fold, in segmentation the mean of the rates within each image.

    A constant answer makes one rate 1 and the other 0. So neither is tuned by itself: the tuned threshold is where
    their mean is highest (Youden's index), and recall and specificity describe the same operating point.
    """

    def goal(self, n: Counts) -> Tensor:
        return torch.stack([recall(n), specificity(n)]).nanmean(0)


def recall(n: Counts) -> Tensor:
    return n.tp / (n.tp + n.fn)


def specificity(n: Counts) -> Tensor:
    return n.tn / (n.tn + n.fp)
