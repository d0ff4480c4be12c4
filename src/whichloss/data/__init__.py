"""Every data set and reader, one file each, and how cases are split. Importing this tells core where to look."""

from whichloss.core.catalogue import fill

from .cases import Cases as Cases
from .dataset import DataSet as DataSet
from .find import find_file as find_file
from .folds import Fold as Fold
from .folds import check_groups as check_groups
from .folds import folds as folds
from .folds import given as given
from .folds import inner as inner

fill(DataSet, __name__, list(__path__))
