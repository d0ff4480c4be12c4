"""Lift: prepares what a formula sees. A frozen value, so that losses with the same need can share it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from .question import Batch


@dataclass(frozen=True)
class Lift(ABC):
    """From a batch to what a formula sees. Plain lifts stand in `lifts/`, one file each."""

    of_target: ClassVar[bool] = False  # it sees target and weight alone, and gives (N, C, *S): may be made beforehand

    classes: str = "auto"

    @abstractmethod
    def __call__(self, batch: Batch) -> Any: ...
