"""Network: a frozen value that builds the module to be trained."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from whichloss.core import Loss, Task, UserError, Value, in_words
from whichloss.core.task import Kind
from whichloss.networks.layers import CosineHead


@dataclass(frozen=True, kw_only=True)
class NetworkCard:
    """The facts of one network."""

    title: str  # for people: "U-Net"
    meaning: str  # one line, for a clinician
    source: str  # key in references.bib; "" for a design of this project
    tasks: tuple[Kind, ...]


class Network(Value):
    """A plan of a network. The weights live in what it builds."""

    card: ClassVar[NetworkCard]
    foreign: ClassVar[Any] = None  # the class of somebody else's networks; set by factory.py

    @abstractmethod
    def build(self, task: Task, outputs: int) -> nn.Module:
        """A module from images (N, channels, *S) to logits (N, outputs), or (N, outputs, *S) in segmentation.

        In regression its outputs are the quantity, in standard deviations from the mean of the training cases.
        Its weights are drawn from torch's global generator, which the caller seeds. The last layer is called `head`
        and drawn last: losses that ask for different outputs share all weights before it.
        """

    def under(self, loss: Loss, task: Task) -> nn.Module:
        """What a loss trains: as many outputs as it asks for, and cosines in place of a linear head if it needs those.

        Raises UserError where the head cannot be told.
        """
        module = self.build(task, loss.outputs(task))
        if loss.cosines:
            module.head = self._with_cosines(getattr(module, "head", None), loss)
            coarser: nn.ModuleList = getattr(module, "coarse_heads", nn.ModuleList())
            for at, head in enumerate(coarser):
                coarser[at] = self._with_cosines(head, loss)
        return module

    def _with_cosines(self, head: nn.Module | None, loss: Loss) -> CosineHead:
        if isinstance(head, CosineHead):
            return head
        weight = getattr(head, "weight", None)
        if not isinstance(weight, nn.Parameter) or weight.ndim < 2 or weight[0, 0].numel() != 1:
            raise UserError(
                f"{loss.label} needs cosines, and {self.label} has no linear layer called head, in place of which it"
                " could be given them\n"
                "  remedy: call the last linear layer (or 1x1 convolution) of the module head, or make it a"
                " whichloss.networks.layers.CosineHead"
            )
        return CosineHead(weight.shape[1], weight.shape[0])

    def accept(self, task: Task) -> None:
        """Raises UserError where the network does not suit the task."""
        name = type(self).__name__
        if task.kind not in self.card.tasks:
            raise UserError(f"{name} is for {in_words(self.card.tasks)}, and the data ask for {task.kind}")
        if task.dims not in (2, 3):
            raise UserError(f"{name} takes images of size (H, W) or (D, H, W); the data declare {task.size}")
