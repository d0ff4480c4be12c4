"""Predictor: the answers of a network to images."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from whichloss.core import Loss

from .patches import Patches, sliding_window
from .precision import Precision


@dataclass(frozen=True, eq=False)
class Predictor:
    """What a network answers, as scores for classes; with patches, a window slides over each image."""

    network: nn.Module
    loss: Loss
    precision: Precision
    memory: torch.memory_format
    patches: Patches | None = None

    @torch.no_grad()
    def __call__(self, images: Tensor, batch: int) -> Tensor:
        """Scores (N, C, *S) in float32, on the CPU: one for a yes/no question or a quantity, else one a class."""
        self.network.eval()
        scores = []
        for part in images.split(1 if self.patches else batch):  # so many windows of one image
            shown = part.to(self.precision.device).contiguous(memory_format=self.memory)
            with self.precision.context():
                outputs = self._outputs(shown, batch)
            scores.append(self.loss.class_scores(outputs.float()).cpu())
        return torch.cat(scores)

    def _outputs(self, images: Tensor, batch: int) -> Tensor:
        if self.patches is None:
            return self.network(images)
        return sliding_window(self.network, images, self.patches.size, self.patches.overlap, batch)
