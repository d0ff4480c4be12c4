"""Conduct a study: probe, run what is not finished, judge, and write table, verdict and page. Again is resume."""

import difflib
import json
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

import torch
import yaml

from whichloss.core import UserError
from whichloss.data import Cases, DataSet, find_file
from whichloss.report import Record, page
from whichloss.stats import Plan, Row, Verdict, as_text, judge

from . import facts, machine
from .agenda import Agenda
from .attribution import check as check_attribution
from .execute import Ended, Work, execute, plan_workers
from .gather import gather
from .measures import title
from .on import HERE, Place, execute_on
from .passes import check_losses
from .probe import probe
from .runs import Run, runs_of
from .score import chances
from .shelf import Shelf
from .slots import slots_of
from .store import Store
from .study import Study
from .supplement import supplement
from .track import Tracks
from .tune import Tuning
from .tune import check as check_settings
from .twins import Twins


@dataclass(frozen=True)
class Conducted:
    """What came of it."""

    verdict: Verdict
    report: Path
    failed: int  # runs that did not finish
    record: Record  # what the page was made from


@dataclass(frozen=True)
class Prepared:
    """A study with its data at hand and its runs spelled out."""

    study: Study
    store: Store
    shelf: Shelf
    runs: list[Run]  # each with every setting as published
    tuning: Tuning

    @property
    def data(self) -> dict[DataSet, Cases]:
        """The cases of each data set; of independent draws, the first."""
        draw = None if self.study.design.draws is None else 0
        return {one: self.shelf.cases(one, draw) for one in self.study.data}

    @property
    def missing(self) -> list[Run]:
        """What is still to be trained."""
        return self.tuning.left(self.runs)

    @property
    def finished(self) -> int:
        """How many of the runs that count need no more training."""
        return sum(self.store.finished(run.key) for run in self.final)

    @property
    def final(self) -> list[Run]:
        """The runs that count, as far as their settings have been chosen."""
        found = (self.tuning.final(base, self.tuning.known) for base in self.runs)
        return [run for run in found if run is not None]


class Listener:
    """Hears how the work goes; the command line draws a bar from it."""

    def begin(self, total: int, workers: int) -> None: ...

    def ended(self, one: Ended) -> None: ...

    def warn(self, text: str) -> None:
        """Of what costs no run."""
        warnings.warn(text, stacklevel=2)

    def end(self) -> None: ...


def prepare(study: Study, store: str | Path, roots: Sequence[Path] = ()) -> Prepared:
    """Read the data and spell out the runs; refuses a study whose protocol changed under its name."""
    kept = Store(store)
    kept.clean()
    _same_protocol(study, kept)
    shelf = Shelf(roots)
    splits = str(find_file(study.design.splits, list(roots))) if study.design.splits else ""
    return Prepared(study, kept, shelf, list(runs_of(study, shelf, splits)), Tuning(study, kept, shelf))


def look_first(prepared: Prepared, place: Place = HERE) -> None:
    """Before the first run: can every metric be measured, and every loss teach? Raises UserError."""
    study = prepared.study
    if place.here:
        plan_workers(study.training.device, None, study.training.devices)
    else:
        place.share(study.training.device, study.training.devices)
    for cases in prepared.data.values():
        for metric in study.metrics:
            metric.accept(cases.task)
        for one in {one for stress in study.stress.levels for one in stress}:
            one.accept(cases.task)
        if study.attribution is not None:
            check_attribution(cases.task)
    if study.training.skip_easy:
        check_losses(study.losses)
    if study.tune is not None:
        check_settings(study.tune, prepared.runs)
    twins = {id(cases): Twins(cases) for cases in prepared.data.values()} if study.design.draws is None else {}
    for run in {(run.data, run.stress, run.seed, run.fold): run for run in prepared.runs}.values():
        cases = prepared.shelf.of(run)
        fold = run.split(cases).fold
        if twins:  # a generator does not repeat itself
            twins[id(cases)].check(fold, f"fold {run.fold} of seed {run.seed}")
        labels = cases.truth(fold.test)
        shape = labels.shape[1:] if cases.task.kind == "segmentation" else ()
        blind = torch.zeros(1).expand(len(labels), cases.task.outputs, *shape)
        if isnan(study.primary.value(blind, labels, cases.task)):
            raise UserError(
                f"{title(study.primary)} is not defined on the test part of fold {run.fold}, seed {run.seed}:"
                f" a class is missing among its {len(labels)} cases; take fewer folds, or other ones"
            )
    for run in {(run.loss, run.data, run.network, run.stress): run for run in reversed(prepared.runs)}.values():
        probe(run, prepared.shelf.of(run), here=place.here)


def conduct(
    study: Study,
    store: str | Path = "whichloss-runs",
    *,
    roots: Sequence[Path] = (),
    workers: int | None = None,
    retries: int = 0,
    limit: float | None = None,
    memory: float | None = None,
    track: Sequence[str] = (),
    place: Place = HERE,
    allow_mixed: bool = False,
    listener: Listener | None = None,
) -> Conducted:
    """Run and report. What is finished in the store is never computed again.

    limit: minutes that a run may take; memory: GB that a worker may take; a run that needs more costs itself alone.
    track: tensorboard, tensorboard:DIR or mlflow:URI, to which runs are told as they go.
    place: where runs are computed, such as Place(on="ray", gpus=0.25), with the store on a folder that is shared.
    """
    prepared = prepare(study, store, roots)
    run_missing(prepared, workers, listener or Listener(), retries, limit, memory, track, place)
    return report(prepared, allow_mixed=allow_mixed)


def run_missing(
    prepared: Prepared,
    workers: int | None,
    listener: Listener,
    retries: int = 0,
    limit: float | None = None,
    memory: float | None = None,
    track: Sequence[str] = (),
    place: Place = HERE,
) -> None:
    """Compute what is not finished; a failed run is tried again `retries` times, and by the next command."""
    study, store = prepared.study, prepared.store
    tracks = Tracks(track, store.study(study.name), study.name)
    device, devices, missing = study.training.device, study.training.devices, len(prepared.missing)
    with ExitStack() as stack:
        engine = None
        if missing and not place.here:  # before anything that takes long: it may not be there
            engine = stack.enter_context(place.engine(store.study(study.name), devices, workers, memory))
        look_first(prepared, place)
        agenda = Agenda(map(prepared.tuning.job, prepared.runs), store.finished, retries)
        store.keep(study.name, "study.yaml", as_yaml(study))
        store.keep(study.name, "protocol.json", json.dumps(study.fixed(), indent=1, sort_keys=True))
        if workers is None and place.here:
            slots = slots_of(prepared.missing, store, prepared.shelf.roots).count
            workers = plan_workers(device, None, devices, slots)[0]
        count = workers or (engine.slots if engine else 0)
        compute = partial(execute_on, engine, place) if engine else execute

        def ended(one: Ended) -> None:
            if not one.recorded:
                store.write(one.run.key, _obituary(one, prepared.shelf.of(one.run), study), {})
            tracks.lose(one.untracked, listener.warn)
            listener.ended(one)

        if missing:
            tracks.prepare(listener.warn)
        listener.begin(missing, min(count, missing))
        try:
            if missing or place.here:
                work = Work(
                    agenda=agenda, metrics=study.metrics, store=store, roots=prepared.shelf.roots,
                    logs=store.study(study.name), most=missing, device=device, devices=devices, workers=workers,
                    trials=study.tune is not None, limit=limit, memory=memory, tracks=tracks,
                )  # fmt: skip
                compute(work, ended)
        finally:
            listener.end()
            store.clean()  # of workers that died in the middle of a write


def table_of(prepared: Prepared, *, allow_mixed: bool = False) -> tuple[list[Row], facts.Ended]:
    """The rows of results.csv from whatever is finished, and the runs behind them."""
    study, store = prepared.study, prepared.store
    found = facts.ended(prepared.final, store)
    if not found:
        raise UserError(f"no run of {study.name} has ended in {store.folder}; start with: whichloss run")
    if not allow_mixed:
        facts.check_alike(found, study)
    return list(facts.rows(study, found, store, prepared.shelf)), found


def report(prepared: Prepared, *, allow_mixed: bool = False) -> Conducted:
    """Table, verdict and page from whatever is finished."""
    study, store = prepared.study, prepared.store
    table, found = table_of(prepared, allow_mixed=allow_mixed)
    store.keep(study.name, "results.csv", as_text(table))
    searches = list(prepared.tuning.searches(prepared.runs))
    store.keep(study.name, "costs.csv", facts.costs([*found, *facts.trials(searches, store)]))
    if searches:
        store.keep(study.name, "tuning.csv", facts.tuning(searches, store))
    plan = plan_of(study, len({(run.seed, run.fold) for run in prepared.runs}))
    verdict = judge(table, plan)
    verdict = replace(verdict, supplement=supplement(study, plan, table, found, store, prepared.shelf, prepared.data))
    store.keep(study.name, "verdict.json", json.dumps(verdict.to_file(), indent=1, allow_nan=False))
    record = gather(study, verdict, table, found, store, prepared.data, as_yaml(study), searches)
    written = store.keep(study.name, "report.html", page(record))
    failed = sum(record["outcome"] != "finished" for _, record in found)
    return Conducted(verdict, written, failed, record)


def plan_of(study: Study, pairs: int) -> Plan:
    """What was decided before any result was seen."""
    data, network, stress = study.decides
    return Plan(
        study=study.name,
        question=study.question,
        primary=repr(study.primary),
        primary_label=title(study.primary),
        baseline=repr(study.baseline),
        losses=tuple(map(repr, study.losses)),
        labels=study.labels,
        rope=study.rope,
        design=study.design.kind,
        higher_is_better=study.primary.card.higher_is_better,
        data=repr(data),
        network=repr(network),
        stress=stress,
        pairs=pairs,
    )


def as_yaml(study: Study) -> str:
    """The study as it was understood, every default spelled."""
    return yaml.safe_dump(
        study.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True, width=110
    )


def _same_protocol(study: Study, store: Store) -> None:
    kept = store.study(study.name) / "protocol.json"
    if not kept.exists():
        return
    old, new = json.loads(kept.read_text()), study.fixed()
    if old == new:
        return
    before, after = (json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (old, new))
    changes = [
        line for line in difflib.unified_diff(before, after, lineterm="", n=0) if line[:2] not in ("--", "++", "@@")
    ]
    raise UserError(
        f"{study.name} has been run with another protocol in {store.folder}:\n"
        + "\n".join(f"    {line}" for line in changes)
        + "\n  give this study a name of its own (name: in the file, or --name NAME);"
        " runs that both need are still computed once"
    )


def _obituary(one: Ended, cases: Cases, study: Study) -> dict[str, Any]:
    """The record of a run whose worker could not write it."""
    split = one.run.split(cases)
    labels = cases.truth(split.fold.test)
    return {
        "key": one.run.key,
        "spec": one.run.spec,
        "n_train": split.n_train,
        "n_test": split.n_test,
        "chance": chances(study.metrics, labels, cases.task),
        "scores": {},
        "beside": {"source": machine.source()},
        "outcome": one.outcome,
        "message": one.message,
    }
