"""Gather what the page needs into one frozen record of plain tables; the page sees nothing else."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from whichloss.core import Loss
from whichloss.data import Cases, DataSet
from whichloss.report import Picture, Record
from whichloss.stats import Row, Verdict

from .bibliography import bibliography
from .curves import by_loss, curves_of, formulas, searched, under_stress
from .disagreement import disagreements
from .explanation import explanations
from .facts import Ended, names
from .measures import heading
from .mixup import sentence
from .pictures import gallery
from .recipes import recipes
from .store import Store
from .study import Study, spelled
from .tune import Search
from .twins import Twins

_EASY = "no backward pass where the loss is flat; results are those with it, but for rounding"


def gather(
    study: Study,
    verdict: Verdict,
    table: Sequence[Row],
    found: Ended,
    store: Store,
    data: Mapping[DataSet, Cases],
    study_text: str,
    searches: Sequence[Search] = (),
) -> Record:
    cell_data, cell_network, stress = study.decides
    cell = (repr(cell_data), repr(cell_network), stress)
    here = [(run, record) for run, record in found if names(run)[1:] == cell]
    finished = [(run, record) for run, record in here if record["outcome"] == "finished"]
    labels = study.labels
    curves = [
        *curves_of(finished, labels, data[cell_data].task, store),
        *under_stress(study, table),
        *searched(searches, labels, study.primary),
        *formulas(study.losses, labels),
    ]
    return Record(
        study=study.name,
        question=study.question,
        verdict=verdict.to_json(),
        results=tuple(row._asdict() for row in table if (row.data, row.network, row.stress) == cell),
        costs=tuple(_costs(here, labels)),
        curves=tuple(curves),
        failures=tuple(_failures(here, labels)),
        provenance=_provenance(study, found, data, searches),
        study_text=study_text,
        labels=labels
        | {repr(metric): heading(metric) for metric in study.metrics}
        | {repr(one): one.label for one in (*study.data, *study.network)}
        | {spelled(level): " + ".join(one.label for one in level) for level in study.stress.levels if level},
        pictures=tuple(_pictures(finished, labels, study, data[cell_data], store)),
        sources=(sources := _sources(study.losses, labels)),
        bibliography=bibliography(sources.values()),
        meanings={repr(metric): metric.card.meaning for metric in study.metrics},
        recipes=tuple(recipes(finished, searches, study.tune, data[cell_data].task)),
    )


def _sources(losses: Iterable[Loss], labels: Mapping[str, str]) -> dict[str, str]:
    """Of each loss that is described somewhere, and of the parts of a sum the first that is."""
    found = {labels[repr(loss)]: [leaf.card.source for leaf in (loss, *loss.leaves())] for loss in losses}
    return {label: key for label, keys in found.items() if (key := next(filter(None, keys), ""))}


def _pictures(
    finished: Ended, labels: Mapping[str, str], study: Study, cases: Cases, store: Store
) -> Iterator[Picture]:
    """Candidates that the first run was tested on; and the cases on which losses disagree."""
    if cases.task.kind == "detection" and finished:
        run, _ = finished[0]
        yield gallery(cases, run.split(cases).fold.test)
    yield from disagreements(finished, labels, study.primary, cases, store)
    if study.attribution is not None:
        yield from explanations(finished, labels, cases, store)


def _costs(found: Ended, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    table = []
    for label, members in by_loss(found, labels).items():
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
            "loss": labels[names(run)[0]],
            "fold": run.fold,
            "seed": run.seed,
            "outcome": record["outcome"],
            "message": record["message"],
        }
        for run, record in found
        if record["outcome"] != "finished"
    ]


def _provenance(
    study: Study, found: Ended, data: Mapping[DataSet, Cases], searches: Sequence[Search]
) -> dict[str, dict[str, str]]:
    design, labels = study.design, study.labels
    described = {}
    for one, cases in data.items():
        patients, repeated = len(set(cases.groups)), Twins(cases).repeated
        told = f", {repeated} of them the image of another" if repeated else ""
        described[one.label] = f"{len(cases.ids)} cases of {patients} patients{told}, SHA-256 {cases.digest[:16]}"
    facts: dict[str, set[str]] = {}
    for _, record in found:
        for name, value in record.get("beside", {}).items():
            facts.setdefault(name, set()).add(value)
    return {
        "Data": described,
        "Protocol": {
            "design": _design(study),
            "seeds": str(design.draws or design.seeds),
            "inner split": f"{design.inner:g} of the training part, for {_chosen_by(data)}",
            "network": ", ".join(network.label for network in study.network),
            "optimizer": study.training.optimizer.label,
            "stages": "; ".join(
                f"{s.epochs} epochs, batch {s.batch}, rate x {s.rate:g}"
                + (f", on {s.share:.0%} of the data" if s.share < 1 else "")
                for s in study.training.plan
            ),
            "precision": study.training.precision,
            **({"mixup": sentence(study.training.mixup)} if study.training.mixup is not None else {}),
            **({"easy cases": _EASY} if study.training.skip_easy else {}),
            **_asked(data),
            "tuning": _tuning(study, searches),
        },
        "Machine": {name: ", ".join(sorted(values)) for name, values in sorted(facts.items())},
        "Runs": {run.key[:12]: f"{labels[names(run)[0]]}, fold {run.fold}, seed {run.seed}" for run, _ in found},
    }


def _design(study: Study) -> str:
    design = study.design
    if design.draws is not None:
        return f"{design.draws} independent training sets, one test set for all"
    if design.split is not None:
        return "the one split that the data bring"
    folds = f"{design.folds} folds" if design.folds else f"folds given in {design.splits}"
    return folds + (", drawn anew for each seed" if design.kind == "refold" else ", the same for all seeds")


def _tuning(study: Study, searches: Sequence[Search]) -> str:
    """The budget as it was spent, counted from the records."""
    tune = study.tune
    if tune is None:
        return "none: every loss with its published defaults and the same optimizer"
    where = "once, on patients who are in no test part" if tune.where == "once" else "in each training part"
    whom = ", of the baseline alone, whose settings all losses use" if tune.losses == "baseline" else ""
    budgets = []
    for text, label in study.labels.items():
        of_loss = [search for search in searches if repr(search.base.loss) == text]
        ended = [trial for search in of_loss for trial in search.trials if trial.ended]
        failed = sum(trial.inner is None for trial in ended)
        if of_loss:
            times = "1 search" if len(of_loss) == 1 else f"{len(of_loss)} searches"
            budgets.append(f"{label} {len(ended)} in {times}, {failed} failed")
    over = ", ".join(f"{name}: {one}" for name, one in tune.over.items())
    return f"{tune.budget} {where}{whom}, over {over}; trials spent: {'; '.join(budgets)}"


def _chosen_by(data: Mapping[DataSet, Cases]) -> str:
    """What the inner split is used for."""
    measured = all(cases.task.kind == "regression" for cases in data.values())
    return "learning curves alone: a quantity has no threshold" if measured else "thresholds"


def _asked(data: Mapping[DataSet, Cases]) -> dict[str, str]:
    """In which unit a quantity is learned, and in which it is scored."""
    tasks = [cases.task for cases in data.values() if cases.task.kind == "regression"]
    names = ", ".join(dict.fromkeys(" in ".join(filter(None, (task.quantity, task.unit))) for task in tasks))
    learned = "learned in standard deviations from the mean of the cases fitted to, and turned back before scoring"
    return {"target": f"{names}; {learned}"} if tasks else {}
