"""Augmentation of batches on their device, image and mask together, 2-D and 3-D; a file for each way."""

from whichloss.core.catalogue import fill

from .augmentation import Augmentation as Augmentation
from .chain import augment as augment

fill(Augmentation, __name__, list(__path__))
