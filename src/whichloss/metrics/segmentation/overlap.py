"""Metrics of the overlap of two masks, with one rule for empty ones."""

from abc import abstractmethod

import torch
from torch import Tensor

from whichloss.core import Counts, Task, choice
from whichloss.metrics.thresholded import ThresholdedMetric


class OverlapMetric(ThresholdedMetric):
    """The score of each image; a fold has their mean.

    Where prediction and target are both empty the score is 1, where one of them is, 0. `empty="skip"` leaves out
    every image (of several classes: every class of an image) whose target is empty.
    """

    empty: str = choice("one", "skip")

    @abstractmethod
    def overlap(self, n: Counts) -> Tensor:
        """The overlap of two masks that are not both empty."""

    def formula(self, n: Counts) -> Tensor:
        absent = n.tp + n.fn == 0
        if self.empty == "skip":
            return torch.where(absent, torch.nan, self.overlap(n))
        return torch.where(absent & (n.fp == 0), 1.0, self.overlap(n))

    def chance(self, labels: Tensor, task: Task) -> float:
        """0: a run that failed has found nothing, even where a constant answer would overlap a little."""
        self.accept(task)
        return 0.0
