"""Study: what is asked, and how it will be answered, as one frozen value. Nothing happens until it is run."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
    model_validator,
)

from whichloss.core import Loss, Value, parse
from whichloss.data import DataSet
from whichloss.metrics import Metric
from whichloss.networks import Network

from .measures import at_both_thresholds
from .optimizers.adam import Adam
from .optimizers.optimizer import Optimizer


def _expression(kind: type[Value]) -> Any:
    """A field that holds a value and is written as its expression. A person wrote it, so foreign names are imported."""

    def read(given: Any) -> Any:
        return given if isinstance(given, kind) else parse(given, kind, imports=True)

    return BeforeValidator(read), PlainSerializer(repr, return_type=str)


def _as_list(given: Any) -> Any:
    """A scalar where a list is meant is a list of one."""
    return given if isinstance(given, list | tuple) else [given]


ALoss = Annotated[Loss, *_expression(Loss)]
AMetric = Annotated[Metric, *_expression(Metric)]
AnOptimizer = Annotated[Optimizer, *_expression(Optimizer)]
Listed = BeforeValidator(_as_list)
Losses = Annotated[tuple[ALoss, ...], Listed, Field(min_length=1)]
DataSets = Annotated[tuple[Annotated[DataSet, *_expression(DataSet)], ...], Listed, Field(min_length=1)]
Networks = Annotated[tuple[Annotated[Network, *_expression(Network)], ...], Listed, Field(min_length=1)]
Metrics = Annotated[tuple[AMetric, ...], Listed]


class Part(BaseModel):
    """A part of a study: frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _yes_is_no_number(cls, given: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name or ""]
        if isinstance(given, bool) and field.annotation in (int, float, int | None, float | None):
            raise ValueError(f"{str(given).lower()} is not a number")
        return given


class Design(Part):
    """Which cases are trained on and which are tested on.

    folds    k folds, stratified and by patient; drawn anew for every seed, or once for all with refold: false
    splits   a file of given folds, in nnU-Net's form: [{"train": [ids], "val": [ids]}, ...]
    seeds    how many; a seed means its own folds (unless they are given), initial weights, data order and noise
    inner    the share of the training part set aside for thresholds and every other choice
    """

    folds: int | None = Field(None, ge=2)
    refold: bool = True
    splits: str | None = None
    by: Literal["group"] = "group"
    seeds: int = Field(1, ge=1)
    inner: float = Field(0.2, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.folds is None) == (self.splits is None):
            raise ValueError("say either folds: k or splits: FILE")
        return self

    @property
    def kind(self) -> Literal["refold", "fixed"]:
        """What the standard error of the verdict is to assume."""
        return "refold" if self.folds is not None and self.refold else "fixed"


class Stage(Part):
    """Some epochs with one batch size. `rate` multiplies the learning rate."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    rate: float = Field(1.0, gt=0)


class Training(Part):
    """How each network is trained; the same for every loss."""

    optimizer: AnOptimizer = Adam()
    stages: Annotated[tuple[Stage, ...], Listed, Field(min_length=1)]
    schedule: Literal["constant", "cosine"] = "constant"  # of the learning rate, over all steps
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"  # of torch; auto takes a GPU where there is one
    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"

    def protocol(self) -> dict[str, Any]:
        """What decides results. Where it is computed is recorded beside them."""
        return self.model_dump(mode="json", exclude={"device", "memory_format"})


class Cell(Part):
    """The one setting that the verdict is for; default: the first of each list."""

    data: Annotated[DataSet, *_expression(DataSet)] | None = None
    network: Annotated[Network, *_expression(Network)] | None = None


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
    primary: AMetric
    rope: float = Field(ge=0)  # the smallest difference of the primary metric that matters
    secondary: Metrics = ()
    cell: Cell = Cell()

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
        return self

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
            mode="json", include={"question", "data", "network", "design", "training", "primary", "cell"}
        )
        kept["design"].pop("seeds")
        for free in ("device", "memory_format"):
            kept["training"].pop(free)
        return kept

    # the whole way, from Python

    def run(self, store: str = "whichloss-runs", **options: Any) -> Any:
        """Run what is not finished yet, and judge. See `whichloss.study.conduct`."""
        from .conduct import conduct

        return conduct(self, store, **options)
