"""From records to tables: the one table of results, and the costs beside it."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from whichloss.core import UserError
from whichloss.metrics.metric import Metric
from whichloss.stats import Row

from .runs import Run
from .score import chances, scores
from .shelf import Shelf
from .store import Store
from .study import Study, spelled
from .tune import Search

TRIALS = (
    "loss", "data", "network", "stress", "fold", "seed", "trial", "settings", "outcome", "inner", "chosen", "seconds",
    "run",
)  # fmt: skip
Ended = list[tuple[Run, dict[str, Any]]]  # runs that have ended, with their records
COSTS = (
    "run", "loss", "data", "network", "stress", "fold", "seed", "outcome", "seconds", "peak_memory_mib", "device",
    "threads",
)  # fmt: skip


def ended(runs: Iterable[Run], store: Store) -> Ended:
    return [(run, record) for run in runs if (record := store.record(run.key)) is not None]


def rows(study: Study, found: Ended, store: Store, shelf: Shelf) -> Iterator[Row]:
    """A row for each measured value, and one for what chance scores there. A failed run has no value."""
    for run, record in found:
        task = shelf.task(run.data, run.design)
        for metric in study.metrics:
            value, chance = _value(run, record, metric, store, shelf)
            for split, one in (("test", value), ("chance", chance)):
                yield Row(
                    study=study.name, run=run.key, loss=repr(run.loss), data=repr(run.data), network=repr(run.network),
                    fold=run.fold, seed=run.seed, stress=spelled(run.stress), split=split, metric=repr(metric),
                    unit=metric.unit(task), value=one,
                    n_train=record["n_train"], n_test=record["n_test"],
                )  # fmt: skip


def _value(run: Run, record: dict[str, Any], metric: Metric, store: Store, shelf: Shelf) -> tuple[float | None, float]:
    """From the record; for a metric that was asked for later, from the outputs that were kept."""
    name = repr(metric)
    known = record["scores"].get(name)
    chance = record["chance"].get(name)
    if chance is None:
        cases = shelf.of(run)
        labels = cases.labels[list(run.split(cases).fold.test)]
        chance = chances([metric], labels, cases.task)[name]
    if record["outcome"] != "finished":
        return None, chance
    if known is None or known["version"] != metric.results_version:
        known = scores([metric], store.outputs(run.key), shelf.task(run.data, run.design))[name]
    return known["value"], chance


def costs(found: Ended) -> str:
    """costs.csv: what each run took. Unlike results, it differs from machine to machine."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COSTS)
    for run, record in sorted(found, key=lambda pair: pair[0].key):
        beside = record.get("beside", {})
        table.writerow(
            [run.key, repr(run.loss), repr(run.data), repr(run.network), spelled(run.stress), run.fold,
             run.seed, record["outcome"],
             _short(record.get("seconds")), _short(record.get("peak_memory_mib")),
             beside.get("device", ""), beside.get("threads", "")]
        )  # fmt: skip
    return text.getvalue()


def tuning(searches: Iterable[Search], store: Store) -> str:
    """tuning.csv: every trial, what it tried, what came of it on the inner split, and which was chosen."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(TRIALS)
    for search in searches:
        base = search.base
        for trial in search.trials:
            record = store.record(trial.run.key) or {}
            table.writerow(
                [repr(base.loss), repr(base.data), repr(base.network), spelled(base.stress), base.fold, base.seed,
                 trial.number, json.dumps(dict(trial.run.tuned)), record.get("outcome", "not yet"),
                 "" if trial.inner is None else repr(trial.inner),
                 "yes" if search.chosen is not None and trial.number == search.chosen.number else "",
                 _short(record.get("seconds")), trial.run.key]
            )  # fmt: skip
    return text.getvalue()


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def check_alike(found: Ended, study: Study) -> None:
    """Losses are compared pair by pair; what is compared must have been computed alike."""
    pairs: dict[tuple[Any, ...], list[tuple[Run, dict[str, str]]]] = {}
    for run, record in found:
        if record["outcome"] == "finished":
            pairs.setdefault((repr(run.data), repr(run.network), spelled(run.stress), run.seed, run.fold), []).append(
                (run, record["beside"])
            )
    for (_, _, _, seed, fold), members in pairs.items():
        first, facts = members[0]
        for other, theirs in members[1:]:
            different = [name for name in facts if facts[name] != theirs.get(name)]
            if different:
                name = different[0]
                raise UserError(
                    f"{first.loss.label} and {other.loss.label} on fold {fold} of seed {seed} were not computed alike:"
                    f" {', '.join(different)} differ ({name}: {facts[name]} and {theirs.get(name)}).\n"
                    "  run the study in a fresh store (--store DIR), or compare all the same with --allow-mixed"
                )
