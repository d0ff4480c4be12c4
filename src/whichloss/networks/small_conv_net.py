"""A small convolutional network for one answer per image."""

from collections import OrderedDict
from itertools import pairwise

from torch import nn

from whichloss.core import Task, count, flag
from whichloss.networks.layers import MAX_POOL, SpatialMean, block
from whichloss.networks.network import Network, NetworkCard


class SmallConvNet(Network):
    """At each level a convolution, batch normalisation, ReLU and max-pooling; mean over the image, linear, head.

    The width doubles at each level: 16, 32, 64. 25,521 weights for one channel and one output in two dimensions,
    71,889 in three. Trains in seconds on one CPU core.
    """

    width: int = count(16)  # channels of the first level
    depth: int = count(3)  # levels; each halves the image
    features: int = count(32)  # what the head sees
    normalize: bool = flag(True)

    card = NetworkCard(
        title="Small CNN",
        meaning="A small network that gives one answer per image.",
        source="",
        tasks=("classification", "detection", "regression"),
    )

    def build(self, task: Task, outputs: int) -> nn.Module:
        """A module whose `body` gives the features, (N, features), and whose `head` gives the logits, (N, outputs)."""
        self.accept(task)
        channels = [task.channels, *(self.width * 2**level for level in range(self.depth))]
        layers = []
        for inputs, width in pairwise(channels):
            # ceil_mode: an odd side loses no pixel, and a thin volume stays a volume; the ReLU of the block comes after
            # the maximum, which is the same to the last bit, on fewer pixels
            pool = nn.Sequential(MAX_POOL[task.dims](2, ceil_mode=True), nn.ReLU())
            layers += [block(task.dims, inputs, width, self.normalize)[:-1], pool]
        body = nn.Sequential(*layers, SpatialMean(), nn.Linear(channels[-1], self.features), nn.ReLU())
        return nn.Sequential(OrderedDict(body=body, head=nn.Linear(self.features, outputs)))
