"""The verdict: one frozen value from which sentence, figure and verdict.json are made."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from whichloss.stats.best import best_set
from whichloss.stats.caution import cautions, fewest_df
from whichloss.stats.cell import Cell, deciding_cell
from whichloss.stats.comparison import Comparison, compare
from whichloss.stats.headline import against_baseline, not_told_from_best
from whichloss.stats.plan import Plan
from whichloss.stats.table import Row

if TYPE_CHECKING:
    from whichloss.stats.supplement import Supplement


@dataclass(frozen=True)
class Summary:
    """One loss by itself: descriptive, in the metric's own direction, failed runs at chance."""

    loss: str
    label: str
    mean: float | None
    sd: float | None  # over runs, which are not independent: not a standard error
    runs: int
    failed: int
    in_best_set: bool


@dataclass(frozen=True)
class Extent:
    """How much there is to judge from."""

    kind: str
    folds: int
    seeds: int
    pairs: int  # (fold, seed) pairs that any loss has run
    n_train: float  # mean over pairs
    n_test: float
    df: int | None  # of the weakest comparison that has pairs; None: there is none


@dataclass(frozen=True)
class Place:
    """The deciding cell."""

    data: str
    network: str
    stress: str


@dataclass(frozen=True)
class Verdict:
    """Each loss against the baseline, and the losses that cannot be told from the best."""

    study: str
    question: str
    interim: bool  # runs are missing
    primary: str
    primary_label: str
    unit: str
    higher_is_better: bool  # of the metric; differences are turned so that positive is always better
    baseline: str
    baseline_label: str
    rope: float
    confidence: float
    design: Extent
    cell: Place
    losses: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    best_set: tuple[str, ...]
    sentences: tuple[str, str]
    warnings: tuple[str, ...]
    supplement: "Supplement | None" = None  # what stands beside it and never decides, where that was asked for

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, texts and numbers; the infinite and the unknown are None: strict JSON."""
        return strict(asdict(self))

    def to_file(self) -> dict[str, Any]:
        """What verdict.json holds: the same without seconds, so that who computes the study again has the same file."""
        told = self.to_json()
        pace = (told["supplement"] or {}).get("pace") or {}
        pace.get("clocks", {}).pop("seconds", None)
        return told


def judge(rows: Iterable[Row], plan: Plan) -> Verdict:
    """The plan's question answered from the table, and from nothing but the plan's metric and cell."""
    cell = deciding_cell(rows, plan)
    comparisons = tuple(compare(cell, plan, loss) for loss in plan.rivals)
    best = best_set(cell, plan)
    ran = [loss for loss in plan.losses if cell.scores[loss]]
    planned = max(plan.pairs or 0, len(cell.pairs))
    interim = any(len(cell.scores[loss]) < planned for loss in plan.losses)
    return Verdict(
        study=plan.study,
        question=plan.question,
        interim=interim,
        primary=plan.primary,
        primary_label=plan.primary_label,
        unit=cell.unit,
        higher_is_better=plan.higher_is_better,
        baseline=plan.baseline,
        baseline_label=plan.label(plan.baseline),
        rope=plan.rope,
        confidence=plan.confidence,
        design=_extent(cell, plan, comparisons),
        cell=Place(cell.data, cell.network, cell.stress),
        losses=tuple(_summary(cell, plan, loss, loss in best) for loss in plan.losses),
        comparisons=comparisons,
        best_set=best,
        sentences=(
            against_baseline(comparisons, plan, cell.unit, interim),
            not_told_from_best(best, ran, plan, interim),
        ),
        warnings=tuple(cautions(cell, plan, comparisons, best, planned)),
    )


def _summary(cell: Cell, plan: Plan, loss: str, in_best_set: bool) -> Summary:
    scores = list(cell.scores[loss].values())
    values = [score.value for score in scores]
    return Summary(
        loss=loss,
        label=plan.label(loss),
        mean=fmean(values) if values else None,
        sd=stdev(values) if len(values) > 1 else None,
        runs=len(scores),
        failed=sum(score.failed for score in scores),
        in_best_set=in_best_set,
    )


def _extent(cell: Cell, plan: Plan, comparisons: Sequence[Comparison]) -> Extent:
    return Extent(
        kind=plan.design,
        folds=len({fold for _, fold in cell.pairs}),
        seeds=len({seed for seed, _ in cell.pairs}),
        pairs=len(cell.pairs),
        n_train=fmean(n_train for n_train, _ in cell.sizes),
        n_test=fmean(n_test for _, n_test in cell.sizes),
        df=fewest_df(comparisons),
    )


def strict(value: Any) -> Any:
    """What JSON can hold."""
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
