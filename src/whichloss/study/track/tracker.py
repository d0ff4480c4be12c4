"""Tracker: one run in somebody else's tool."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from whichloss.core import UserError


@dataclass(frozen=True)
class Told:
    """What is known of a run before it begins."""

    study: str
    name: str  # for people
    key: str
    parameters: Mapping[str, str | float]
    scores: tuple[str, ...]  # names of what it will be told at the end
    aside: Path  # a folder that lives until the run has ended, however often it is cut off


class Tracker(ABC):
    """Writes one run, from its beginning: where an earlier attempt at it was cut off, what that wrote counts no more.

    May raise anything; whoever calls it goes on without it.
    """

    @staticmethod
    @abstractmethod
    def address(given: str, home: Path, study: str) -> str:
        """The place that a person means, the same from every folder. home: of the study. Raises UserError."""

    @staticmethod
    @abstractmethod
    def prepare(address: str, study: str) -> None:
        """Whatever has to be done once for a study, before its first run."""

    @abstractmethod
    def __init__(self, address: str, told: Told) -> None: ...

    @abstractmethod
    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """number: counted from 1."""

    @abstractmethod
    def end(self, epochs: int, scores: Mapping[str, float], outcome: str, message: str) -> None: ...


def tool(place: str) -> tuple[type[Tracker], str]:
    """The class of a place such as tensorboard:DIR, and what follows its name. Raises UserError."""
    name, _, rest = place.partition(":")
    if name not in _CLASSES:
        raise UserError(f"--track {place}: there is tensorboard, tensorboard:DIR and mlflow:URI; {name!r} is none")
    try:
        return getattr(import_module(f".{name}", __package__), _CLASSES[name]), rest
    except ImportError as error:
        raise UserError(f"--track {place} needs more than a study: pip install 'whichloss[track]' ({error})") from error


_CLASSES = {"tensorboard": "TensorBoard", "mlflow": "Mlflow"}
