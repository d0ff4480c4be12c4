"""Table in, verdict out: which losses cannot be told from the best, and by how much the others differ.

    rows = read("results.csv")
    verdict = judge(rows, Plan(study="nodes", ...))
    print(*verdict.sentences, sep="\\n")

Nothing here trains, and nothing here loads torch.
"""

from whichloss.stats.comparison import Comparison, Decision, Repeat, decide
from whichloss.stats.paired import Estimate, Pair, Paired, estimate, t_quantile
from whichloss.stats.plan import Design, Plan
from whichloss.stats.table import COLUMNS, Row, TableError, as_text, in_order, read, write
from whichloss.stats.verdict import Extent, Place, Summary, Verdict, judge

__all__ = [
    "COLUMNS",
    "Comparison",
    "Decision",
    "Design",
    "Estimate",
    "Extent",
    "Pair",
    "Paired",
    "Place",
    "Plan",
    "Repeat",
    "Row",
    "Summary",
    "TableError",
    "Verdict",
    "as_text",
    "decide",
    "estimate",
    "in_order",
    "judge",
    "read",
    "t_quantile",
    "write",
]
