"""Journal: a run as it goes, told to every place that was asked for."""

import re
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from ..course import Curve
from ..runs import Run
from ..tune import applied
from .tracker import Told, Tracker, tool


class Journal:
    """A place that fails is left alone from then on; why is in `lost`. No failure costs the run."""

    def __init__(self, run: Run, metrics: Sequence[str], order: Mapping[str, Any], aside: Path) -> None:
        """order: of `Tracks`, {} for none. aside: a folder that lives until the run has ended."""
        self.lost: dict[str, str] = {}
        self._trackers: dict[str, Tracker] = {}
        self._told = 0  # epochs
        if order.get("places"):
            told = Told(order["study"], _name(run), run.key, _parameters(run), _titles(metrics), aside)
            for place in order["places"]:
                self._try(place, lambda place=place: self._begin(place, told))

    def watch(self, curve: Curve) -> None:
        """At the end of each epoch. Where a training goes on from a checkpoint, the epochs before it come first."""
        for number, noted in enumerate(curve[self._told :], self._told + 1):
            self._all(lambda one, at=number, noted=noted: one.epoch(at, _finite("epoch", noted)))
        self._told = len(curve)

    def end(self, record: Mapping[str, Any]) -> None:
        """The record of the run, whatever came of it."""
        if "curve" in record:  # an epoch that no watcher saw: the last one was over before the training was cut off
            self.watch(record["curve"])
        found = {part: {name: one["value"] for name, one in record.get(kept, {}).items()} for part, kept in _PARTS}
        scores = {name: value for part, values in found.items() for name, value in _finite(part, values).items()}
        self._all(lambda one: one.end(self._told, scores, record["outcome"], record["message"]))

    def _begin(self, place: str, told: Told) -> None:
        cls, address = tool(place)
        self._trackers[place] = cls(address, told)

    def _all(self, tell: Callable[[Tracker], None]) -> None:
        for place, one in list(self._trackers.items()):
            self._try(place, lambda one=one: tell(one))

    def _try(self, place: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # whatever a full disk, a server or somebody else's code makes of it
            self._trackers.pop(place, None)
            self.lost[place] = f"{type(error).__name__}: {error}"


_PARTS = (("test", "scores"), ("inner", "inner"))  # as a tool has them, and as a record has them


def _name(run: Run) -> str:
    return f"{run.loss.label[:60]} fold {run.fold} seed {run.seed} {run.key[:8]}"


def _parameters(run: Run) -> dict[str, str | float]:
    """What was chosen, tuned settings in their places as well as by themselves."""
    trained = applied(run)
    optimizer = trained.training.optimizer
    return {
        "loss": repr(trained.loss), "data": repr(run.data), "network": repr(trained.network),
        "stress": " + ".join(run.spec["stress"]), "fold": run.fold, "seed": run.seed,
        "optimizer": repr(optimizer), "learning_rate": getattr(optimizer, "lr", ""),
    } | {f"tuned/{_title(name)}": value for name, value in run.tuned}  # fmt: skip


def _titles(metrics: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{part}/{_title(name)}" for part, _ in _PARTS for name in metrics)


def _finite(part: str, values: Mapping[str, float | None]) -> dict[str, float]:
    """By the names that tools take; what is no number is left out."""
    return {f"{part}/{_title(name)}": one for name, one in values.items() if one is not None and isfinite(one)}


def _title(name: str) -> str:
    """An expression in letters that every tool takes.

    >>> _title("SensitivityAt(fp_per_volume=3.0, count='lesion')")
    'SensitivityAt_fp_per_volume_3.0_count_lesion'
    """
    return re.sub(r"[^\w.-]+", "_", name).strip("_")[:200]
