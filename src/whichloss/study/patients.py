"""These trained models on new patients: the primary metric of every run, as often as patients are drawn again."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whichloss.core import Task
from whichloss.core.candidates import VOLUME
from whichloss.data import Cases
from whichloss.metrics import Metric
from whichloss.metrics.redrawn import mean_of
from whichloss.stats import NewPatients, Pair, Plan, draw_patients, retest
from whichloss.stats.patients import FEWEST

from .facts import Ended, names
from .runs import Run
from .score import scores, wide
from .store import Store

TIMES = 1000  # draws of the patients
SLOWLY = 200  # for a metric that must be measured anew on each
MOST = 12  # subgroups, those with the most patients

Parts = dict[Pair, tuple[int, ...]]  # of each seed and fold, the cases that were tested


def parts_of(here: Ended, cases: Cases) -> Parts:
    """All losses share them."""
    parts: Parts = {}
    for run, _ in here:
        if (run.seed, run.fold) not in parts:
            parts[run.seed, run.fold] = run.split(cases).fold.test
    return parts


def on_new_patients(here: Ended, parts: Parts, plan: Plan, metric: Metric, cases: Cases, store: Store) -> NewPatients:
    """here: the runs of the deciding cell. cases: of any draw, since draws share their test part."""
    return _retested(here, parts, plan, metric, cases, store, range(len(cases)), "", 2)


def within_subgroups(
    here: Ended, parts: Parts, plan: Plan, metric: Metric, cases: Cases, store: Store
) -> list[NewPatients]:
    """The same among the tested patients of each subgroup, by name; none where the data name less than two."""
    tested = sorted({at for part in parts.values() for at in part})
    members: dict[str, list[int]] = {}
    for at in tested if cases.subgroups else ():
        members.setdefault(cases.subgroups[at], []).append(at)
    if len(members) < 2:
        return []
    ranked = sorted(members, key=lambda name: (-len({cases.groups[at] for at in members[name]}), name))[:MOST]
    return [
        _retested(here, parts, plan, metric, cases, store, members[name], name or "not said", FEWEST)
        for name in sorted(ranked)
    ]


def _retested(
    here: Ended, parts: Parts, plan: Plan, metric: Metric, cases: Cases, store: Store, among: Iterable[int], name: str,
    fewest: int,
) -> NewPatients:  # fmt: skip
    wanted = set(among).intersection(*[{at for part in parts.values() for at in part}])
    patients = {group: at for at, group in enumerate(sorted({cases.groups[at] for at in wanted}))}
    if len(patients) < fewest:
        return retest({}, plan, len(patients), name, fewest)
    task = cases.task
    slow = metric.pooled(task) and type(metric).redrawn is Metric.redrawn
    times = torch.from_numpy(draw_patients(len(patients), SLOWLY if slow else TIMES)).double()
    values: dict[str, dict[Pair, np.ndarray]] = {}
    for run, record in here:
        part = parts[run.seed, run.fold]
        kept = [place for place, at in enumerate(part) if at in wanted]
        if record["outcome"] == "finished" and kept:
            groups = torch.tensor([patients[cases.groups[part[place]]] for place in kept])
            try:
                found = _redrawn(run, record, metric, task, store, kept, groups, times)
            except Exception as error:
                if not slow:
                    raise
                why = f"{metric.title} fails on patients drawn again ({type(error).__name__}: {error})"
                return NewPatients(name, len(patients), (), why)  # somebody's metric must not cost the whole page
            values.setdefault(names(run)[0], {})[run.seed, run.fold] = found.numpy()
    return retest(values, plan, len(patients), name, fewest)


def _redrawn(
    run: Run, record: dict[str, Any], metric: Metric, task: Task, store: Store, kept: Sequence[int], groups: Tensor,
    times: Tensor,
) -> Tensor:  # fmt: skip
    """Of one run on each draw, (1 + draws,). kept: which of its test cases count; groups: the patient of each."""
    outputs = cache(partial(store.outputs, run.key))
    known = _known(record, metric, outputs, task)
    if not metric.pooled(task):
        each = [known["cases"][place] for place in kept]
        return mean_of(torch.tensor([np.nan if one is None else one for one in each]).double(), groups, times)
    answers, labels = outputs()["test"].float(), wide(outputs()["test_labels"])
    rows = torch.tensor(kept)
    if task.kind == "detection":
        rows, groups = _with_missed(labels, rows, groups, len(answers))
    return metric.redrawn(answers[rows[rows < len(answers)]], labels[rows], task, groups, times, known["at"])


def _known(record: dict[str, Any], metric: Metric, outputs: Callable[[], dict[str, Tensor]], task: Task) -> Any:
    """Threshold and scores of the cases, from the record; for a metric that was asked for later, from the outputs."""
    known = record["scores"].get(repr(metric))
    if known is None or known["version"] != metric.results_version:
        known = scores([metric], outputs(), task)[repr(metric)]
    return known


def _with_missed(labels: Tensor, rows: Tensor, groups: Tensor, views: int) -> tuple[Tensor, Tensor]:
    """The rows of these views and of the lesions that no candidate hits in their volumes, each with its patient."""
    patient = dict(zip(labels[rows, VOLUME].tolist(), groups.tolist(), strict=True))
    missed = [at for at in range(views, len(labels)) if int(labels[at, VOLUME]) in patient]
    theirs = torch.tensor([patient[int(labels[at, VOLUME])] for at in missed], dtype=torch.long)
    return torch.cat([rows, torch.tensor(missed, dtype=torch.long)]), torch.cat([groups, theirs])
