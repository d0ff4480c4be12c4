"""Every network, one file each. Importing this package tells core where to look."""

from whichloss.core.catalogue import fill

from .factory import Factory as Factory
from .network import Network as Network
from .network import NetworkCard as NetworkCard

fill(Network, __name__, list(__path__))
