"""What runs do, told to TensorBoard or MLflow as they do it. Nothing is read back, and no result depends on it."""

from .journal import Journal
from .tracks import Tracks

__all__ = ["Journal", "Tracks"]
