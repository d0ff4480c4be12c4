"""Each axis of stress: how losses bear it, in the direction in which the data become harder."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from whichloss.stats.degradation import Degradation, degradations
from whichloss.stats.plan import Plan
from whichloss.stats.table import Row, TableError


@dataclass(frozen=True)
class Axis:
    """One kind of stress, all others at rest."""

    title: str  # for people: "label noise"
    unit: str
    levels: Mapping[float, str]  # as the table spells each; the first is where nothing, or least, is done


@dataclass(frozen=True)
class Endurance:
    """How all losses bear one kind of stress; descriptive."""

    title: str
    unit: str
    fall: float | None  # that counts as breaking, in the metric's unit
    losses: tuple[Degradation, ...]
    reason: str  # why there are none


def endurance_of(rows: Iterable[Row], plan: Plan, axis: Axis) -> Endurance:
    """Breaking is to lose half of the baseline's skill: half of what lies between its clean mean score and chance.

    That is one number for all losses, and fixed without looking at any but the baseline.
    """
    rows = list(rows)
    first, *others = axis.levels

    def none(reason: str) -> Endurance:
        return Endurance(axis.title, axis.unit, None, (), reason)

    if not (all(level > first for level in others) or all(level < first for level in others)):
        return none("its levels lie on both sides of the first, so that no direction is the harder one")
    ran = {row.stress for row in rows if row.split == "test" and row.loss in plan.losses and _here(row, plan)}
    if missing := [level for level, text in axis.levels.items() if text not in ran]:
        return none(f"not every level has been run yet: {', '.join(f'{level:g}' for level in missing)}")
    fall = _half_the_skill(rows, plan, axis.levels[first])
    if fall is None:
        label = plan.label(plan.baseline)
        return none(f"{label} is no better than chance without this stress, so that none can break")
    sign = 1 if others[0] > first else -1
    try:
        found = degradations(rows, plan, {sign * level: text for level, text in axis.levels.items()}, fall)
    except TableError as error:
        return none(str(error).splitlines()[0])
    return Endurance(axis.title, axis.unit, fall, tuple(_turned(one, sign) for one in found), "")


def _here(row: Row, plan: Plan) -> bool:
    return row.metric == plan.primary and plan.data in ("", row.data) and plan.network in ("", row.network)


def _half_the_skill(rows: Iterable[Row], plan: Plan, clean: str) -> float | None:
    scores: dict[str, list[float]] = {"test": [], "chance": []}
    for row in rows:
        mine = row.loss == plan.baseline and row.stress == clean and _here(row, plan)
        if mine and row.split in scores and row.value is not None:
            scores[row.split].append(row.value)
    if not all(scores.values()):
        return None
    skill = (fmean(scores["test"]) - fmean(scores["chance"])) * (1 if plan.higher_is_better else -1)
    return skill / 2 if skill > 0 else None


def _turned(one: Degradation, sign: int) -> Degradation:
    """With the levels as they are; for the sake of the area they were put in ascending order."""

    def back(level: float | None) -> float | None:
        return None if level is None else sign * level

    broken = one.breakdown
    return replace(
        one,
        levels=tuple(sign * level for level in one.levels),
        breakdown=replace(broken, level=back(broken.level), earliest=back(broken.earliest), latest=back(broken.latest)),
    )
