"""Tracks: where the runs of a study are told to, for as long as it can be written to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .tracker import tool


class Tracks:
    """The places of a study. The first failure of any of them is said once, and no run after it tries again."""

    def __init__(self, wanted: Sequence[str], home: Path, study: str) -> None:
        """wanted: tensorboard, tensorboard:DIR, mlflow:URI. home: folder of the study. Raises UserError."""
        self.study, self.places = study, list[str]()
        for text in wanted:
            cls, given = tool(text)
            place = f"{text.partition(':')[0]}:{cls.address(given, home, study)}"
            if place not in self.places:
                self.places.append(place)

    def prepare(self, warn: Callable[[str], None]) -> None:
        """Before the first run."""
        for place in list(self.places):
            cls, address = tool(place)
            try:
                cls.prepare(address, self.study)
            except Exception as error:  # no answer, no such host, no permission
                self.lose({place: f"{type(error).__name__}: {error}"}, warn)

    def order(self) -> dict[str, Any]:
        """What a worker is told, in plain JSON."""
        return {"track": {"study": self.study, "places": list(self.places)}}

    def lose(self, lost: Mapping[str, str], warn: Callable[[str], None]) -> None:
        """Places that failed, and why."""
        for place, why in lost.items():
            if place in self.places:  # else it was said before, of another run
                self.places.remove(place)
                warn(f"{place} cannot be written to, and is left alone from now on; the runs go on ({why})")
