"""Small tables for the tests."""

from collections.abc import Iterable, Mapping
from typing import Any

from whichloss.stats import Plan, Row

Scores = Mapping[str, Mapping[tuple[int, int], float | None]]  # loss -> (seed, fold) -> score


def rows_of(scores: Scores, chance: float | None = 0.5, n_train: int = 100, n_test: int = 20) -> list[Row]:
    """A test row per run, and a chance row unless chance is None."""
    rows = []
    for loss, runs in scores.items():
        for (seed, fold), value in runs.items():
            place = ("nodes", f"{loss}-{seed}-{fold}", loss, "phantom", "view", fold, seed, "")
            rows.append(Row(*place, "test", "froc", "", value, n_train, n_test))
            if chance is not None:
                rows.append(Row(*place, "chance", "froc", "", chance, n_train, n_test))
    return rows


def plan_of(losses: Iterable[str] = ("A", "B"), **changes: Any) -> Plan:
    losses = tuple(losses)
    fields: dict[str, Any] = {
        "study": "nodes",
        "question": "Which?",
        "primary": "froc",
        "primary_label": "FROC area",
        "baseline": losses[0],
        "losses": losses,
        "labels": {},
        "rope": 0.01,
        "design": "refold",
    }
    return Plan(**fields | changes)


def grid(seeds: int, folds: int) -> list[tuple[int, int]]:
    return [(seed, fold) for seed in range(seeds) for fold in range(folds)]
