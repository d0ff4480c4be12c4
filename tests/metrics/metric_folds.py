"""Small folds on which metrics are tried."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from whichloss.core import Task

ILL = Task(kind="classification", classes=("healthy", "ill"), size=(8, 8))
ORGANS = Task(kind="classification", classes=("liver", "spleen", "kidney"), size=(8, 8))
LESION = Task(kind="segmentation", classes=("background", "lesion"), size=(4, 5))
PARTS = Task(kind="segmentation", classes=("background", "cup", "disc"), size=(4, 5))
MARKED = Task(kind="detection", classes=("nothing", "lesion"), size=(8, 8))
CLASSES = (ILL, ORGANS, LESION, PARTS, MARKED)
RADIUS = Task(kind="regression", quantity="radius", unit="mm", size=(8, 8))
TASKS = (*CLASSES, RADIUS)


def fold(task: Task, cases: int = 12, seed: int = 0, ties: bool = False) -> tuple[Tensor, Tensor]:
    """Logits (cases, C, *S) and labels (cases, *S) that have something to do with each other.

    In detection two views of each candidate, two candidates in each volume, and no lesion without a candidate.
    """
    draw = torch.Generator().manual_seed(seed)
    if task.kind == "regression":
        truth = 6 + 5 * torch.rand(cases, generator=draw)
        off = torch.randn(cases, 1, generator=draw, dtype=torch.float64)
        return truth.unsqueeze(1) + (off.round() if ties else off), truth
    if task.kind == "detection":
        candidate = torch.arange(cases) // 2
        lesion = torch.where(candidate % 3 == 0, candidate, -1)
        logits = torch.randn(cases, 1, generator=draw, dtype=torch.float64) + (lesion >= 0).unsqueeze(1)
        labels = torch.stack([(lesion >= 0).long(), candidate, candidate // 2, lesion], 1)
        return (2 * logits).round() if ties else logits, labels
    space = task.size if task.kind == "segmentation" else ()
    labels = torch.randint(len(task.classes), (cases, *space), generator=draw)
    logits = torch.randn(cases, task.outputs, *space, generator=draw, dtype=torch.float64)
    if task.binary:
        logits[:, 0] += labels
    else:
        logits.scatter_add_(1, labels.unsqueeze(1), torch.ones_like(logits))
    return (2 * logits).round() if ties else logits, labels


@st.composite
def binary_folds(draw: st.DrawFn, least: int = 1) -> tuple[Tensor, Tensor]:
    """One answer per image, (N, 1) and (N,), with many ties and now and then a logit that is not finite."""
    odd = st.sampled_from([float("inf"), float("-inf"), float("nan")])
    score = st.one_of(st.integers(-4, 4).map(float), st.floats(-2, 2, width=32), odd)
    cases = draw(st.lists(st.tuples(score, st.booleans()), min_size=least, max_size=14))
    return torch.tensor([[score] for score, _ in cases]), torch.tensor([int(ill) for _, ill in cases])
