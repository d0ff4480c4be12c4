"""A verdict with everything that can stand beside one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from stats_tables import grid, plan_of, rows_of

from whichloss.stats import Axis, Course, Row, judge, pace_of, retest, supplement_of

NASTY = "<script>alert('1')</script>"
LOSSES = ("A", "B", NASTY)


def table(losses: Sequence[str], data: str, seed: int = 0, stress: str = "", fall: float = 0.0) -> list[Row]:
    draw = np.random.default_rng(seed)
    common = {pair: draw.normal(0, 0.05) for pair in grid(3, 4)}
    scores = {
        loss: {pair: float(0.8 + 0.03 * at - fall + common[pair] + 0.04 * draw.normal()) for pair in grid(3, 4)}
        for at, loss in enumerate(losses)
    }
    return [row._replace(data=data, stress=stress, run=f"{row.run}{data}{stress}") for row in rows_of(scores)]


def everything(losses: Sequence[str] = LOSSES, data_sets: int = 6, **changes: Any) -> dict[str, Any]:
    """verdict.json of a study that has all there is."""
    plan = plan_of(losses, labels={"A": "Logistic"}, data="data 0", **changes)
    here = table(losses, "data 0")
    rows = [*here, *table(losses, "data 0", 1, "n", 0.2)]
    rows += [row for at in range(1, data_sets) for row in table(losses, f"data {at}", at)]
    draw = np.random.default_rng(0)
    courses = [Course(loss, (0.5, 0.6 + 0.1 * draw.random(), 0.8), (4.0, 8.0, 12.0), (1.5, 3.0, 4.5)) for loss in losses
               for _ in range(4)]  # fmt: skip
    values = {loss: {(0, 0): 0.7 + 0.1 * draw.normal(size=50)} for loss in losses}
    beside = supplement_of(
        rows,
        plan,
        axes=[Axis("label noise", "share", {0.0: "", 0.3: "n"})],
        pace=pace_of([*courses, Course(losses[-1])], plan, "ROC AUC", "", True),
        patients=retest(values, plan, 12),
        subgroups=[retest(values, plan, 7, "abdomen"), retest({}, plan, 3, NASTY, fewest=5)],
    )
    return replace(judge(here, plan), supplement=beside).to_json()
