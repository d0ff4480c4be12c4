"""Studies: from a study file to runs, and from runs to one table."""

from whichloss.core.catalogue import fill

from . import optimizers
from .optimizers.optimizer import Optimizer

fill(Optimizer, optimizers.__name__, list(optimizers.__path__))


def __getattr__(name: str) -> object:
    if name == "Study":
        from .study import Study

        return Study
    raise AttributeError(name)
