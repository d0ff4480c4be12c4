"""Every loss, one file each, in a folder for each family. Importing this package tells core where to look."""

from whichloss.core import Loss
from whichloss.core.catalogue import fill

fill(Loss, __name__, list(__path__))
