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
    marks: tuple[float, ...] = ()  # values of x that people read off, such as operating points
    runs: int = 0  # how many it is a mean of; 0: it is no mean

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("x", "mean", "low", "high")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"curve {self.title!r} of {self.loss!r} has columns of different length: {lengths}")


@dataclass(frozen=True)
class Picture:
    """Pictures of one title stand together."""

    title: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Recipe:
    """How one run was trained, for people who want to train with its loss."""

    loss: str  # its text in the study
    text: str  # the same with what was tuned in its place
    optimizer: str  # a class of torch.optim; "": none of these
    arguments: Mapping[str, Any]  # of that class
    kind: str  # of the task: classification, segmentation, detection or regression
    classes: int  # 2: a yes/no question; 0: a quantity
    outputs: int  # of the network
    answers: bool = True  # outputs are logits or quantities; else embeddings
    cosines: bool = False  # outputs are cosines of features and classes
    by_class: bool = True  # a logit is the score of a class; else, say, of a pair of classes
    foreign: bool = False  # the loss is somebody's own code
    settings: Mapping[str, Any] = field(default_factory=dict)  # what was tuned and applies to it, as it was chosen
    fold: int = 0
    seed: int = 0
    inner: float | None = None  # what the search scored with these settings on its inner split


@dataclass(frozen=True)
class Record:
    """Everything a study knows about itself, as tables.

    verdict: the content of verdict.json; positive differences mean better, whatever the metric's direction
    results: rows of results.csv
    costs: loss (label), runs, seconds_mean, seconds_sd, peak_memory_mib
    failures: run, loss, fold, seed, outcome, message
    provenance: section -> key -> value
    labels: the text of a loss (or metric) -> what figures and tables call it
    meanings: the text of a metric -> a line on what it measures
    recipes: of each finished run of the deciding cell
    ours: whether the texts of the losses are whichloss's to parse
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
    meanings: Mapping[str, str] = field(default_factory=dict)
    recipes: tuple[Recipe, ...] = ()
    ours: bool = True
    pictures: tuple[Picture, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)  # label of a loss -> key of its source
    bibliography: str = ""  # BibTeX of these
