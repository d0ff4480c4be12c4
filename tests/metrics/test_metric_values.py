"""Metrics against scikit-learn, scipy and plain loops."""

from collections.abc import Callable
from math import isnan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, recall_score, roc_auc_score
from torch import Tensor

from metrics.metric_folds import CLASSES, ILL, LESION, MARKED, ORGANS, PARTS, RADIUS, TASKS, binary_folds, fold
from whichloss.core import Task, UserError, registry
from whichloss.metrics import Metric
from whichloss.metrics.classification.accuracy import Accuracy
from whichloss.metrics.classification.roc_auc import RocAuc
from whichloss.metrics.rates.recall import Recall
from whichloss.metrics.rates.specificity import Specificity
from whichloss.metrics.segmentation.dice import Dice
from whichloss.metrics.segmentation.jaccard import Jaccard

ALL = [example for cls in registry(Metric).values() for example in cls.examples()]
PAIRS = [
    pytest.param(metric, task, id=f"{metric.label}-{task.kind}-{len(task.classes)}")
    for metric in ALL
    for task in TASKS
    if task.kind in metric.card.tasks
]
SHARES = [pair for pair in PAIRS if pair.values[1] in CLASSES]


def answers(logits: Tensor, at: float = 0.0) -> np.ndarray:
    return ((logits[:, 0] > at) if logits.shape[1] == 1 else logits.argmax(1)).long().numpy()


# classification


@pytest.mark.parametrize("at", [0.0, 0.7])
@pytest.mark.parametrize("task", [ILL, ORGANS])
def test_rates_of_a_fold_are_those_of_scikit_learn(task: Task, at: float) -> None:
    logits, labels = fold(task, 60)
    truth, said = labels.numpy(), answers(logits, at)
    average = {"average": "binary"} if task.binary else {"average": "macro"}
    assert Accuracy().value(logits, labels, task, at) == pytest.approx(accuracy_score(truth, said))
    assert Recall().value(logits, labels, task, at) == pytest.approx(recall_score(truth, said, **average))
    classes = [1] if task.binary else range(3)
    others_right = [recall_score(truth != k, said != k) for k in classes]
    assert Specificity().value(logits, labels, task, at) == pytest.approx(np.mean(others_right))


def test_scores_of_a_case_are_right_or_wrong_or_undefined() -> None:
    logits, labels = torch.tensor([[2.0], [-1.0], [0.5], [-3.0]]), torch.tensor([1, 1, 0, 0])
    assert Recall().scores(logits, labels, ILL).nan_to_num(nan=-1).tolist() == [1, 0, -1, -1]
    assert Specificity().scores(logits, labels, ILL).nan_to_num(nan=-1).tolist() == [-1, -1, 0, 1]
    assert Accuracy().scores(logits, labels, ILL).tolist() == [1, 0, 0, 1]
    assert Accuracy().scores(logits, labels, ILL, at=1.0).tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize("metric", [Recall(), Specificity(), Accuracy(), RocAuc()])
def test_of_a_yes_or_no_the_mean_score_is_the_value(metric: Metric) -> None:
    logits, labels = fold(ILL, 40, ties=True)
    assert metric.scores(logits, labels, ILL).nanmean().item() == pytest.approx(metric.value(logits, labels, ILL))


def test_area_of_ties_is_that_of_scikit_learn_and_of_ranks() -> None:
    logits, labels = fold(ILL, 80, ties=True)
    score, ill = logits[:, 0].numpy(), labels.numpy() == 1
    ranks = rankdata(score)[ill].sum()
    mann_whitney = (ranks - ill.sum() * (ill.sum() + 1) / 2) / (ill.sum() * (~ill).sum())
    area = RocAuc().value(logits, labels, ILL)
    assert area == pytest.approx(mann_whitney, abs=1e-14)
    assert area == pytest.approx(roc_auc_score(ill, score), abs=1e-14)


def test_area_of_several_classes_is_that_of_scikit_learn() -> None:
    logits, labels = fold(ORGANS, 80)
    logits = logits + torch.randn(80, 1, dtype=torch.float64)  # what softmax does not see
    oracle = roc_auc_score(labels.numpy(), logits.softmax(1).numpy(), multi_class="ovr", average="macro")
    assert RocAuc().value(logits, labels, ORGANS) == pytest.approx(oracle, abs=1e-14)


def test_area_is_not_tied_where_softmax_is() -> None:
    logits = torch.tensor([[40.0, 0.0, 0.0], [60.0, 0.0, 0.0], [50.0, 0.0, 0.0]])  # softmax 1.0 three times
    labels = torch.tensor([1, 0, 0])
    assert RocAuc().scores(logits, labels, ORGANS).tolist()[1:] == [1.0, 1.0]


@given(binary_folds(least=2), st.sampled_from([lambda x: 8 * x, lambda x: x**3, torch.atan]))
@settings(deadline=None, max_examples=60)
def test_area_is_blind_to_a_monotone_change_of_scores(
    data: tuple[Tensor, Tensor], change: Callable[[Tensor], Tensor]
) -> None:
    logits, labels = data
    logits = logits.double().nan_to_num(nan=-9.0, posinf=9.0, neginf=-9.0)
    before, after = RocAuc().value(logits, labels, ILL), RocAuc().value(change(logits), labels, ILL)
    assert before == after or (isnan(before) and isnan(after))


# segmentation


def loop(logits: Tensor, labels: Tensor, classes: int, rate: str) -> list[float]:
    """Per image the mean over foreground classes, one voxel at a time."""
    scores = []
    for said, truth in zip(answers(logits).reshape(len(labels), -1), labels.flatten(1).tolist(), strict=True):
        found = []
        for k in range(1, classes):
            tp = sum(a == k and b == k for a, b in zip(said, truth, strict=True))
            fp = sum(a == k and b != k for a, b in zip(said, truth, strict=True))
            fn = sum(a != k and b == k for a, b in zip(said, truth, strict=True))
            tn = len(truth) - tp - fp - fn
            above, below = {
                "dice": (2 * tp, 2 * tp + fp + fn), "jaccard": (tp, tp + fp + fn),
                "recall": (tp, tp + fn), "specificity": (tn, tn + fp),
            }[rate]  # fmt: skip
            if below:
                found.append(above / below)
            elif rate in ("dice", "jaccard"):
                found.append(1.0)
        scores.append(sum(found) / len(found) if found else float("nan"))
    return scores


@pytest.mark.parametrize("metric", [Dice(), Jaccard(), Recall(), Specificity()])
@pytest.mark.parametrize("task", [LESION, PARTS])
def test_scores_of_an_image_are_those_of_a_loop(metric: Metric, task: Task) -> None:
    logits, labels = fold(task)
    labels[0], labels[1, 0] = 0, 0
    logits[0, 0], logits[0, 1:] = (-1.0, -1.0) if task.binary else (1.0, -1.0)
    expected = loop(logits, labels, len(task.classes), type(metric).__name__.lower())
    assert metric.scores(logits, labels, task).tolist() == pytest.approx(expected, nan_ok=True)
    assert metric.value(logits, labels, task) == pytest.approx(np.nanmean(expected))


def test_overlap_of_an_image_is_that_of_scikit_learn() -> None:
    logits, labels = fold(LESION, 5)
    for case, said in enumerate(answers(logits)):
        truth = labels[case].flatten().numpy()
        assert Jaccard().scores(logits, labels, LESION)[case].item() == pytest.approx(
            jaccard_score(truth, said.ravel())
        )
        assert Dice().scores(logits, labels, LESION)[case].item() == pytest.approx(f1_score(truth, said.ravel()))


@pytest.mark.parametrize("metric", [Dice, Jaccard])
def test_empty_masks_follow_one_rule(metric: type) -> None:
    empty, full = torch.zeros(4, 5, dtype=torch.long), torch.ones(4, 5, dtype=torch.long)
    labels = torch.stack([empty, empty, full, full])
    logits = torch.stack([empty, full, empty, full]).unsqueeze(1) - 0.5
    assert metric().scores(logits, labels, LESION).tolist() == [1, 0, 0, 1]
    assert metric(empty="skip").scores(logits, labels, LESION).nan_to_num(nan=-1).tolist() == [-1, -1, 0, 1]
    assert metric(empty="skip").value(logits, labels, LESION) == 0.5
    assert isnan(metric(empty="skip").value(logits[:2], labels[:2], LESION))


def test_a_class_that_an_image_lacks_follows_the_same_rule() -> None:
    labels = torch.tensor([[[1, 1, 0, 0]]])
    logits = torch.tensor([[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0], [-1.0] * 4]).reshape(1, 3, 1, 4)
    assert Dice().scores(logits, labels, PARTS).item() == 1.0
    logits[0, 2, 0, 3] = 5.0  # a disc where there is none
    assert Dice().scores(logits, labels, PARTS).item() == 0.5
    assert Dice(empty="skip").scores(logits, labels, PARTS).item() == 1.0


# promises of all


@pytest.mark.parametrize(("metric", "task"), PAIRS)
def test_the_order_of_cases_does_not_matter(metric: Metric, task: Task) -> None:
    logits, labels = fold(task, ties=True)
    turned = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    scores, again = metric.scores(logits, labels, task)[turned], metric.scores(logits[turned], labels[turned], task)
    if task.kind == "detection":  # a score stands at the first view of a lesion or candidate, wherever that is
        scores, again = scores.sort().values, again.sort().values
    assert again.tolist() == pytest.approx(scores.tolist(), nan_ok=True)
    assert metric.value(logits[turned], labels[turned], task) == pytest.approx(metric.value(logits, labels, task))


@pytest.mark.parametrize(("metric", "task"), SHARES)
def test_perfect_answers_are_worth_one_and_scores_are_shares(metric: Metric, task: Task) -> None:
    logits, labels = fold(task)
    scores = metric.scores(logits, labels, task)
    assert scores.shape == labels.shape[:1]
    assert scores.dtype == torch.float64
    assert (scores[~scores.isnan()] >= 0).all()
    assert (scores[~scores.isnan()] <= 1).all()
    truth = labels[:, 0] if task.kind == "detection" else labels
    one_hot = torch.nn.functional.one_hot(truth, len(task.classes)).movedim(-1, 1).double()
    perfect = 2.0 * truth.unsqueeze(1) - 1 if task.binary else one_hot
    assert metric.value(perfect, labels, task) == 1.0


@pytest.mark.parametrize(("metric", "task"), SHARES)
def test_slices_are_a_volume_and_dtypes_do_not_matter(metric: Metric, task: Task) -> None:
    logits, labels = fold(task, ties=True)
    value = metric.value(logits, labels, task)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        short = labels.to(torch.int16 if task.kind == "detection" else torch.uint8)
        assert metric.value(logits.to(dtype), short, task) == pytest.approx(value)
    if task.kind == "segmentation":
        assert metric.value(logits.unsqueeze(2), labels.unsqueeze(1), task) == value


@pytest.mark.parametrize(("metric", "task"), SHARES)
@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_not_finite_have_a_value(metric: Metric, task: Task, odd: float) -> None:
    logits, labels = fold(task)
    logits[::3] = odd
    assert 0 <= metric.value(logits, labels, task) <= 1


def test_a_logit_that_is_not_a_number_never_is_a_yes() -> None:
    nan = float("nan")
    assert Accuracy().scores(torch.tensor([[nan], [nan]]), torch.tensor([0, 1]), ILL).tolist() == [1, 0]
    assert Accuracy().scores(torch.tensor([[nan, -5.0, -6.0]]), torch.tensor([1]), ORGANS).tolist() == [1]
    assert RocAuc().value(torch.tensor([[nan], [0.0]]), torch.tensor([0, 1]), ILL) == 1.0


@pytest.mark.parametrize(("metric", "task"), PAIRS)
def test_a_fold_without_cases_has_no_value(metric: Metric, task: Task) -> None:
    logits, labels = fold(task, cases=0)
    assert isnan(metric.value(logits, labels, task))


def test_a_rate_that_the_fold_does_not_define_is_nan() -> None:
    logits, healthy = torch.randn(5, 1), torch.zeros(5, dtype=torch.long)
    assert isnan(Recall().value(logits, healthy, ILL))
    assert isnan(RocAuc().value(logits, healthy, ILL))
    assert not isnan(Specificity().value(logits, healthy, ILL))


def test_a_class_that_the_fold_lacks_is_left_out_of_the_mean() -> None:
    logits, labels = fold(ORGANS, 30)
    labels = labels.clamp(max=1)
    assert 0 <= RocAuc().value(logits, labels, ORGANS) <= 1
    found = [(logits.argmax(1)[labels == k] == k).double().mean().item() for k in (0, 1)]
    assert Recall().value(logits, labels, ORGANS) == pytest.approx(np.mean(found))


# chance


def test_chance_is_what_a_blind_answer_scores() -> None:
    labels = torch.tensor([0] * 7 + [1] * 3)
    assert Accuracy().chance(labels, ILL) == 0.7
    assert [metric.chance(labels, ILL) for metric in (RocAuc(), Recall(), Specificity())] == [0.5, 0.5, 0.5]
    assert RocAuc().value(torch.zeros(10, 1), labels, ILL) == 0.5
    masks = fold(LESION)[1]
    assert Dice().chance(masks, LESION) == Jaccard().chance(masks, LESION) == 0.0


def test_chance_of_several_classes_is_a_guess_that_gives_each_equally_often() -> None:
    draw = torch.Generator().manual_seed(3)
    labels, blind = torch.randint(3, (90_000,), generator=draw), torch.rand(90_000, 3, generator=draw)
    for metric in (Recall(), Specificity()):
        assert metric.chance(labels, ORGANS) == pytest.approx(metric.value(blind, labels, ORGANS), abs=0.01)


# what does not fit


@pytest.mark.parametrize("metric", [Accuracy(), RocAuc()])
def test_over_voxels_some_metrics_are_refused_with_the_reason(metric: Metric) -> None:
    with pytest.raises(UserError, match=r"not offered for segmentation: over voxels .* background; use Dice"):
        metric.value(*fold(LESION), LESION)
    with pytest.raises(UserError, match="not offered"):
        metric.chance(fold(LESION)[1], LESION)


@pytest.mark.parametrize("metric", [Dice(), Jaccard()])
def test_one_answer_per_image_has_no_overlap(metric: Metric) -> None:
    with pytest.raises(UserError, match="has no overlap; use Recall"):
        metric.accept(ILL)


@pytest.mark.parametrize("metric", [metric for metric in ALL if "detection" not in metric.card.tasks])
def test_candidates_are_judged_by_lesion_and_volume(metric: Metric) -> None:
    with pytest.raises(UserError, match=r"not offered for detection: candidates .* use FrocArea\(\)"):
        metric.value(*fold(MARKED), MARKED)


@pytest.mark.parametrize("metric", [metric for metric in ALL if "regression" not in metric.card.tasks])
def test_a_quantity_has_no_classes(metric: Metric) -> None:
    with pytest.raises(UserError, match=r"not offered for regression: .* no classes; use MeanAbsoluteError\(\)"):
        metric.value(*fold(RADIUS), RADIUS)
    with pytest.raises(UserError, match="not offered"):
        metric.chance(fold(RADIUS)[1], RADIUS)


@pytest.mark.parametrize(
    ("logits", "labels", "says"),
    [
        (torch.zeros(4), torch.zeros(4).long(), r"\(N, 1, \*S\)"),
        (torch.zeros(4, 3), torch.zeros(4).long(), "2 classes"),
        (torch.zeros(4, 1), torch.zeros(4, 1).long(), "do not fit"),
        (torch.zeros(4, 1), torch.zeros(4), r"labels\.long\(\)"),
        (torch.zeros(4, 1), torch.tensor([0, 1, 255, 0]), "from 0 to 255"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_remedy(logits: Tensor, labels: Tensor, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Accuracy().value(logits, labels, ILL)
