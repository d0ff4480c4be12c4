"""Study: what is asked, and how it will be answered, as one frozen value. Nothing happens until it is run."""

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from whichloss.core import Loss, Value, parse
from whichloss.data import DataSet
from whichloss.data.stress import Stress
from whichloss.metrics import Metric
from whichloss.networks import Network

from .augment import Augmentation
from .measures import at_both_thresholds
from .optimizers.adam import Adam
from .optimizers.optimizer import Optimizer
from .patches import Patches
from .ranges import Range
from .schedules import Constant, Schedule

if TYPE_CHECKING:
    import pandas


def _expression(kind: type[Value]) -> Any:
    """A field that holds a value and is written as its expression. A person wrote it, so foreign names are imported."""

    def read(given: Any) -> Any:
        return given if isinstance(given, kind) else parse(given, kind, imports=True)

    return BeforeValidator(read), PlainSerializer(repr, return_type=str)


def _by_word(given: Any) -> Any:
    """A schedule without fields may be written as a word: cosine."""
    return f"{given.capitalize()}()" if isinstance(given, str) and given.isidentifier() else given


def _as_list(given: Any) -> Any:
    """A scalar where a list is meant is a list of one."""
    return given if isinstance(given, list | tuple) else [given]


ALoss = Annotated[Loss, *_expression(Loss)]
AMetric = Annotated[Metric, *_expression(Metric)]
AnOptimizer = Annotated[Optimizer, *_expression(Optimizer)]
AnAugmentation = Annotated[Augmentation, *_expression(Augmentation)]
APatches = Annotated[Patches, *_expression(Patches)]
ASchedule = Annotated[Schedule, *_expression(Schedule), BeforeValidator(_by_word)]  # the last validator goes first
ARange = Annotated[Range, BeforeValidator(Range.parse), PlainSerializer(str, return_type=str)]
Listed = BeforeValidator(_as_list)
Losses = Annotated[tuple[ALoss, ...], Listed, Field(min_length=1)]
DataSets = Annotated[tuple[Annotated[DataSet, *_expression(DataSet)], ...], Listed, Field(min_length=1)]
Networks = Annotated[tuple[Annotated[Network, *_expression(Network)], ...], Listed, Field(min_length=1)]
Metrics = Annotated[tuple[AMetric, ...], Listed]


def spelled(stress: tuple[Stress, ...]) -> str:
    """A stress as the table of results has it; nothing for none."""
    return " + ".join(map(repr, stress))


class Part(BaseModel):
    """A part of a study: frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False)

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # some fields are tables, which have no hash of their own

    @field_validator("*", mode="before")
    @classmethod
    def _yes_is_no_number(cls, given: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name or ""]
        if isinstance(given, bool) and field.annotation in (int, float, int | None, float | None):
            raise ValueError(f"{str(given).lower()} is not a number")
        return given


class Design(Part):
    """Which cases are trained on and which are tested on. One of the first four:

    folds    k folds, stratified and by patient; drawn anew for every seed, or once for all with refold: false
    splits   a file of given folds, in nnU-Net's form: [{"train": [ids], "val": [ids]}, ...]
    split    given: the one that the data bring with them
    draws    so many independent training sets of a generator, and one test set for all; each draw is a seed

    seeds    how many; a seed means its own folds (unless they are given), initial weights, data order and noise
    inner    the share of the training part set aside for thresholds and every other choice
    select   the weights of the last epoch, or of the epoch that was best on the inner split by the primary metric
    """

    folds: int | None = Field(None, ge=2)
    refold: bool = True
    splits: str | None = None
    split: Literal["given"] | None = None
    draws: int | None = Field(None, ge=1)
    by: Literal["group"] = "group"
    seeds: int = Field(1, ge=1)
    inner: float = Field(0.2, gt=0, lt=1)
    select: Literal["last", "primary"] = "last"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(one is not None for one in (self.folds, self.splits, self.split, self.draws)) != 1:
            raise ValueError("say one of folds: k, splits: FILE, split: given, draws: n")
        if self.draws is not None and self.seeds != 1:
            raise ValueError("each draw is a seed of its own: leave out seeds where there are draws")
        return self

    @property
    def kind(self) -> Literal["refold", "fixed", "draws", "given"]:
        """What the standard error of the verdict is to assume."""
        if self.draws is not None:
            return "draws"
        if self.split is not None:
            return "given"
        return "refold" if self.folds is not None and self.refold else "fixed"


class Stage(Part):
    """Some epochs with one batch size. `rate` multiplies the learning rate; `share`: how much of the data is used."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    rate: float = Field(1.0, gt=0)
    share: float = Field(1.0, gt=0, le=1)


class Layer(Part):
    """A learning rate and weight decay of their own for the weights whose names match a pattern, such as body.0.*"""

    match: str
    rate: float = Field(1.0, gt=0)  # times the learning rate
    weight_decay: float | None = Field(None, ge=0)  # instead of the optimizer's


class Training(Part):
    """How each network is trained; the same for every loss."""

    optimizer: AnOptimizer = Adam()
    stages: Annotated[tuple[Stage, ...], Listed, Field(min_length=1)]
    length: float = Field(1.0, gt=0)  # times the epochs of every stage, which has at least one
    batch: int | None = Field(None, ge=1)  # instead of that of every stage
    schedule: ASchedule = Constant()  # of the learning rate, over all steps
    layers: Annotated[tuple[Layer, ...], Listed] = ()  # the first that matches counts
    clip: float | None = Field(None, gt=0)  # largest norm of the gradient
    augment: Annotated[tuple[AnAugmentation, ...], Listed] = ()  # of each batch
    mixup: float | None = Field(None, gt=0)  # alpha of the Beta distribution of shares in which cases are blended
    patches: APatches | None = None  # parts of large images that are trained on; predictions slide over the whole
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"  # of torch; auto takes a GPU where there is one
    devices: int = Field(1, ge=1)  # on which one run is trained together, each with its share of every batch
    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"
    skip_easy: bool = False  # no backward pass for cases at which the loss is flat; the same but for rounding

    @property
    def plan(self) -> tuple[Stage, ...]:
        """The stages as they are trained."""
        return tuple(
            one.model_copy(
                update={"epochs": max(1, round(self.length * one.epochs)), "batch": self.batch or one.batch},
            )
            for one in self.stages
        )

    def protocol(self) -> dict[str, Any]:
        """What decides results. Where it is computed, and on how many devices, is recorded beside them."""
        kept = self.model_dump(mode="json", exclude={"device", "devices", "memory_format"})
        if not self.skip_easy:
            del kept["skip_easy"]  # nor is it in the keys of runs that were computed before it was known
        if self.mixup is None:
            del kept["mixup"]
        return kept


class Tune(Part):
    """The same budget for every loss. Trial 0 is the published default.

    trials   how many, for each loss and training part; or grid: every combination of choices
    over     settings and their ranges: {training.lr: loguniform(1e-4, 1e-1), SmoothHinge.half_width: uniform(0.02, 1)}
    where    inside each outer training part, or once: on patients who are then in no test part
    share    once: the share of patients to tune on
    losses   each loss is tuned; or the baseline alone, whose settings all then use, as papers often do
    """

    trials: Annotated[int, Field(ge=1)] | Literal["grid"]
    over: dict[str, ARange] = Field(min_length=1)
    where: Literal["each_fold", "once"] = "each_fold"
    share: float = Field(0.25, gt=0, lt=1)
    losses: Literal["each", "baseline"] = "each"

    @model_validator(mode="after")
    def _countable(self) -> Self:
        if self.trials == "grid":
            for name, one in self.over.items():
                if one.form != "choice":
                    raise ValueError(f"trials: grid takes choice(a, b, ...), and {name} is {one}")
                if not name.startswith(("training.", "network.")):
                    raise ValueError(
                        f"trials: grid, and {name} is of one loss alone: losses would differ in their budget"
                    )
        return self

    @property
    def budget(self) -> str:
        """For people."""
        if self.trials == "grid":
            return f"a grid of {prod(len(one.ends) for one in self.over.values())} trials"
        return f"{self.trials} trials"


class Stresses(Part):
    """Ways to make the data harder, each with its levels; one at a time, or all combinations with cross: true.

    Written {label_noise: [0.0, 0.2], size: [1.0, 0.25]}: a level is a number, or an expression such as LabelNoise(0.2).
    """

    axes: dict[str, tuple[Stress, ...]] = Field(default_factory=dict)
    cross: bool = False

    @model_validator(mode="before")
    @classmethod
    def _by_axis(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or isinstance(given.get("axes"), Mapping):
            return given
        read = {axis: [Stress.of(axis, one, imports=True) for one in _as_list(levels)]
                for axis, levels in given.items() if axis != "cross"}  # fmt: skip
        if empty := next((axis for axis, levels in read.items() if not levels), None):
            raise ValueError(f"{empty}: no level is given")
        return {"axes": read} | ({"cross": given["cross"]} if "cross" in given else {})

    @model_serializer
    def _written(self) -> dict[str, Any]:
        written: dict[str, Any] = {axis: [repr(one) for one in levels] for axis, levels in self.axes.items()}
        return written | ({"cross": True} if self.cross else {})

    @property
    def levels(self) -> tuple[tuple[Stress, ...], ...]:
        """What a run may be under, each once: (), which is nothing, or one stress; several where they are crossed."""
        if self.cross:
            wanted = list(product(*self.axes.values()))
        else:
            wanted = [(one,) for levels in self.axes.values() for one in levels] or [()]
        return tuple(dict.fromkeys(tuple(one for one in several if not one.none) for several in wanted))


class Attribution(Part):
    """Which pixels an answer rests on: integrated gradients of a few test cases of each run, as pictures."""

    cases: int = Field(8, ge=1)  # of each run
    steps: int = Field(32, ge=2)  # of the integral


class Cell(Part):
    """The one setting that the verdict is for, such as {label_noise: 0.2}; default: the first of each list."""

    data: Annotated[DataSet, *_expression(DataSet)] | None = None
    network: Annotated[Network, *_expression(Network)] | None = None
    stress: tuple[Annotated[Stress, *_expression(Stress)], ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_axis(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        kept = {key: one for key, one in given.items() if key in cls.model_fields}
        axes = {key: one for key, one in given.items() if key not in cls.model_fields}
        if axes:
            read = [Stress.of(axis, one, imports=True) for axis, one in axes.items()]
            kept["stress"] = tuple(one for one in read if not one.none)
        return kept


class Study(Part):
    """A question about losses, and the whole protocol that answers it.

    Losses, seeds, secondary metrics, rope and baseline may change under one name; anything else is another study.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    question: str
    losses: Losses
    baseline: ALoss
    data: DataSets
    network: Networks
    design: Design
    training: Training
    tune: Tune | None = None
    protocol: Literal["as_published", "tuned"] | None = None  # to say it; tuned where there is tune
    stress: Stresses = Stresses()
    primary: AMetric
    rope: float = Field(ge=0)  # the smallest difference of the primary metric that matters
    secondary: Metrics = ()
    cell: Cell = Cell()
    attribution: Attribution | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.baseline not in self.losses:
            names = ", ".join(loss.label for loss in self.losses)
            raise ValueError(f"baseline: {self.baseline.label} is not one of the losses ({names})")
        for name in ("losses", "data", "network"):
            listed = getattr(self, name)
            if twice := next((one for one in listed if listed.count(one) > 1), None):
                raise ValueError(f"{name}: {twice.label} stands there twice")
        for name in ("data", "network"):
            chosen = getattr(self.cell, name)
            if chosen is not None and chosen not in getattr(self, name):
                raise ValueError(f"cell.{name}: {chosen.label} is not one of {name}")
        if self.cell.stress is not None and self.cell.stress not in self.stress.levels:
            known = "; ".join(spelled(one) or "none" for one in self.stress.levels)
            raise ValueError(f"cell: {spelled(self.cell.stress) or 'no stress'} is not a level of stress ({known})")
        if self.protocol is not None and (self.protocol == "tuned") != (self.tune is not None):
            raise ValueError(f"protocol: {self.protocol}, and tune says otherwise: tuned needs tune, as_published none")
        return self

    @property
    def reserved(self) -> float:
        """The share of patients on whom settings are tuned once, and who are in no test part."""
        once = self.tune is not None and self.tune.where == "once"
        return self.tune.share if self.tune and once and self.design.kind in ("refold", "fixed") else 0.0

    @property
    def decides(self) -> tuple[DataSet, Network, str]:
        """Data, network and stress of the cell that the verdict is for."""
        stress = self.stress.levels[0] if self.cell.stress is None else self.cell.stress
        return self.cell.data or self.data[0], self.cell.network or self.network[0], spelled(stress)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The primary metric and the secondary ones, thresholded ones at both thresholds; each once."""
        wanted = [one for metric in (self.primary, *self.secondary) for one in at_both_thresholds(metric)]
        return tuple(dict.fromkeys(wanted))

    @property
    def labels(self) -> dict[str, str]:
        """Short names of the losses for people; the whole expression where two would be called the same."""
        short = [loss.label for loss in self.losses]
        return {repr(one): one.label if short.count(one.label) == 1 else repr(one) for one in self.losses}

    def fixed(self) -> dict[str, Any]:
        """What may not change under one name."""
        kept = self.model_dump(
            mode="json",
            include={"question", "data", "network", "design", "training", "tune", "primary", "cell"},
        )
        kept["design"].pop("seeds")
        kept["design"]["draws"] = self.design.draws is not None  # a draw is a seed, and more may come
        kept["training"] = self.training.protocol()
        if self.attribution is not None:  # it is computed with a run or never, since networks are not kept
            kept["attribution"] = self.attribution.model_dump()
        return kept

    # the whole way, from Python

    def run(self, store: str = "whichloss-runs", **options: Any) -> Any:
        """Run what is not finished yet, and judge. See `whichloss.study.conduct`."""
        from .conduct import conduct

        return conduct(self, store, **options)

    def results(
        self, store: str | Path = "whichloss-runs", *, roots: Sequence[Path] = (), allow_mixed: bool = False
    ) -> "pandas.DataFrame":
        """The rows of results.csv, from whatever is finished; nothing is run."""
        from . import conduct, facts

        return facts.frame(conduct.table_of(conduct.prepare(self, store, roots), allow_mixed=allow_mixed)[0])

    def report(
        self, store: str | Path = "whichloss-runs", *, roots: Sequence[Path] = (), allow_mixed: bool = False
    ) -> Path:
        """Write tables, verdict and page from whatever is finished; where the page is. Nothing is run."""
        from . import conduct

        return conduct.report(conduct.prepare(self, store, roots), allow_mixed=allow_mixed).report
