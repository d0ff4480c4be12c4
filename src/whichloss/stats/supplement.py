"""What stands beside the verdict and never decides: one frozen value, from the same rows and plan."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from whichloss.stats.cell import Cell, deciding_cell
from whichloss.stats.comparison import compare
from whichloss.stats.components import Components, variance_components
from whichloss.stats.endurance import Axis, Endurance, endurance_of
from whichloss.stats.outlook import Outlook, outlooks
from whichloss.stats.pace import Pace
from whichloss.stats.patients import NewPatients
from whichloss.stats.plan import Plan
from whichloss.stats.ranks import FEWEST_DATA, Ranking, rank
from whichloss.stats.secondary import Secondary, secondaries
from whichloss.stats.sensitivity import Sensitivity, sensitivities
from whichloss.stats.table import Row, TableError
from whichloss.stats.verdict import strict


class Threshold(NamedTuple):
    """The primary metric at the threshold that does not decide."""

    metric: str  # as the table spells it
    title: str  # for people


@dataclass(frozen=True)
class Variation:
    """What makes one loss's differences from the baseline vary."""

    loss: str
    label: str
    components: Components | None
    reason: str  # why there are none


@dataclass(frozen=True)
class Supplement:
    """Beside the verdict. Where something cannot be told, a reason says why; what does not apply is empty."""

    outlooks: tuple[Outlook, ...]
    secondaries: tuple[Secondary, ...]
    variation: tuple[Variation, ...]
    sensitivity: tuple[Sensitivity, ...]
    threshold: str  # the title of the primary metric at its other threshold; "": it has none
    stress: tuple[Endurance, ...]
    pace: Pace | None
    patients: NewPatients | None
    subgroups: tuple[NewPatients, ...]
    ranking: Ranking | None
    no_ranking: str  # why there is none, where there are several data sets

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, texts and numbers; the infinite and the unknown are None: strict JSON."""
        return strict(asdict(self))


def supplement_of(
    rows: Iterable[Row],
    plan: Plan,
    *,
    axes: Sequence[Axis] = (),
    pace: Pace | None = None,
    patients: NewPatients | None = None,
    subgroups: Sequence[NewPatients] = (),
    threshold: Threshold | None = None,
) -> Supplement:
    """From the table what it can tell; the rest as somebody measured it who has curves and scores of cases."""
    other = threshold.metric if threshold else ""
    rows = [row for row in rows if row.study == plan.study and row.metric in (plan.primary, other)]
    mine = [row for row in rows if row.metric == plan.primary]
    cell = deciding_cell(mine, plan)
    comparisons = [compare(cell, plan, loss) for loss in plan.rivals]
    sensitive = sensitivities(rows, plan, comparisons, other)
    ranking, no_ranking = _ranking(mine, plan)
    return Supplement(
        outlooks=outlooks(mine, plan),
        secondaries=secondaries(mine, plan),
        variation=tuple(_variation(cell, plan, loss) for loss in plan.rivals),
        sensitivity=sensitive,
        threshold=threshold.title if threshold and any(one.other_threshold for one in sensitive) else "",
        stress=tuple(endurance_of(mine, plan, axis) for axis in axes),
        pace=pace,
        patients=patients,
        subgroups=tuple(subgroups),
        ranking=ranking,
        no_ranking=no_ranking,
    )


def _variation(cell: Cell, plan: Plan, loss: str) -> Variation:
    pairs = cell.paired(loss, plan.baseline)
    found, reason = None, ""
    try:
        found = variance_components(pairs, plan.design)
    except TableError:
        reason = "runs are missing, and the shares are told from whole tables of folds by seeds"
    if found and sum(part is not None for part in (found.fold, found.seed, found.rest)) < 2:
        found, reason = None, "one fold or one seed alone does not tell what makes the difference vary"
    return Variation(loss, plan.label(loss), found, reason)


def _ranking(rows: Sequence[Row], plan: Plan) -> tuple[Ranking | None, str]:
    """Over the data sets of the deciding network and stress."""
    here = [row for row in rows if row.stress == plan.stress and plan.network in ("", row.network)]
    data = sorted({row.data for row in here if row.split == "test" and row.loss in plan.losses})
    if len(data) < 2:
        return None, ""
    if len(data) < FEWEST_DATA:
        few = f"{len(data)} data sets are too few to rank losses over them: it takes {FEWEST_DATA}"
        return None, f"{few}; each stands by itself under other measures"
    try:
        return rank(here, plan, data), ""
    except TableError as error:
        return None, str(error).splitlines()[0]
