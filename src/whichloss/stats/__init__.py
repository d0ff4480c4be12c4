"""Table in, verdict out: which losses cannot be told from the best, and by how much the others differ.

    rows = read("results.csv")
    verdict = judge(rows, Plan(study="nodes", ...))
    print(*verdict.sentences, sep="\\n")

Beside the verdict, and never deciding: `outlooks` (what would settle what is undecided), `secondaries` (Holm, Bayesian
correlated t, Wilcoxon), `variance_components`, `resample_means` and `resample_pooled` (new patients), `degradations`
(stress), `convergences` (time to a target), `rank` (six data sets or more).

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
    from whichloss.stats.outlook import Outlook, outlooks
    from whichloss.stats.patients import Case, Resampled, resample_means, resample_pooled
    from whichloss.stats.ranks import Ranking, rank
    from whichloss.stats.secondary import Secondary, secondaries

__all__ = [
    "COLUMNS",
    "Arrival",
    "Breakdown",
    "Case",
    "Comparison",
    "Components",
    "Convergence",
    "Decision",
    "Degradation",
    "Design",
    "Estimate",
    "Extent",
    "Outlook",
    "Pair",
    "Paired",
    "Place",
    "Plan",
    "Ranking",
    "Repeat",
    "Resampled",
    "Row",
    "Secondary",
    "Summary",
    "TableError",
    "Verdict",
    "arrival",
    "as_text",
    "convergences",
    "decide",
    "degradations",
    "estimate",
    "in_order",
    "judge",
    "outlooks",
    "rank",
    "read",
    "resample_means",
    "resample_pooled",
    "secondaries",
    "t_quantile",
    "variance_components",
    "write",
]

# A verdict needs no numpy; what does is imported when it is first asked for.
_LATE = {
    "components": ("Components", "variance_components"),
    "convergence": ("Arrival", "Convergence", "arrival", "convergences"),
    "degradation": ("Breakdown", "Degradation", "degradations"),
    "outlook": ("Outlook", "outlooks"),
    "patients": ("Case", "Resampled", "resample_means", "resample_pooled"),
    "ranks": ("Ranking", "rank"),
    "secondary": ("Secondary", "secondaries"),
}
_HOME = {name: module for module, names in _LATE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
