"""Gather what the page needs into one frozen record of plain tables; the page sees nothing else."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np

from whichloss.data import Cases, DataSet
from whichloss.report import Curve, Record
from whichloss.stats import Row, Verdict

from .facts import Ended
from .measures import title, watch
from .runs import Run
from .store import Store
from .study import Study


def gather(
    study: Study,
    verdict: Verdict,
    table: Sequence[Row],
    found: Ended,
    store: Store,
    data: Mapping[DataSet, Cases],
    study_text: str,
) -> Record:
    cell_data, cell_network = study.cell.data or study.data[0], study.cell.network or study.network[0]
    here = [(run, record) for run, record in found if run.data == cell_data and run.network == cell_network]
    finished = [(run, record) for run, record in here if record["outcome"] == "finished"]
    labels = study.labels
    curves = [*_learning(finished, labels, data[cell_data]), *_roc(finished, labels, data[cell_data], store)]
    return Record(
        study=study.name,
        question=study.question,
        verdict=verdict.to_json(),
        results=tuple(
            row._asdict() for row in table if row.data == repr(cell_data) and row.network == repr(cell_network)
        ),
        costs=tuple(_costs(here, labels)),
        curves=tuple(curves),
        failures=tuple(_failures(here, labels)),
        provenance=_provenance(study, found, data),
        study_text=study_text,
        labels=labels | {repr(metric): title(metric) for metric in study.metrics},
    )


def _by_loss(found: Ended, labels: Mapping[str, str]) -> dict[str, list[tuple[Run, dict[str, Any]]]]:
    groups: dict[str, list[tuple[Run, dict[str, Any]]]] = {label: [] for label in labels.values()}
    for run, record in found:
        groups[labels[repr(run.loss)]].append((run, record))
    return {label: members for label, members in groups.items() if members}


def _band(lines: Sequence[Sequence[float]]) -> dict[str, tuple[float, ...]]:
    """Mean over runs, and one standard deviation to each side."""
    mean = np.nanmean(lines, axis=0)
    spread = np.nanstd(lines, axis=0, ddof=1) if len(lines) > 1 else np.zeros_like(mean)
    return {
        name: tuple(map(float, one)) for name, one in (("mean", mean), ("low", mean - spread), ("high", mean + spread))
    }


def _learning(finished: Ended, labels: Mapping[str, str], cases: Cases) -> list[Curve]:
    name = watch(cases.task).card.title
    curves = []
    for label, members in _by_loss(finished, labels).items():
        lines = [[epoch["inner"] for epoch in record["curve"]] for _, record in members]
        epochs = tuple(float(at) for at in range(1, len(lines[0]) + 1))
        curves.append(Curve("Learning curves", "epoch", f"{name} on the inner split", label, epochs, **_band(lines)))
    return curves


def _roc(finished: Ended, labels: Mapping[str, str], cases: Cases, store: Store) -> list[Curve]:
    """The ROC curve of each run, averaged over runs at each false positive rate."""
    if cases.task.kind != "classification" or not cases.task.binary:
        return []
    from sklearn.metrics import roc_curve

    rates = np.linspace(0, 1, 101)
    curves = []
    for label, members in _by_loss(finished, labels).items():
        lines = []
        for run, _ in members:
            outputs = store.outputs(run.key)
            wrong, right, _ = roc_curve(outputs["test_labels"].numpy(), outputs["test"][:, 0].float().numpy())
            lines.append(np.interp(rates, wrong, right))
        x = tuple(map(float, rates))
        curves.append(Curve("ROC curves", "false positive rate", "sensitivity", label, x, **_band(lines)))
    return curves


def _costs(found: Ended, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    table = []
    for label, members in _by_loss(found, labels).items():
        seconds = [record["seconds"] for _, record in members if record.get("seconds") is not None]
        memory = [record["peak_memory_mib"] for _, record in members if record.get("peak_memory_mib") is not None]
        table.append(
            {
                "loss": label,
                "runs": len(members),
                "seconds_mean": _or_none(fmean, seconds),
                "seconds_sd": stdev(seconds) if len(seconds) > 1 else None,
                "peak_memory_mib": _or_none(max, memory),
            }
        )
    return table


def _or_none(function: Callable[[list[float]], float], values: list[float]) -> float | None:
    return function(values) if values else None


def _failures(found: Ended, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "run": run.key[:12],
            "loss": labels[repr(run.loss)],
            "fold": run.fold,
            "seed": run.seed,
            "outcome": record["outcome"],
            "message": record["message"],
        }
        for run, record in found
        if record["outcome"] != "finished"
    ]


def _provenance(study: Study, found: Ended, data: Mapping[DataSet, Cases]) -> dict[str, dict[str, str]]:
    design = study.design
    folds = f"{design.folds} folds" if design.folds else f"folds given in {design.splits}"
    redrawn = ", drawn anew for each seed" if design.kind == "refold" else ", the same for all seeds"
    described = {}
    for one, cases in data.items():
        patients = len(set(cases.groups))
        described[one.label] = f"{len(cases.ids)} cases of {patients} patients, SHA-256 {cases.digest[:16]}"
    facts: dict[str, set[str]] = {}
    for _, record in found:
        for name, value in record.get("beside", {}).items():
            facts.setdefault(name, set()).add(value)
    return {
        "Data": described,
        "Protocol": {
            "design": folds + redrawn,
            "seeds": str(design.seeds),
            "inner split": f"{design.inner:g} of the training part, for thresholds",
            "network": ", ".join(network.label for network in study.network),
            "optimizer": study.training.optimizer.label,
            "stages": "; ".join(
                f"{s.epochs} epochs, batch {s.batch}, rate x {s.rate:g}" for s in study.training.stages
            ),
            "precision": study.training.precision,
            "tuning": "none: every loss with its published defaults and the same optimizer",
        },
        "Machine": {name: ", ".join(sorted(values)) for name, values in sorted(facts.items())},
        "Runs": {run.key[:12]: f"{study.labels[repr(run.loss)]}, fold {run.fold}, seed {run.seed}" for run, _ in found},
    }
