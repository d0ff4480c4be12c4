"""Network: a frozen value that builds the module to be trained."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from whichloss.core import Task, UserError, Value, in_words
from whichloss.core.task import Kind


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

    def accept(self, task: Task) -> None:
        """Raises UserError where the network does not suit the task."""
        name = type(self).__name__
        if task.kind not in self.card.tasks:
            raise UserError(f"{name} is for {in_words(self.card.tasks)}, and the data ask for {task.kind}")
        if task.dims not in (2, 3):
            raise UserError(f"{name} takes images of size (H, W) or (D, H, W); the data declare {task.size}")
