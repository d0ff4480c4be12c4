"""Table in, verdict out: which losses cannot be told from the best, and by how much the others differ.

    rows = read("results.csv")
    verdict = judge(rows, Plan(study="nodes", ...))
    print(*verdict.sentences, sep="\\n")

Beside the verdict, and never deciding, `supplement_of` gathers: `outlooks` (what would settle what is undecided),
`secondaries` (Holm, Bayesian correlated t, Wilcoxon), `variance_components`, `sensitivities`, `retest` (new patients,
as are `resample_means` and `resample_pooled`), `endurance_of` and `degradations` (stress), `pace_of` and `convergences`
(time to a target), `rank` (six data sets or more).

Nothing here trains, and nothing here loads torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from whichloss.stats.comparison import Comparison, Decision, Repeat, decide
from whichloss.stats.paired import Estimate, Pair, Paired, estimate, t_quantile
from whichloss.stats.plan import Design, Plan
from whichloss.stats.table import COLUMNS, Row, TableError, as_text, in_order, read, write
from whichloss.stats.verdict import Extent, Place, Summary, Verdict, judge

if TYPE_CHECKING:
    from whichloss.stats.components import Components, variance_components
    from whichloss.stats.convergence import Arrival, Convergence, arrival, convergences
    from whichloss.stats.degradation import Breakdown, Degradation, degradations
    from whichloss.stats.endurance import Axis, Endurance, endurance_of
    from whichloss.stats.outlook import Outlook, outlooks
    from whichloss.stats.pace import Course, Pace, pace_of
    from whichloss.stats.patients import (
        Case,
        NewPatients,
        Resampled,
        Retested,
        draw_patients,
        resample_means,
        resample_pooled,
        retest,
    )
    from whichloss.stats.ranks import Ranking, rank
    from whichloss.stats.secondary import Secondary, secondaries
    from whichloss.stats.sensitivity import Sensitivity, sensitivities
    from whichloss.stats.supplement import Supplement, Threshold, Variation, supplement_of

__all__ = [
    "COLUMNS",
    "Arrival",
    "Axis",
    "Breakdown",
    "Case",
    "Comparison",
    "Components",
    "Convergence",
    "Course",
    "Decision",
    "Degradation",
    "Design",
    "Endurance",
    "Estimate",
    "Extent",
    "NewPatients",
    "Outlook",
    "Pace",
    "Pair",
    "Paired",
    "Place",
    "Plan",
    "Ranking",
    "Repeat",
    "Resampled",
    "Retested",
    "Row",
    "Secondary",
    "Sensitivity",
    "Summary",
    "Supplement",
    "TableError",
    "Threshold",
    "Variation",
    "Verdict",
    "arrival",
    "as_text",
    "convergences",
    "decide",
    "degradations",
    "draw_patients",
    "endurance_of",
    "estimate",
    "in_order",
    "judge",
    "outlooks",
    "pace_of",
    "rank",
    "read",
    "resample_means",
    "resample_pooled",
    "retest",
    "secondaries",
    "sensitivities",
    "supplement_of",
    "t_quantile",
    "variance_components",
    "write",
]

# A verdict needs no numpy; what does is imported when it is first asked for.
_LATE = {
    "components": ("Components", "variance_components"),
    "convergence": ("Arrival", "Convergence", "arrival", "convergences"),
    "degradation": ("Breakdown", "Degradation", "degradations"),
    "endurance": ("Axis", "Endurance", "endurance_of"),
    "outlook": ("Outlook", "outlooks"),
    "pace": ("Course", "Pace", "pace_of"),
    "patients": (
        "Case",
        "NewPatients",
        "Resampled",
        "Retested",
        "draw_patients",
        "resample_means",
        "resample_pooled",
        "retest",
    ),
    "ranks": ("Ranking", "rank"),
    "secondary": ("Secondary", "secondaries"),
    "sensitivity": ("Sensitivity", "sensitivities"),
    "supplement": ("Supplement", "Threshold", "Variation", "supplement_of"),
}
_HOME = {name: module for module, names in _LATE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
