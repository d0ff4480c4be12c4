"""The curves of a study for its page: how losses learn, and how they rank what they were asked about."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any
from warnings import catch_warnings

import numpy as np
import torch
from torch import Tensor

from whichloss.core import Loss, Task
from whichloss.metrics import Metric
from whichloss.metrics.detection.resample import resampled
from whichloss.report import Curve
from whichloss.stats import Row

from .facts import Ended, names
from .measures import title, watch
from .runs import Run
from .store import Store
from .study import Study
from .tune import Search

RATES = np.linspace(0, 10, 101)  # false positives per volume at which a FROC curve is drawn
READ = (0.5, 1.0, 2.0, 4.0, 8.0)  # and those that people read off
TIMES = 400  # resamples of the patients

Members = list[tuple[Run, dict[str, Any]]]


def curves_of(finished: Ended, labels: Mapping[str, str], task: Task, store: Store) -> list[Curve]:
    """labels: what each loss is called."""
    groups = list(by_loss(finished, labels).items())
    curves = [*_learning(groups, task), *_idle(groups), *_sent_back(groups)]
    if task.kind == "classification" and task.binary:
        curves += _roc(groups, store)
    if task.kind == "detection":
        curves += _froc(groups, store, "test", "FROC curves")
        curves += _froc(groups, store, "train", "FROC curves of what was trained on")
    return curves


def formulas(losses: Iterable[Loss], labels: Mapping[str, str]) -> list[Curve]:
    """What each loss charges, and how hard it pulls, where its formula is one of a single number."""
    curves = []
    for loss in losses:
        if loss.axis is None:
            continue
        x = torch.linspace(loss.axis.low, loss.axis.high, 121, dtype=torch.float64, requires_grad=True)
        try:
            value = loss.along(x)
            slope = torch.autograd.grad(value.sum(), x)[0] if value.requires_grad else torch.zeros_like(x)
        except Exception:  # somebody's formula that fails here has failed its runs too; those the page names
            continue
        for what, y_label, line in (("The losses", "value", value), ("Their slopes", "derivative", slope)):
            drawn = _plain(line.detach().numpy())
            where = _plain(x.detach().numpy())
            named = f"{what} by {loss.axis.name}"
            curves.append(Curve(named, loss.axis.name, y_label, labels[repr(loss)], where, drawn, drawn, drawn))
    return curves


def under_stress(study: Study, table: Iterable[Row]) -> list[Curve]:
    """The primary metric at each level of an axis, mean and standard deviation over runs; the other axes at rest."""
    data, network, _ = study.decides
    found: dict[tuple[str, str], list[float]] = {}
    for row in table:
        here = (row.data, row.network, row.metric, row.split)
        if here == (repr(data), repr(network), repr(study.primary), "test") and row.value is not None:
            found.setdefault((row.loss, row.stress), []).append(row.value)
    curves = []
    for listed in study.stress.axes.values():
        numbers = [one for one in listed if isinstance(one.level, float | int)]
        levels = {float(one.level): "" if one.none else repr(one) for one in numbers}
        if len(levels) < 2:
            continue
        for loss, label in study.labels.items():
            known = [at for at in sorted(levels) if (loss, levels[at]) in found]
            runs = [found[loss, levels[at]] for at in known]
            mean = np.array([np.mean(one) for one in runs])
            spread = np.array([np.std(one, ddof=1) if len(one) > 1 else 0.0 for one in runs])
            lines = (_plain(line) for line in (np.array(known), mean, mean - spread, mean + spread))
            curves.append(
                Curve(f"Under {listed[0].card.title}", listed[0].card.unit, title(study.primary), label, *lines,
                      runs=sum(map(len, runs)))
            )  # fmt: skip
    return curves


def searched(searches: Iterable[Search], labels: Mapping[str, str], primary: Metric) -> list[Curve]:
    """The best of the first so many trials on the inner split, mean and standard deviation over searches."""
    best = np.fmax.accumulate if primary.card.higher_is_better else np.fmin.accumulate
    lines: dict[str, list[np.ndarray]] = {}
    for search in searches:
        tried = [np.nan if one.inner is None else one.inner for one in search.trials if one.ended]
        if search.chosen is not None:  # others are not done
            lines.setdefault(labels[repr(search.base.loss)], []).append(best(np.array(tried, dtype=float)))
    name = f"{title(primary)} on the inner split, best so far"
    return [
        Curve(
            "Tuning",
            "trial",
            name,
            label,
            tuple(map(float, range(len(several[0])))),
            **_band(several),
            runs=len(several),
        )
        for label, several in lines.items()
    ]


def by_loss(found: Ended, labels: Mapping[str, str]) -> dict[str, Members]:
    groups: dict[str, Members] = {label: [] for label in labels.values()}
    for run, record in found:
        groups[labels[names(run)[0]]].append((run, record))
    return {label: members for label, members in groups.items() if members}


def _learning(groups: Iterable[tuple[str, Members]], task: Task) -> list[Curve]:
    metric = watch(task)
    unit = metric.unit(task)
    name = f"{metric.card.title} on the inner split" + (f" ({unit})" if unit else "")
    return [_by_epoch("Learning curves", name, label, members, "inner") for label, members in groups]


def _idle(groups: Sequence[tuple[str, Members]]) -> list[Curve]:
    """Where a loss is flat for some cases, how many of them there are."""
    name = "share of cases without gradient"
    curves = [_by_epoch("Cases that teach nothing", name, *group, "idle") for group in groups]
    return curves if any(any(one.mean) for one in curves) else []


def _sent_back(groups: Sequence[tuple[str, Members]]) -> list[Curve]:
    """What was saved by `skip_easy`, where it was asked for: of the cases trained on, which had a backward pass."""
    asked = [(label, members) for label, members in groups if "backward" in members[0][1]["curve"][0]]
    return [_by_epoch("Cases sent backward", "share of cases with a backward pass", *one, "backward") for one in asked]


def _by_epoch(heading: str, name: str, label: str, members: Members, key: str) -> Curve:
    lines = [[epoch.get(key, np.nan) for epoch in record["curve"]] for _, record in members]
    epochs = tuple(float(at) for at in range(1, len(lines[0]) + 1))
    return Curve(heading, "epoch", name, label, epochs, **_band(lines), runs=len(members))


def _roc(groups: Iterable[tuple[str, Members]], store: Store) -> list[Curve]:
    """The ROC curve of each run, averaged over runs at each false positive rate."""
    from sklearn.metrics import roc_curve

    rates, curves = np.linspace(0, 1, 101), []
    for label, members in groups:
        lines = []
        for run, _ in members:
            outputs = store.outputs(run.key)
            wrong, right, _ = roc_curve(outputs["test_labels"].numpy(), outputs["test"][:, 0].float().numpy())
            lines.append(np.interp(rates, wrong, right))
        curves.append(
            Curve("ROC curves", "false positive rate", "sensitivity", label, _plain(rates), **_band(lines),
                  runs=len(members))
        )  # fmt: skip
    return curves


def _froc(groups: Iterable[tuple[str, Members]], store: Store, part: str, heading: str) -> list[Curve]:
    """Averaged over runs at each rate of false positives; the band is for new patients, the networks as they are."""
    curves = []
    for label, members in groups:
        lines, again = [], []
        for run, _ in members:
            outputs = store.outputs(run.key)
            logits, truth, who = outputs[part].float(), outputs[f"{part}_labels"].long(), outputs[f"{part}_cases"]
            line, others = resampled(logits, truth, RATES, TIMES, seed=_seed(who))
            lines.append(line)
            again.append(others)
        low, high = np.nanpercentile(np.nanmean(again, axis=0), [2.5, 97.5], axis=0)
        band = {"mean": _plain(np.nanmean(lines, axis=0)), "low": _plain(low), "high": _plain(high)}
        curves.append(
            Curve(heading, "false positives per volume", "sensitivity", label, _plain(RATES), **band, marks=READ,
                  runs=len(members))
        )  # fmt: skip
    return curves


def _seed(cases: Tensor) -> int:
    """The same for runs that share their patients, so that these are resampled together."""
    return int.from_bytes(sha256(cases.numpy().tobytes()).digest()[:4], "big")


def _band(lines: Sequence[Sequence[float]] | Sequence[np.ndarray]) -> dict[str, tuple[float, ...]]:
    """Mean over runs, and one standard deviation to each side; NaN where no run has a number."""
    with catch_warnings(action="ignore", category=RuntimeWarning):
        mean = np.nanmean(lines, axis=0)
        spread = np.nanstd(lines, axis=0, ddof=1) if len(lines) > 1 else np.zeros_like(mean)
    return {"mean": _plain(mean), "low": _plain(mean - spread), "high": _plain(mean + spread)}


def _plain(numbers: np.ndarray) -> tuple[float, ...]:
    return tuple(map(float, numbers))
