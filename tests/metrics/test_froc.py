"""FROC curves against a loop over every threshold, MONAI, picai_eval, and by hand."""

from itertools import pairwise
from math import inf, isnan, nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor

from metrics.metric_folds import ILL, LESION, MARKED, fold
from whichloss.core import Candidates, UserError, parse, registry
from whichloss.metrics import Metric, tune_threshold
from whichloss.metrics.classification.roc_auc import RocAuc
from whichloss.metrics.detection.cpm import Cpm
from whichloss.metrics.detection.froc import Froc, MeanFroc
from whichloss.metrics.detection.froc_area import FrocArea
from whichloss.metrics.detection.froc_metric import FrocMetric
from whichloss.metrics.detection.matching import Marks, Spheres, match
from whichloss.metrics.detection.sensitivity_at import SensitivityAt

ALL = [cls() for cls in registry(Metric).values() if issubclass(cls, FrocMetric)]
COUNTS = ("lesion", "reached", "candidate")
SEVEN = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
Scored = list[tuple[float, int]]  # a score and the lesion it hits, -1: none

scores = st.one_of(st.integers(-3, 3).map(float), st.floats(-2, 2), st.sampled_from([inf, -inf, nan]))
candidates = st.lists(st.tuples(scores, st.integers(-1, 3)), max_size=14)
rates = st.one_of(st.sampled_from([0.0, *SEVEN]), st.floats(0, 12))
each = pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.label)
counted = pytest.mark.parametrize("count", COUNTS)


def curve(scored: Scored, volumes: int = 2, missed: int = 0, count: str = "lesion") -> Froc:
    return (
        Froc.of(*zip(*scored, strict=True), volumes=volumes, missed=missed, count=count)
        if scored
        else Froc.of([], [], volumes=volumes, missed=missed, count=count)
    )


# a second way: every threshold, one after the other


def swept(scored: Scored, volumes: int, missed: int, count: str) -> tuple[list[float], list[float]]:
    """False positives per volume and sensitivity at every threshold, from nothing marked on."""
    if count == "candidate":
        scored = [(score, at if lesion >= 0 else -1) for at, (score, lesion) in enumerate(scored)]
    lesions = len({lesion for _, lesion in scored if lesion >= 0}) + (missed if count == "lesion" else 0)
    fp, sensitivity = [0.0], [0.0 if lesions else nan]
    for bar in sorted({score for score, _ in scored if not isnan(score)}, reverse=True):
        found = {lesion for score, lesion in scored if lesion >= 0 and score >= bar}
        fp.append(sum(lesion < 0 and score >= bar for score, lesion in scored) / volumes)
        sensitivity.append(len(found) / lesions if lesions else nan)
    return fp, sensitivity


def step(points: tuple[list[float], list[float]], rate: float) -> float:
    return max((s for f, s in zip(*points, strict=True) if f <= rate), default=nan)


def line(points: tuple[list[float], list[float]], rate: float) -> float:
    known = [*zip(*points, strict=True)]
    for (f0, s0), (f1, s1) in pairwise(known):
        if f0 <= rate < f1:
            return s0 + (s1 - s0) * (rate - f0) / (f1 - f0)
    return known[-1][1]


def area(points: tuple[list[float], list[float]], up_to: float, steps: bool) -> float:
    """Rectangle by rectangle, or trapezium by trapezium, cut at `up_to` or drawn on to it."""
    total, known = 0.0, [*zip(*points, strict=True), (inf, points[1][-1])]
    for (f0, s0), (f1, s1) in pairwise(known):
        wide = min(f1, up_to) - f0
        if wide > 0:
            end = s0 if steps or f1 == inf else s0 + (s1 - s0) * wide / (f1 - f0)
            total += wide * (s0 + end) / 2
    return total / up_to


@counted
@given(candidates, st.integers(1, 3), st.integers(0, 2), rates, st.sampled_from([0.5, 1.0, 2.0, 10.0]))
@settings(deadline=None, max_examples=120)
def test_all_that_is_read_off_is_what_a_sweep_gives(
    count: str, scored: Scored, volumes: int, missed: int, rate: float, up_to: float
) -> None:
    ours, points = curve(scored, volumes, missed, count), swept(scored, volumes, missed, count)
    for by, read in (("steps", step), ("lines", line)):
        assert ours.sensitivity_at(rate, by) == pytest.approx(read(points, rate), abs=1e-12, nan_ok=True)
        assert ours.area(up_to, by) == pytest.approx(area(points, up_to, by == "steps"), abs=1e-12, nan_ok=True)
        seven = [read(points, one) for one in SEVEN]
        assert ours.cpm(by) == pytest.approx(sum(seven) / 7, abs=1e-12, nan_ok=True)


@counted
@given(candidates, st.integers(1, 3), st.integers(0, 2))
@settings(deadline=None, max_examples=120)
def test_the_points_are_those_of_a_sweep(count: str, scored: Scored, volumes: int, missed: int) -> None:
    """A threshold at which nothing more is found or wrongly marked, as at a second hit of a lesion, is no new point."""
    ours = curve(scored, volumes, missed, count)
    seen = [*zip(ours.fp_per_volume.tolist(), ours.sensitivity.tolist(), strict=True)]
    wanted = [*zip(*swept(scored, volumes, missed, count), strict=True)]
    if not ours.lesions:
        assert ours.sensitivity.isnan().all()
        seen, wanted = [(f, 0.0) for f, _ in seen], [(f, 0.0) for f, _ in wanted]
    assert list(dict.fromkeys(seen)) == list(dict.fromkeys(wanted))
    assert (ours.thresholds[1:].diff() < 0).all()
    assert len(ours.thresholds) == len(ours.fp_per_volume) == len(ours.sensitivity)
    assert ours.candidates == len(scored)


# by hand


def test_equal_scores_are_marked_together() -> None:
    """Of a lesion and a false positive with one score, neither comes first: a step takes both, a line half of each."""
    tied = curve([(1.0, 0), (1.0, -1)], volumes=1)
    assert tied.fp_per_volume.tolist() == [0, 1]
    assert tied.sensitivity.tolist() == [0, 1]
    assert [tied.sensitivity_at(rate) for rate in (0, 0.5, 0.99, 1)] == [0, 0, 0, 1]
    assert [tied.sensitivity_at(rate, "lines") for rate in (0, 0.5, 0.75, 1)] == [0, 0.5, 0.75, 1]
    assert (tied.area(2), tied.area(2, "lines")) == (0.5, 0.75)


def test_without_ties_steps_and_lines_agree() -> None:
    one = curve([(0.9, 0), (0.8, -1), (0.7, 1), (0.6, -1), (0.5, 2)])
    for rate in (0.0, 0.3, 0.5, 0.8, 1.0, 5.0):
        assert one.sensitivity_at(rate) == one.sensitivity_at(rate, "lines")
    assert one.area(0.8) == pytest.approx(one.area(0.8, "lines"), abs=1e-15)


def test_where_there_is_no_lesion_nothing_is_defined() -> None:
    for empty in (curve([(0.3, -1), (0.1, -1)]), curve([]), Froc.of([], [], volumes=0)):
        assert all(isnan(value) for value in (empty.sensitivity_at(1), empty.area(), empty.cpm()))
        assert empty.sensitivity.isnan().all()


def test_without_false_positives_the_curve_is_flat() -> None:
    one = curve([(0.9, 0), (0.1, 1), (nan, 2)], missed=1)
    assert one.sensitivity_at(0) == one.area(10) == one.cpm() == one.area(10, "lines") == 0.5
    assert one.fp_per_volume.tolist() == [0, 0, 0]


def test_the_curve_goes_on_flat_where_false_positives_run_out() -> None:
    one = curve([(3.0, -1), (2.0, 0), (1.0, -1)], volumes=1)
    assert one.area(10) == 0.9
    assert one.sensitivity_at(1000) == 1


def test_one_volume_counts_false_positives_whole() -> None:
    one = curve([(4.0, -1), (3.0, 0), (2.0, -1), (1.0, 1)], volumes=1)
    assert one.fp_per_volume.tolist() == [0, 1, 1, 2, 2]
    assert [one.sensitivity_at(rate) for rate in (0.99, 1, 1.99, 2)] == [0, 0.5, 0.5, 1]


def test_volumes_without_candidates_and_lesions_without_candidates_count() -> None:
    """An empty volume halves the rate of false positives; a missed lesion is never found."""
    scored = [(0.9, -1), (0.8, 0)]
    assert curve(scored, volumes=1).sensitivity_at(0.5) == 0
    assert curve(scored, volumes=2).sensitivity_at(0.5) == 1
    assert curve(scored, volumes=2, missed=1).sensitivity_at(0.5) == 0.5
    assert curve(scored, volumes=2, missed=1, count="reached").sensitivity_at(0.5) == 1
    assert curve([], missed=3).area() == 0


def test_a_lesion_is_found_once_and_a_candidate_each_time() -> None:
    scored = [(0.9, 0), (0.8, -1), (0.7, 0), (0.6, 1)]
    assert curve(scored, volumes=1).sensitivity_at(0) == 1 / 2
    assert curve(scored, volumes=1, missed=2, count="candidate").sensitivity_at(0) == 1 / 3


def test_scores_that_are_not_finite() -> None:
    """Not a number is below every threshold; minus infinity is the lowest threshold, infinity the highest."""
    one = curve([(inf, 0), (-inf, 1), (nan, 2), (inf, -1), (-inf, -1), (nan, -1)], volumes=1)
    assert one.thresholds.tolist() == [inf, inf, -inf]
    assert one.fp_per_volume.tolist() == [0, 1, 2]
    assert one.sensitivity.tolist() == [0, 1 / 3, 2 / 3]
    assert one.sensitivity_at(1000) == 2 / 3
    assert curve([(nan, 0), (0.3, 0)]).sensitivity_at(0) == 1


def test_words_and_volumes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="'lesions' is none of 'lesion', 'reached', 'candidate'"):
        curve([(0.1, 0)], count="lesions")
    with pytest.raises(UserError, match="'line' is none of 'steps', 'lines'"):
        curve([(0.1, 0)]).area(by="line")
    with pytest.raises(UserError, match="in 0 volumes"):
        curve([(0.1, -1)], volumes=0)


# several curves


@given(candidates, candidates, st.integers(1, 3), st.integers(0, 2))
@settings(deadline=None, max_examples=60)
def test_pooled_folds_are_one_fold(first: Scored, second: Scored, volumes: int, missed: int) -> None:
    apart = [(score, lesion + 10 if lesion >= 0 else -1) for score, lesion in second]
    pooled, whole = curve(first, volumes, missed) + curve(second, 1), curve(first + apart, volumes + 1, missed)
    assert pooled.thresholds.tolist() == whole.thresholds.tolist()
    assert pooled.fp_per_volume.tolist() == whole.fp_per_volume.tolist()
    assert pooled.sensitivity.tolist() == pytest.approx(whole.sensitivity.tolist(), nan_ok=True)
    assert pooled.area() == pytest.approx(whole.area(), nan_ok=True)


def test_a_mean_curve_is_vertical() -> None:
    """The area under the mean of two curves, drawn and integrated, is the mean of both areas; scales do not matter."""
    one = curve([(0.9, 0), (0.8, -1), (0.7, 1), (0.6, 2)], volumes=1)
    two = curve([(90.0, -1), (90.0, 0), (50.0, -1), (10.0, 1)], volumes=2)
    nothing = curve([(0.5, -1)], volumes=1)
    both = MeanFroc((one, two, nothing))
    assert both.fp_per_volume.tolist() == [0, 0.5, 1]
    assert both.sensitivity.tolist() == pytest.approx([1 / 6, 5 / 12, 1])
    assert both.sensitivity_at(0.7) == pytest.approx((1 / 3 + 1 / 2) / 2)
    drawn = (both.fp_per_volume.tolist(), both.sensitivity.tolist())
    assert both.area(3) == pytest.approx(area(drawn, 3, steps=True)) == (one.area(3) + two.area(3)) / 2
    assert both.area(3, "lines") > both.area(3)
    assert both.cpm() == (one.cpm() + two.cpm()) / 2
    for none in (MeanFroc(()), MeanFroc((nothing,))):
        assert isnan(none.area())
        assert len(none.fp_per_volume) == len(none.sensitivity) == 0


# other libraries


def simulated(seed: int, lesions: int, false: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of lesions and of false positives in (0, 1), many of them equal."""
    draw = np.random.default_rng(seed)
    return draw.beta(3, 2, lesions).round(2) + 0.001, draw.beta(2, 3, false).round(2) + 0.001


@pytest.mark.parametrize("missed", [0, 1, 3])
def test_the_curve_of_monai_but_for_its_last_point(missed: int) -> None:
    """MONAI leaves out the lowest of all scores: a 0, the mark of a missed lesion, or else a real operating point."""
    froc = pytest.importorskip("monai.metrics.froc", reason="MONAI is not installed")
    hit, false = simulated(0, 40, 300)
    fp, sensitivity = froc.compute_froc_curve_data(false, np.append(hit, np.zeros(missed)), len(hit) + missed, 7)
    ours = Froc.of([*hit, *false], [*range(len(hit)), *[-1] * len(false)], volumes=7, missed=missed)
    known = len(fp) if missed else -1
    assert ours.fp_per_volume[:known].tolist() == fp[::-1].tolist()
    assert ours.sensitivity[:known].tolist() == sensitivity[::-1].tolist()
    assert len(ours.thresholds) == len(fp) + (missed == 0)
    six = (0.25, 0.5, 1, 2, 4, 8)
    mean = np.mean([ours.sensitivity_at(rate, "lines") for rate in six])
    assert froc.compute_froc_score(fp, sensitivity, six) == pytest.approx(mean, abs=1e-14)


def test_the_end_point_that_monai_drops() -> None:
    """One lesion at .3 below one false positive at .8: it is found at 1 per volume, MONAI never finds it."""
    froc = pytest.importorskip("monai.metrics.froc", reason="MONAI is not installed")
    fp, sensitivity = froc.compute_froc_curve_data(np.array([0.8]), np.array([0.3]), 1, 1)
    assert froc.compute_froc_score(fp, sensitivity, (1, 2, 4)) == 0
    ours = curve([(0.8, -1), (0.3, 0)], volumes=1)
    assert ours.fp_per_volume.tolist() == [0, 1, 1]
    assert ours.sensitivity.tolist() == [0, 0, 1]
    assert ours.sensitivity_at(1) == 1


def picai(results: dict[str, list[tuple[int, float, float]]]):
    metrics = pytest.importorskip("picai_eval.metrics", reason="picai_eval is not installed")
    return metrics.Metrics(
        lesion_results=results,
        case_target={case: int(any(lesion for lesion, *_ in found)) for case, found in results.items()},
        case_pred={case: max((score for _, score, _ in found), default=0.0) for case, found in results.items()},
    )


def test_the_curve_of_picai_eval() -> None:
    hit, false = simulated(1, 30, 200)
    draw = np.random.default_rng(2)
    results: dict[str, list] = {f"case{at}": [] for at in range(9)}
    for score, lesion in [*zip(hit, [1] * 30, strict=True), *zip(false, [0] * 200, strict=True), (0.0, 1), (0.0, 1)]:
        results[f"case{draw.integers(8)}"].append((lesion, float(score), 0.5))  # the ninth stays empty
    theirs = picai(results)
    ours = Froc.of([*hit, *false], [*range(30), *[-1] * 200], volumes=9, missed=2)
    assert theirs.lesion_FPR[:-1] == pytest.approx(ours.fp_per_volume[1:].numpy(), abs=1e-6)  # they keep float32
    assert theirs.lesion_TPR[:-1] == pytest.approx(ours.sensitivity[1:].numpy(), abs=1e-6)
    for rate in (0.3, 1.01, 3.01, 7.99):
        assert theirs.lesion_TPR_at_FPR(rate) == pytest.approx(ours.sensitivity_at(rate), abs=1e-6)


def test_the_end_point_that_picai_eval_drops() -> None:
    """As MONAI's: the lowest score is taken for that of a missed lesion, also where none is missed."""
    theirs = picai({"a": [(0, 0.8, 0.0), (1, 0.3, 0.5)]})
    assert theirs.lesion_TPR_at_FPR(1) == 0
    assert curve([(0.8, -1), (0.3, 0)], volumes=1).sensitivity_at(1) == 1


# metrics of a fold


@st.composite
def tables(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Logits (N, 1) and a table (N + m, 4): up to four views of each candidate, in any order."""
    rows, kinds = [], draw(st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 1)), max_size=6))
    for candidate, (volume, which) in enumerate(kinds):
        lesion = -1 if which < 0 else 2 * volume + which
        for score in draw(st.lists(scores, min_size=1, max_size=4)):
            rows.append((score, int(lesion >= 0), candidate, volume, lesion))
    rows = draw(st.permutations(rows))
    volumes = sorted({volume for volume, _ in kinds})
    missed = draw(st.lists(st.sampled_from(volumes), max_size=2)) if volumes else []
    table = [[*row[1:]] for row in rows] + [[1, -1, volume, 50 + at] for at, volume in enumerate(missed)]
    labels = torch.tensor(table, dtype=torch.long).reshape(-1, 4)
    return torch.tensor([row[0] for row in rows], dtype=torch.float64).reshape(-1, 1), labels


def pooled_by_hand(logits: Tensor, labels: Tensor, views: str) -> Scored:
    of: dict[int, list[float]] = {}
    lesion: dict[int, int] = {}
    for score, (_, candidate, _, hit) in zip(logits[:, 0].tolist(), labels.tolist(), strict=False):
        of.setdefault(candidate, []).append(score)
        lesion[candidate] = hit
    reduce = {
        "mean": np.mean, "median": np.median, "max": np.max, "min": np.min,
        "p25": lambda x: np.percentile(x, 25), "p75": lambda x: np.percentile(x, 75),
    }[views]  # fmt: skip
    with np.errstate(invalid="ignore"):
        return [(float(reduce(sorted(of[candidate]))), lesion[candidate]) for candidate in sorted(of)]


@counted
@given(tables())
@settings(deadline=None, max_examples=80)
def test_the_value_of_a_fold_is_that_of_a_sweep(count: str, data: tuple[Tensor, Tensor]) -> None:
    logits, labels = data
    volumes, missed = len(labels[:, 2].unique()), len(labels) - len(logits)
    points = swept(pooled_by_hand(logits, labels, "mean"), max(volumes, 1), missed, count)
    for by, read in (("steps", step), ("lines", line)):
        how = {"count": count, "by": by}
        found = {
            FrocArea(up_to=2, **how): area(points, 2, by == "steps"),
            SensitivityAt(fp_per_volume=1.5, **how): read(points, 1.5),
            Cpm(**how): sum(read(points, one) for one in SEVEN) / 7,
        }
        for metric, value in found.items():
            assert metric.value(logits, labels, MARKED) == pytest.approx(value, abs=1e-12, nan_ok=True), metric


@pytest.mark.parametrize("views", ["mean", "median", "p25", "p75", "max", "min"])
@given(tables())
@settings(deadline=None, max_examples=60)
def test_views_are_pooled_as_by_numpy(views: str, data: tuple[Tensor, Tensor]) -> None:
    """Finite views: numpy reads percentiles between infinities in ways of its own."""
    logits, labels = data[0].clamp(-5, 5), data[1]
    logits = torch.where(logits.isnan(), nan, logits)
    expected = curve(pooled_by_hand(logits, labels, views), max(len(labels[:, 2].unique()), 1))
    ours = FrocArea(views=views).froc(logits, labels, MARKED)
    for one, two in ((ours.found, expected.found), (ours.false, expected.false)):
        assert one.tolist() == pytest.approx(two.tolist(), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("views", ["mean", "median", "p25", "p75", "max", "min"])
def test_a_candidate_with_a_view_that_is_not_a_number_is_never_marked(views: str) -> None:
    """Even where its other views are the surest of all."""
    logits = torch.tensor([[9.0], [nan], [9.0], [1.0], [0.0]])
    labels = torch.tensor([[1, 0, 0, 0]] * 3 + [[1, 1, 0, 1], [0, 2, 0, -1]])
    assert SensitivityAt(views=views).value(logits, labels, MARKED) == 0.5
    assert RocAuc().value(logits, labels, MARKED) == 0.5


def test_views_in_another_order_are_a_tie() -> None:
    """0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1."""
    logits = torch.tensor([[0.1], [0.2], [0.3], [0.3], [0.2], [0.1]], dtype=torch.float64)
    labels = torch.tensor([[1, 0, 0, 0]] * 3 + [[0, 1, 0, -1]] * 3)
    assert SensitivityAt(fp_per_volume=0).value(logits, labels, MARKED) == 0
    assert SensitivityAt(fp_per_volume=0).value(logits.flip(0), labels, MARKED) == 0


@pytest.mark.parametrize("views", ["median", "p25", "p75", "max", "min"])
def test_infinite_views(views: str) -> None:
    labels = torch.tensor([[1, 0, 0, 0]] * 3)
    for logits in ([-inf, -inf, -inf], [inf, inf, inf], [-inf, 0.0, inf]):
        pooled = FrocArea(views=views).froc(torch.tensor(logits).unsqueeze(1), labels, MARKED).found.item()
        at = {"min": 0, "p25": 0, "median": 1, "p75": 2, "max": 2}[views]
        assert pooled == logits[at]


@each
@counted
@pytest.mark.parametrize("by", ["steps", "lines"])
@given(tables())
@settings(deadline=None, max_examples=40)
def test_the_mean_score_is_the_value_where_no_lesion_is_missed(
    metric: FrocMetric, count: str, by: str, data: tuple[Tensor, Tensor]
) -> None:
    logits, labels = data
    metric = type(metric)(count=count, by=by)
    shares = metric.scores(logits, labels, MARKED)
    assert shares.shape == (len(logits),)
    assert shares.dtype == torch.float64
    seen, missed = shares[~shares.isnan()], len(labels) - len(logits) if count == "lesion" else 0
    wanted = seen.sum().item() / (len(seen) + missed) if len(seen) + missed else nan
    assert metric.value(logits, labels, MARKED) == pytest.approx(wanted, abs=1e-12, nan_ok=True)


def test_scores_stand_at_the_first_view_of_a_lesion() -> None:
    seen = Candidates(candidate=("a", "b", "a", "b", "c", "c"), volume=("v",) * 6, lesion=("1", "1", "1", "1", "", ""))
    labels = seen.truth(torch.tensor([1, 1, 1, 1, 0, 0]), range(6))
    logits = torch.tensor([[0.0], [5.0], [0.0], [5.0], [1.0], [3.0]])
    by_lesion = SensitivityAt(fp_per_volume=0).scores(logits, labels, MARKED)
    by_candidate = SensitivityAt(fp_per_volume=0, count="candidate").scores(logits, labels, MARKED)
    assert by_lesion.nan_to_num(nan=-1).tolist() == [1, -1, -1, -1, -1, -1]
    assert by_candidate.nan_to_num(nan=-1).tolist() == [0, 1, -1, -1, -1, -1]


def test_a_flipped_label_makes_a_false_positive() -> None:
    """Label noise in the inner split: the lesion that its candidate hits is not known there."""
    seen = Candidates(candidate=("a", "b"), volume=("v", "v"), lesion=("1", "2"), missed=(("v", "3"),))
    flipped = seen.truth(torch.tensor([0, 1]), [0, 1])
    froc = FrocArea().froc(torch.tensor([[2.0], [1.0]]), flipped, MARKED)
    assert (froc.lesions, froc.volumes, froc.candidates) == (2, 1, 2)
    assert froc.false.tolist() == [2]


@each
def test_what_all_promise(metric: FrocMetric) -> None:
    logits, labels = fold(MARKED)
    assert metric.chance(labels, MARKED) == 0
    assert metric.pooled(MARKED)
    assert metric.unit(MARKED) == ""
    assert metric.value(logits, labels, MARKED, at=3.0) == metric.value(logits, labels, MARKED)
    assert metric.value(logits.exp(), labels, MARKED) >= 0
    assert metric.value(torch.full_like(logits, nan), labels, MARKED) == 0
    with pytest.raises(UserError, match="no threshold to tune"):
        tune_threshold(metric, logits, labels, MARKED)
    for task in (ILL, LESION):
        with pytest.raises(UserError, match=rf"not offered for {task.kind}: it counts lesions .* use RocAuc\(\)"):
            metric.value(*fold(task), task)


@pytest.mark.parametrize(
    "labels",
    [
        torch.zeros(3).long(),
        torch.zeros(3, 3).long(),
        torch.tensor([[0.0, 0, 0, -1]] * 3),
        torch.tensor([[0, 0, 0, -1]] * 2),  # too few rows
        torch.tensor([[0, 0, 0, -1]] * 4),  # a view too many
        torch.tensor([[0, -1, 0, -1]] * 3),  # no candidate
        torch.tensor([[0, 0, 0, 5]] * 3),  # a lesion, and the answer no
        torch.tensor([[1, 0, 0, -1]] * 3),  # yes, and no lesion
        torch.tensor([[0, 0, 0, -1]] * 3 + [[0, -1, 0, -1]]),  # missed, and no lesion
    ],
)
def test_a_table_that_does_not_fit_is_refused(labels: Tensor) -> None:
    for metric in (FrocArea(), RocAuc()):
        with pytest.raises(UserError, match=r"Candidates\.truth, \(N \+ m, 4\)"):
            metric.value(torch.zeros(3, 1), labels, MARKED)
    with pytest.raises(UserError, match=r"logits \(3, 2\)"):
        FrocArea().value(torch.zeros(3, 2), torch.tensor([[0, 0, 0, -1]] * 3), MARKED)


def test_roc_auc_of_candidates() -> None:
    logits, labels = fold(MARKED, 80, ties=True)
    pooled = pooled_by_hand(logits, labels, "mean")
    oracle = roc_auc_score([lesion >= 0 for _, lesion in pooled], [score for score, _ in pooled])
    missed = torch.tensor([[1, -1, 0, 90]])
    assert RocAuc().value(logits, torch.cat([labels, missed]), MARKED) == pytest.approx(oracle, abs=1e-14)
    placed = RocAuc().scores(logits, labels, MARKED)
    assert placed.isnan().tolist() == [False, True] * 40


# matching


def by_the_rules(marks: Marks, lesions: Spheres, irrelevant: Spheres) -> tuple[list[float], list[float], int]:
    """Scores of found lesions and of false positives, and how many lesions are missed: one mark after the other."""

    def near(mark: int, spheres: Spheres, one: int) -> bool:
        away = sum((a - b) ** 2 for a, b in zip(marks.centre[mark], spheres.centre[one], strict=True))
        radius = (10 if spheres.diameter[one] < 0 else spheres.diameter[one]) / 2
        return marks.volume[mark] == spheres.volume[one] and away < radius**2

    left, found, missed = set(range(len(marks.score))), [], 0
    for one in range(len(lesions.diameter)):
        mine = [mark for mark in range(len(marks.score)) if near(mark, lesions, one)]
        left -= set(mine)
        found += [max(marks.score[mark] for mark in mine)] if mine else []
        missed += not mine
    for one in range(len(irrelevant.diameter)):
        left -= {mark for mark in left if near(mark, irrelevant, one)}
    return sorted(found), sorted(marks.score[mark] for mark in left), missed


@given(st.integers(0, 10_000), st.integers(0, 30), st.integers(0, 6), st.integers(0, 6))
@settings(deadline=None, max_examples=80)
def test_marks_are_matched_by_the_rules(seed: int, marks: int, lesions: int, others: int) -> None:
    draw = np.random.default_rng(seed)

    def places(n: int) -> tuple[list[str], list[list[float]]]:
        return [f"v{k}" for k in draw.integers(3, size=n)], draw.integers(0, 7, (n, 3)).astype(float).tolist()

    detected = Marks(*places(marks), draw.permutation(marks).astype(float).tolist())
    one, other = (Spheres(*places(n), draw.choice([-1.0, 2.0, 4.0, 8.0], n).tolist()) for n in (lesions, others))
    found, false, missed = by_the_rules(detected, one, other)
    matches = match(detected, one, other)
    froc = matches.froc(volumes=3)
    assert sorted(froc.found.tolist()) == found
    assert sorted(froc.false.tolist()) == false
    assert (froc.lesions, len(matches.missed), froc.volumes) == (lesions, missed, 3)
    assert not (matches.false & matches.ignored).any()
    assert matches.froc(volumes=3, count="reached").lesions == lesions - missed
    alone = matches.froc(volumes=3, count="candidate")
    assert alone.lesions == len(alone.found) == marks - len(false) - int(matches.ignored.sum())


def test_rules_of_luna16_one_by_one() -> None:
    marks = Marks(
        volume=np.array(["a", "a", "a", "a", "a", "b"]),
        centre=[[1.0, 0, 0], [0, 1, 0], [2, 0, 0], [20, 0, 0], [24.9, 0, 0], [0, 0, 0]],
        score=torch.tensor([0.2, 0.9, 0.8, 0.7, 0.6, 0.5]),
    )
    lesions = Spheres(volume=["a", "a"], centre=[[0.0, 0, 0], [50, 0, 0]], diameter=[4.0, 8.0])
    irrelevant = Spheres(volume=["a", "a"], centre=[[20.0, 0, 0], [0, 0, 0]], diameter=[-1, 3])
    matches = match(marks, lesions, irrelevant)
    assert matches.hits.tolist() == [[0, 0], [1, 0]]  # the third lies on the sphere, not within it
    assert matches.ignored.tolist() == [False, False, False, True, True, False]  # -1 is 10 mm; a lesion comes first
    assert matches.false.tolist() == [False, False, True, False, False, True]
    assert matches.missed.tolist() == [1]
    froc = matches.froc(volumes=4)
    assert froc.found.tolist() == pytest.approx([0.9])
    assert (froc.lesions, froc.volumes, froc.candidates) == (2, 4, 4)
    with pytest.raises(UserError, match="1 volumes; but detections and lesions are in 2"):
        matches.froc(volumes=1)
    with pytest.raises(UserError, match="'nodule' is none of"):
        matches.froc(volumes=4, count="nodule")


def test_one_mark_may_find_two_lesions() -> None:
    both = match(Marks(["a"], [[0.0, 0, 0]], [0.9]), Spheres(["a", "a"], [[1.0, 0, 0], [-1, 0, 0]], [4.0, 4.0]))
    assert both.froc(volumes=1).sensitivity_at(0) == 1
    assert both.froc(volumes=1, count="candidate").lesions == 1


def test_titles_tell_metrics_apart() -> None:
    titles = [parse(text, Metric).title for text in (
        "FrocArea()", "FrocArea(up_to=4)", 'FrocArea(views="median")', 'FrocArea(count="candidate", by="lines")',
        "SensitivityAt(fp_per_volume=0.125)", 'Cpm(count="reached")',
    )]  # fmt: skip
    assert titles == [
        "FROC area", "FROC area up to 4 FP/volume", "FROC area, median of the views",
        "FROC area, per candidate, by lines", "Sensitivity at 0.125 FP/volume", "CPM, of lesions that a candidate hits",
    ]  # fmt: skip
