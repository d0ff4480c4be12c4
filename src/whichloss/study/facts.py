"""From records to tables: the one table of results, and the costs beside it."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from torch import Tensor

from whichloss.core import Task, UserError
from whichloss.metrics.metric import Metric
from whichloss.stats import COLUMNS, Row, in_order

from .runs import Run
from .score import chances, scores, train_scores
from .shelf import Shelf
from .store import Store
from .study import Study
from .tune import Search

if TYPE_CHECKING:
    import pandas

TRIALS = (
    "loss", "data", "network", "stress", "fold", "seed", "trial", "settings", "outcome", "inner", "chosen", "run",
)  # fmt: skip
Ended = list[tuple[Run, dict[str, Any]]]  # runs that have ended, with their records
COSTS = (
    "run", "loss", "data", "network", "stress", "fold", "seed", "outcome", "seconds", "peak_memory_mib", "device",
    "threads", "continued", "host",
)  # fmt: skip


def ended(runs: Iterable[Run], store: Store) -> Ended:
    return [(run, record) for run in runs if (record := store.record(run.key)) is not None]


def trials(searches: Iterable[Search], store: Store) -> Ended:
    """Of all searches, whatever came of them."""
    return ended((trial.run for search in searches for trial in search.trials), store)


def rows(study: Study, found: Ended, store: Store, shelf: Shelf) -> Iterator[Row]:
    """A row for each measured value, and one for what chance scores there. A failed run has no value.

    From the records; for a metric that was asked for later, from the outputs that were kept.
    """
    metrics = {repr(metric): metric for metric in study.metrics}
    later: dict[tuple[Any, ...], float] = {}  # chance, where records do not tell
    for run, record in found:
        task, (loss, data, network, stress) = shelf.task(run.data, run.design), names(run)
        outputs = cache(partial(store.outputs, run.key))
        for name, metric in metrics.items():
            value = _value(record, "scores", name, metric, outputs, task)
            train = _value(record, "train", name, metric, outputs, task)
            chance = record["chance"].get(name)
            if chance is None:
                part = (name, data, run.seed, run.fold)  # the same test part for all losses, networks and stress
                if part not in later:
                    later[part] = _chance(run, metric, shelf)
                chance = later[part]
            facts = {"test": value, "chance": chance} | ({} if train is None else {"train": train})
            for split, one in facts.items():
                yield Row(
                    study=study.name, run=run.key, loss=loss, data=data, network=network,
                    fold=run.fold, seed=run.seed, stress=stress, split=split, metric=name,
                    unit=metric.unit(task), value=one,
                    n_train=record["n_train"], n_test=record["n_test"],
                )  # fmt: skip


def names(run: Run) -> tuple[str, str, str, str]:
    """Loss, data, network and stress as tables have them; a run has spelled them once, for its key."""
    return run.spec["loss"], run.spec["data"], run.spec["network"], " + ".join(run.spec["stress"])


def _value(
    record: dict[str, Any], part: str, name: str, metric: Metric, outputs: Callable[[], dict[str, Tensor]], task: Task
) -> float | None:
    """Of the test part ("scores") or of what was fitted to ("train"), where its answers were kept."""
    if record["outcome"] != "finished" or (part == "train" and not record.get("train")):
        return None
    known = record.get(part, {}).get(name)
    if known is None or known["version"] != metric.results_version:
        known = (scores if part == "scores" else train_scores)([metric], outputs(), task).get(name, {"value": None})
    return known["value"]


def _chance(run: Run, metric: Metric, shelf: Shelf) -> float:
    cases = shelf.of(run)
    labels = cases.truth(run.split(cases).fold.test)
    return chances([metric], labels, cases.task)[repr(metric)]


def frame(table: Iterable[Row]) -> "pandas.DataFrame":
    """results.csv as pandas has it: the same rows in the same order, numbers as numbers, no value as NaN."""
    import pandas

    return pandas.DataFrame(in_order(table), columns=list(COLUMNS)).astype({"value": float})


def costs(found: Ended) -> str:
    """costs.csv: what each run and each trial took. Unlike results, it differs from machine to machine."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COSTS)
    for _, (run, record) in sorted({pair[0].key: pair for pair in found}.items()):
        beside = record.get("beside", {})
        table.writerow(
            [run.key, *names(run), run.fold, run.seed, record["outcome"],
             _short(record.get("seconds")), _short(record.get("peak_memory_mib")),
             beside.get("device", ""), beside.get("threads", ""), record.get("continued", 0), record.get("host", "")]
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
                [*names(base), base.fold, base.seed,
                 trial.number, json.dumps(dict(trial.run.tuned)), record.get("outcome", "not yet"),
                 "" if trial.inner is None else repr(trial.inner),
                 "yes" if search.chosen is not None and trial.number == search.chosen.number else "",
                 trial.run.key]
            )  # fmt: skip
    return text.getvalue()


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def check_alike(found: Ended, study: Study) -> None:
    """Losses are compared pair by pair; what is compared must have been computed alike."""
    pairs: dict[tuple[Any, ...], list[tuple[Run, dict[str, str]]]] = {}
    for run, record in found:
        if record["outcome"] == "finished":
            pairs.setdefault((*names(run)[1:], run.seed, run.fold), []).append((run, record["beside"]))
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
