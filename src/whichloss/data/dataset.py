"""DataSet: a frozen value that says which cases are meant, and loads them."""

from abc import abstractmethod

from whichloss.core import UserError, Value

from .cases import Cases
from .find import Root


class DataSet(Value):
    """A generator or a reader. Two equal data sets give the same cases as long as the files are the same.

    `results_version` is raised when the same expression begins to mean other cases.
    """

    @abstractmethod
    def load(self, root: Root = None) -> Cases:
        """The cases. root: the folder, or folders, in which files are looked for first."""

    def load_draw(self, number: int) -> Cases:
        """An independent training set of a generator, and the one test set that all draws share, as `sides` say."""
        raise UserError("design.draws needs a generator, which can make new cases; these are read from files")
