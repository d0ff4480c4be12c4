"""Metrics on folds of patients drawn with replacement, against the metric on rows that are written out."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from metrics.metric_folds import CLASSES, MARKED, RADIUS, TASKS, fold
from whichloss.core import Task, registry
from whichloss.metrics import Metric
from whichloss.metrics.classification.roc_auc import RocAuc
from whichloss.metrics.detection.cpm import Cpm
from whichloss.metrics.detection.froc_area import FrocArea
from whichloss.metrics.detection.sensitivity_at import SensitivityAt
from whichloss.metrics.regression.root_mean_square_error import RootMeanSquareError

DRAWS = 12


def written_out(metric: Metric, task: Task, logits, labels, groups, times) -> list[float]:
    """Patient after patient, copy after copy; in detection every copy of a scan has names of its own."""
    values = []
    for draw in times.tolist():
        rows, missed, answers, copies = [], [], [], 0
        for patient, count in enumerate(draw):
            for _ in range(int(count)):
                copies += 1
                for at in (groups == patient).nonzero().flatten().tolist():
                    row = labels[at].clone()
                    if task.kind == "detection":
                        row[1:] = torch.where(row[1:] < 0, -1, row[1:] + 1000 * copies)
                    if at < len(logits):
                        answers.append(logits[at])
                        rows.append(row)
                    else:
                        missed.append(row)
        values.append(metric.value(torch.stack(answers), torch.stack(rows + missed), task) if answers else float("nan"))
    return values


def drawn(rows: int, labels: torch.Tensor, task: Task, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Patients of two scans, or two cases, each; and how often each is drawn: the first fold as it is."""
    groups = labels[:, 2] // 2 if task.kind == "detection" else torch.arange(rows) // 2
    patients = int(groups.max()) + 1
    times = np.random.default_rng(seed).multinomial(patients, np.full(patients, 1 / patients), size=DRAWS)
    return groups, torch.from_numpy(np.concatenate([np.ones((1, patients), int), times])).double()


def metrics() -> list[Metric]:
    known = [cls for cls in registry(Metric).values() if cls.__module__.startswith("whichloss.")]
    ours = [one for cls in known for one in cls.examples()]
    several = [
        FrocArea(count=count, by=by, views=views, up_to=3)
        for count in ("lesion", "reached", "candidate")
        for by in ("steps", "lines")
        for views in ("mean", "p75")
    ]
    return [*ours, *several, SensitivityAt(fp_per_volume=1, by="lines"), Cpm(by="lines")]


FITTING = [(metric, task) for metric in metrics() for task in TASKS if task.kind in metric.card.tasks]


@pytest.mark.parametrize(("metric", "task"), FITTING, ids=[f"{m!r}-{t.kind}-{len(t.classes)}" for m, t in FITTING])
def test_the_fold_of_other_patients(metric: Metric, task: Task) -> None:
    for seed in range(3):
        logits, labels = fold(task, cases=24, seed=seed, ties=seed > 0)
        if task.kind == "detection" and seed:  # a lesion that no candidate hits, and an answer that is none
            labels = torch.cat([labels, torch.tensor([[1, -1, 2, 99]])])
            logits[3] = torch.nan
        groups, times = drawn(len(labels), labels, task, seed)
        found = metric.redrawn(logits, labels, task, groups, times)
        assert found.dtype == torch.float64 and found.shape == (DRAWS + 1,)
        wanted = written_out(metric, task, logits, labels, groups, times)
        assert found.tolist() == pytest.approx(wanted, nan_ok=True, rel=1e-9)
        assert found[0].item() == pytest.approx(metric.value(logits, labels, task), nan_ok=True)


SLOW = [(RocAuc(), CLASSES[0]), (RocAuc(), CLASSES[1]), (RootMeanSquareError(), RADIUS), (FrocArea(), MARKED)]


@pytest.mark.parametrize(("metric", "task"), SLOW, ids=lambda one: getattr(one, "kind", None) or repr(one))
def test_somebodys_metric_is_redrawn_one_by_one(metric: Metric, task: Task) -> None:
    """The way of a metric that knows nothing of it, with the same result."""
    logits, labels = fold(task, cases=24, ties=True)
    if task is MARKED:
        labels = torch.cat([labels, torch.tensor([[1, -1, 2, 99]])])
    groups, times = drawn(len(labels), labels, task, seed=5)
    slowly = Metric.redrawn(metric, logits, labels, task, groups, times)
    assert slowly.tolist() == pytest.approx(metric.redrawn(logits, labels, task, groups, times).tolist(), nan_ok=True)


def test_scikit_learn_weighs_cases_the_same_way() -> None:
    draw = np.random.default_rng(3)
    truth = draw.integers(2, size=40)
    score = np.round(draw.normal(truth, 1.0), 1)
    times = torch.from_numpy(draw.multinomial(40, np.full(40, 1 / 40), size=20)).double()
    task = CLASSES[0]
    found = RocAuc().redrawn(torch.from_numpy(score)[:, None], torch.from_numpy(truth), task, torch.arange(40), times)
    wanted = [roc_auc_score(truth, score, sample_weight=weight) for weight in times.numpy()]
    assert found.tolist() == pytest.approx(wanted)


def test_a_fold_without_a_side_has_no_area() -> None:
    score, ill = torch.tensor([[0.1], [0.2], [0.3]]), torch.tensor([0, 1, 0])
    times = torch.tensor([[1.0, 0, 1], [0, 2, 0], [1, 1, 1]])
    found = RocAuc().redrawn(score, ill, CLASSES[0], torch.arange(3), times)
    assert found[:2].isnan().all() and found[2] == 0.5
