"""The deciding cell of the table: one metric on one data set, network and stress, and nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

from whichloss.stats.paired import Pair, Paired
from whichloss.stats.plan import Plan
from whichloss.stats.table import Row, TableError


class Score(NamedTuple):
    """What one run scored; a failed run scores chance."""

    value: float
    failed: bool
    n_train: int
    n_test: int


@dataclass(frozen=True)
class Cell:
    """The scores that decide, by loss and by pair."""

    data: str
    network: str
    stress: str
    unit: str
    higher_is_better: bool
    scores: Mapping[str, Mapping[Pair, Score]]
    strangers: tuple[str, ...]  # losses that the table has and the plan has not

    @property
    def pairs(self) -> list[Pair]:
        """Every (seed, fold) that some loss has run."""
        return sorted({pair for scores in self.scores.values() for pair in scores})

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(n_train, n_test) of every pair."""
        size = {pair: (s.n_train, s.n_test) for scores in self.scores.values() for pair, s in scores.items()}
        return [size[pair] for pair in self.pairs]

    def paired(self, loss: str, other: str) -> dict[Pair, Paired]:
        """loss minus other where both have run, turned so that positive means: loss is better."""
        sign = 1 if self.higher_is_better else -1
        mine, others = self.scores[loss], self.scores[other]
        return {
            pair: Paired(sign * (mine[pair].value - others[pair].value), mine[pair].n_train, mine[pair].n_test)
            for pair in sorted(mine.keys() & others.keys())
        }

    def failed(self, *losses: str) -> set[Pair]:
        """The pairs on which one of the losses failed."""
        return {pair for loss in losses for pair, score in self.scores[loss].items() if score.failed}


def deciding_cell(rows: Iterable[Row], plan: Plan) -> Cell:
    """The rows that the plan names, checked: no run twice, one unit, the same folds for all losses."""
    study = [row for row in rows if row.study == plan.study]
    chosen = [
        row
        for row in study
        if (row.metric, row.stress) == (plan.primary, plan.stress)
        and plan.data in ("", row.data)
        and plan.network in ("", row.network)
    ]
    data, network = _only("data", chosen), _only("network", chosen)
    tests = _by_run(row for row in chosen if row.split == "test")
    chances = _by_run(row for row in chosen if row.split == "chance")
    mine = [tests[run] for run in sorted(tests) if tests[run].loss in plan.losses]
    if not mine:
        raise TableError(_nothing(study, plan))
    units = sorted({row.unit for row in mine})
    if len(units) > 1:
        raise TableError(f"{plan.primary} comes in several units: {', '.join(map(repr, units))}; write one")
    _check_sizes(mine, plan)

    scores: dict[str, dict[Pair, Score]] = {loss: {} for loss in plan.losses}
    for row in mine:
        value = row.value if row.value is not None else _chance(row, chances.get(_run(row)))
        if not isfinite(value):
            raise TableError(f"{_name(row)}: {plan.primary} is {value}; a mean needs finite scores")
        scores[row.loss][row.seed, row.fold] = Score(value, row.value is None, row.n_train, row.n_test)
    strangers = tuple(sorted({row.loss for row in tests.values()}.difference(plan.losses)))
    return Cell(data, network, plan.stress, units[0], plan.higher_is_better, scores, strangers)


def _run(row: Row) -> tuple[str, int, int]:
    return row.loss, row.seed, row.fold


def _name(row: Row) -> str:
    return f"{row.loss}, fold {row.fold}, seed {row.seed}"


def _only(column: str, rows: list[Row]) -> str:
    """The deciding data set or network where the plan leaves it open: there must be no choice."""
    values = sorted({getattr(row, column) for row in rows})
    if len(values) > 1:
        raise TableError(
            f"several in column {column}: {', '.join(values)}; name the one that decides: Plan({column}=...)"
        )
    return values[0] if values else ""


def _by_run(rows: Iterable[Row]) -> dict[tuple[str, int, int], Row]:
    runs: dict[tuple[str, int, int], Row] = {}
    for row in rows:
        key = _run(row)
        if key in runs:
            raise TableError(
                f"{_name(row)}: two {row.split} rows for {row.metric} on the same data, network and stress"
                f" (runs {', '.join(sorted((runs[key].run, row.run)))}); keep one"
            )
        runs[key] = row
    return runs


def _chance(row: Row, chance: Row | None) -> float:
    if chance is None or chance.value is None:
        raise TableError(
            f"{_name(row)}: the run failed (no value) and the table does not say what chance scores there\n"
            f"  hint: add a row with split 'chance': the score of the best constant answer on that test fold"
        )
    return chance.value


def _check_sizes(rows: Iterable[Row], plan: Plan) -> None:
    first: dict[Pair, Row] = {}
    for row in rows:
        other = first.setdefault((row.seed, row.fold), row)
        if (row.n_train, row.n_test) != (other.n_train, other.n_test):
            raise TableError(
                f"fold {row.fold} of seed {row.seed} is not the same for all losses (n_train, n_test):\n"
                f"  {other.loss}: {other.n_train}, {other.n_test}\n"
                f"  {row.loss}: {row.n_train}, {row.n_test}\n"
                "  hint: losses are compared on the same patients only; run both on the same folds"
            )
        if plan.design in ("refold", "fixed") and min(row.n_train, row.n_test) < 1:
            raise TableError(
                f"{_name(row)}: n_train is {row.n_train} and n_test is {row.n_test}; "
                f"the standard error of design {plan.design!r} needs both, 1 or more"
            )


def _nothing(study: list[Row], plan: Plan) -> str:
    cells = {(row.metric, row.data, row.network, row.stress) for row in study if row.split == "test"}
    has = [f"metric {m!r}, data {d!r}, network {n!r}, stress {s!r}" for m, d, n, s in sorted(cells)[:8]]
    return (
        f"the table has no result of the planned losses for study {plan.study!r}, metric {plan.primary!r}, "
        f"data {plan.data or 'any'!r}, network {plan.network or 'any'!r}, stress {plan.stress!r}\n  has: "
        + "\n  has: ".join(has or ["nothing of this study"])
    )
