"""Ways to make a data set harder, one file each. Importing this tells core where to look."""

from whichloss.core.catalogue import fill

from .stress import Stress as Stress
from .stress import StressCard as StressCard
from .touched import touched as touched

fill(Stress, __name__, list(__path__))
