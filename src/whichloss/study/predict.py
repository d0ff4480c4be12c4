"""Predictor: the answers of a network to images."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from whichloss.core import Loss, Task

from .patches import Patches, sliding_window
from .precision import Precision
from .readout import readout


@dataclass(frozen=True, eq=False)
class Predictor:
    """What a network answers, as scores for classes; with patches, a window slides over each image."""

    network: nn.Module
    loss: Loss
    precision: Precision
    memory: torch.memory_format
    patches: Patches | None
    task: Task
    images: Tensor  # fitted to, with their labels: where outputs are embeddings, a classifier is fitted, too
    labels: Tensor

    @torch.no_grad()
    def __call__(self, images: Tensor, batch: int) -> Tensor:
        """Scores (N, C, *S) in float32, on the CPU: one for a yes/no question or a quantity, else one a class."""

        def fitted() -> Tensor:
            return torch.cat([part.cpu() for part in self._outputs(self.images, batch)])

        self.network.eval()
        read = readout(self.loss, self.task, fitted, self.labels)
        return torch.cat([read(outputs).cpu() for outputs in self._outputs(images, batch)])

    def _outputs(self, images: Tensor, batch: int) -> Iterator[Tensor]:
        for part in images.split(1 if self.patches else batch):  # so many windows of one image
            shown = part.to(self.precision.device).contiguous(memory_format=self.memory)
            with self.precision.context():
                outputs = self._whole(shown, batch)
            yield outputs.float()

    def _whole(self, images: Tensor, batch: int) -> Tensor:
        if self.patches is None:
            return self.network(images)
        return sliding_window(self.network, images, self.patches.size, self.patches.overlap, batch)
