"""Predictor: the answers of a network to images."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from whichloss.core import Loss, Task
from whichloss.core.rows import Rows, slabs
from whichloss.data.maps import scratch

from .patches import Patches, memory_format, sliding_window
from .precision import Precision
from .readout import Read, readout, with_gradient


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
        """Scores (N, C, *S) in float32, on the CPU: one for a yes/no question or a quantity, else one a class.

        Those of images that lie in a file lie in a file, too.
        """
        if isinstance(images, Rows):
            return self._in_file(images, batch)

        read = self._reader(batch)
        return torch.cat([read(outputs).cpu() for outputs in self._outputs(images, batch)])

    def smooth(self, batch: int) -> Read:
        """From outputs to scores with a gradient, on the device."""
        return with_gradient(self._reader(batch), self.loss)

    @torch.no_grad()
    def _reader(self, batch: int) -> Read:
        def fitted() -> Tensor:
            return torch.cat([part.cpu() for part in self._outputs(self.images, batch)])

        self.network.eval()
        return readout(self.loss, self.task, fitted, self.labels)

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

    def _in_file(self, images: Rows, batch: int) -> Tensor:
        assert self.patches is not None  # see `probe`
        memory = memory_format(cast(Tensor, images.contiguous(memory_format=self.memory)))

        def answers(windows: Tensor) -> Tensor:
            with self.precision.context():
                return self.network(windows.to(self.precision.device).contiguous(memory_format=memory)).float().cpu()

        self.network.eval()
        read = readout(self.loss, self.task, lambda: torch.empty(0), torch.empty(0))
        found: Tensor | None = None
        for place, image in enumerate(images):
            whole = image.unsqueeze(0)
            outputs = sliding_window(answers, whole, self.patches.size, self.patches.overlap, batch, room=scratch)
            for layers in slabs(image.shape[1:]):
                scores = read(outputs[:, :, layers])
                found = scratch((len(images), scores.shape[1], *image.shape[1:])) if found is None else found
                found[place, :, layers] = scores[0]
        return scratch((0, self.task.outputs, *self.task.size)) if found is None else found
