"""What the page sees: plain frozen data, nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Curve:
    """One loss's curve and its band. Curves of the same title share a figure."""

    title: str
    x_label: str
    y_label: str
    loss: str  # its label
    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("x", "mean", "low", "high")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"curve {self.title!r} of {self.loss!r} has columns of different length: {lengths}")


@dataclass(frozen=True)
class Picture:
    title: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Record:
    """Everything a study knows about itself, as tables.

    verdict: the content of verdict.json; positive differences mean better, whatever the metric's direction
    results: rows of results.csv
    costs: loss (label), runs, seconds_mean, seconds_sd, peak_memory_mib
    failures: run, loss, fold, seed, outcome, message
    provenance: section -> key -> value
    labels: the text of a loss (or metric) -> what figures and tables call it
    call: how the loss is called in Python, and what it is given; "": the losses are not ours to call
    """

    study: str
    question: str
    verdict: Mapping[str, Any]
    results: tuple[Mapping[str, Any], ...]
    costs: tuple[Mapping[str, Any], ...]
    curves: tuple[Curve, ...]
    failures: tuple[Mapping[str, Any], ...]
    provenance: Mapping[str, Mapping[str, str]]
    study_text: str
    labels: Mapping[str, str]
    call: str = "loss(logits, target)"
    pictures: tuple[Picture, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)  # label of a loss -> key of its source
    bibliography: str = ""  # BibTeX of these
