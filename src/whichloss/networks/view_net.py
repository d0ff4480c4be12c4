"""A small network for one view of a candidate."""

from collections import OrderedDict
from math import prod

from torch import nn

from whichloss.core import Task, count, number
from whichloss.networks.layers import MAX_POOL, convolution
from whichloss.networks.network import Network, NetworkCard


class ViewNet(Network):
    """Twice a 5x5 convolution, ReLU and max-pooling over 2x2; a hidden layer with dropout; head.

    What `LymphNet` is to a GPU, this is to one CPU core: 68,633 weights for 3 x 20 x 20 and one output. Convolutions
    are padded, so that any size will do, in two and three dimensions.
    """

    width: int = count(16)  # channels of the first convolution
    deeper: int = count(24)  # of the second
    units: int = count(96)  # of the hidden layer
    dropout: float = number(0.2, low=0.0, high=0.95)  # of the hidden layer

    card = NetworkCard(
        title="View CNN",
        meaning="A small network that looks at one view of a suspicious place, and says how suspicious it is.",
        source="",
        tasks=("classification", "detection"),
    )

    def build(self, task: Task, outputs: int) -> nn.Module:
        """A module whose `body` gives the hidden layer, (N, units), and whose `head` gives the logits, (N, outputs)."""
        self.accept(task)
        quarter = prod(-(-side // 4) for side in task.size)
        body = nn.Sequential(
            *_level(task.dims, task.channels, self.width),
            *_level(task.dims, self.width, self.deeper),
            nn.Flatten(),
            nn.Linear(self.deeper * quarter, self.units),
            nn.ReLU(),
            nn.Dropout(self.dropout),
        )
        return nn.Sequential(OrderedDict(body=body, head=nn.Linear(self.units, outputs)))


def _level(dims: int, inputs: int, width: int) -> list[nn.Module]:
    # ceil_mode: an odd side loses no pixel; ReLU and maximum commute to the last bit, and fewer pixels cost less
    return [convolution(dims, inputs, width, 5, padding=2), MAX_POOL[dims](2, ceil_mode=True), nn.ReLU()]
