"""What a study says beside its verdict, counted again from the records and outputs that it kept."""

import csv
import json
from collections import defaultdict
from collections.abc import Callable
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score

from small_studies import cli, execute_here, write_code, write_nuclei, write_study, write_tiny
from whichloss.core import Task
from whichloss.data import Cases
from whichloss.study.conduct import prepare
from whichloss.study.patients import _with_missed
from whichloss.study.read import read_study
from whichloss.study.supplement import steps_of

DRAWS = 60  # of the patients, instead of a thousand
Pair = tuple[int, int]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    monkeypatch.setattr("whichloss.study.patients.TIMES", DRAWS)


class Told:
    """verdict.json, and the runs behind it."""

    def __init__(self, folder: Path, file: Path, *options: str) -> None:
        answer = cli("run", file, "--store", folder / "store", *options, here=folder)
        assert answer.code in (0, 1), answer.err
        self.home = folder / "store" / "studies" / file.stem
        self.verdict = json.loads((self.home / "verdict.json").read_text())
        self.page = (self.home / "report.html").read_text()
        self.beside = self.verdict["supplement"]
        self.runs: dict[str, dict[Pair, tuple[dict[str, Any], dict[str, np.ndarray]]]] = defaultdict(dict)
        for path in (folder / "store" / "runs").glob("*/*"):
            record = json.loads((path / "record.json").read_text())
            spec = record["spec"]
            if not spec["stress"]:
                outputs = load_file(path / "outputs.safetensors")
                kept = {name: one.float().numpy() for name, one in outputs.items()}
                self.runs[spec["loss"]][spec["seed"], spec["fold"]] = record, kept


def weights(patients: int) -> np.ndarray:
    """Every patient once, then as often as drawn."""
    drawn = np.random.default_rng(0).multinomial(patients, np.full(patients, 1 / patients), size=DRAWS)
    return np.concatenate([np.ones((1, patients), int), drawn])


def expected(told: Told, groups: dict[int, str], value: Callable[[Any, Any, Any], float]) -> dict[str, tuple[Any, Any]]:
    """loss -> (value, standard error and ends), of itself and of its difference to the baseline.

    groups: patient of each case. value(record, outputs, weight of each test case): the metric of one draw of one run.
    """
    tested = {int(at) for pairs in told.runs.values() for _, kept in pairs.values() for at in kept["test_cases"]}
    names = sorted({groups[at] for at in tested if at in groups})
    place = {name: at for at, name in enumerate(names)}
    drawn = weights(len(names))
    curves: dict[str, dict[Pair, list[float]]] = {}
    for loss, pairs in told.runs.items():
        for pair, (record, kept) in pairs.items():
            of = [place.get(groups.get(int(at), ""), -1) for at in kept["test_cases"]]
            each = [value(record, kept, [0 if at < 0 else draw[at] for at in of]) for draw in drawn]
            curves.setdefault(loss, {})[pair] = each

    def summed(lists: list[list[float]]) -> tuple[float, ...]:
        known = [[x for x in column if x == x] for column in zip(*lists, strict=True)]
        means = [fmean(column) for column in known if column]
        return means[0], float(np.std(means[1:], ddof=1)), *np.quantile(means[1:], [0.025, 0.975]).tolist()

    base = curves[told.verdict["baseline"]]
    sign = 1 if told.verdict["higher_is_better"] else -1
    return {
        loss: (
            summed(list(mine.values())),
            summed([[sign * (x - y) for x, y in zip(mine[pair], base[pair], strict=True)] for pair in mine]),
        )
        for loss, mine in curves.items()
    }


def compare(found: dict[str, Any], wanted: dict[str, tuple[Any, Any]], baseline: str) -> None:
    assert found["reason"] == "" and len(found["losses"]) == len(wanted)
    for one in found["losses"]:
        for key, told in zip(("value", "difference"), wanted[one["loss"]], strict=True):
            if key == "difference" and one["loss"] == baseline:
                assert one[key] is None
                continue
            mine = tuple(one[key][name] for name in ("value", "standard_error", "low", "high"))
            assert mine == pytest.approx(told, rel=1e-6, abs=1e-9)


def area(record: Any, kept: Any, weight: list[float]) -> float:
    truth = kept["test_labels"]
    used = [at for at, times in enumerate(weight) if times]
    if len(set(truth[used])) < 2:
        return float("nan")
    return float(roc_auc_score(truth[used], kept["test"][used, 0], sample_weight=np.array(weight)[used]))


def mean_score(metric: str) -> Callable[[Any, Any, list[float]], float]:
    def value(record: Any, kept: Any, weight: list[float]) -> float:
        scores = record["scores"][metric]["cases"]
        known = [(w, x) for w, x in zip(weight, scores, strict=True) if x is not None]
        total = sum(w for w, _ in known)
        return sum(w * x for w, x in known) / total if total else float("nan")

    return value


PATIENTS = {at: f"P{at // 2:02}" for at in range(48)}


def test_a_class_by_a_pooled_metric_under_stress(tmp_path: Path) -> None:
    """ROC AUC, weighed by scikit-learn; the learning curves; and the levels of noise."""
    write_tiny(tmp_path, cases=48)
    stages = [{"epochs": 4, "batch": 8}, {"epochs": 2, "batch": 16, "share": 0.5}]
    file = write_study(
        tmp_path,
        training={"optimizer": "Adam(lr=0.02)", "stages": stages, "device": "cpu"},
        design={"folds": 2, "seeds": 2, "inner": 0.25},
        stress={"label_noise": [0.0, 0.3], "size": [1.0, 0.5]},
    )
    told = Told(tmp_path, file)
    baseline = told.verdict["baseline"]
    compare(told.beside["patients"], expected(told, PATIENTS, area), baseline)
    assert told.beside["patients"]["patients"] == 24 and told.beside["subgroups"] == []

    curves = {loss: [[one["inner"] for one in record["curve"]] for record, _ in pairs.values()]
              for loss, pairs in told.runs.items()}  # fmt: skip
    pace = told.beside["pace"]
    first, final = (fmean(one[at] for one in curves[baseline]) for at in (0, -1))
    if final > first:
        target = first + 0.9 * (final - first)
        assert pace["target"] == pytest.approx(target)
        for one in pace["clocks"]["epochs"]:
            met = [next((at for at, x in enumerate(curve, 1) if x >= target), None) for curve in curves[one["loss"]]]
            assert one["reached"] == sum(at is not None for at in met)
            if None not in met:
                assert one["mean"] == pytest.approx(fmean(min(at, one["horizon"]) for at in met))
    else:
        assert "no better after its last epoch" in pace["reason"] and pace["target"] is None

    assert ("Median seconds" in told.page) == (pace["target"] is not None)  # measured: on the page alone
    assert cli("run", file, "--store", tmp_path / "again", here=tmp_path).code in (0, 1)
    again = tmp_path / "again" / "studies" / file.stem / "verdict.json"
    assert again.read_bytes() == (told.home / "verdict.json").read_bytes()

    noise, size = told.beside["stress"]
    assert (noise["title"], size["title"]) == ("label noise", "training size")
    assert size["losses"][0]["levels"] == [1.0, 0.5] and noise["losses"][0]["levels"] == [0.0, 0.3]
    with (told.home / "results.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == "test" and row["metric"] == "RocAuc()"]
    for axis, levels in ((noise, ("", "LabelNoise(share=0.3)")), (size, ("", "TrainingSize(share=0.5)"))):
        for one in axis["losses"]:
            means = [fmean(float(row["value"]) for row in rows if (row["loss"], row["stress"]) == (one["loss"], level))
                     for level in levels]  # fmt: skip
            assert one["area"] == pytest.approx(fmean(means))
    assert "As the data get harder" in told.page and "With new patients" in told.page


def test_steps_are_those_of_the_stages(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    stages = [{"epochs": 2, "batch": 5}, {"epochs": 1, "batch": 4, "share": 0.5}]
    study = read_study(write_study(tmp_path, training={"stages": stages, "device": "cpu"}))
    (run, *_) = prepare(study, tmp_path / "store", [tmp_path]).runs
    assert steps_of(run, 13) == (3, 6, 6 + ceil(round(6.5) / 4))


def test_a_mask_by_single_scores_and_its_other_threshold(tmp_path: Path) -> None:
    """Kinds of picture are the subgroups; the decision is taken again at the natural threshold."""
    write_nuclei(tmp_path, cases=24)
    file = write_study(
        tmp_path, losses=["Dice()", "Focal(gamma=2.0)"], baseline="Dice()", primary="Jaccard()",
        data='Arrays("dsb2018_128.npz", group="dup_group", id="ids", stratify="kind")',
        network="UNet(width=2, depth=2, dropout=0.0)", design={"folds": 2, "seeds": 1, "inner": 0.25},
    )  # fmt: skip
    told = Told(tmp_path, file)
    groups = {at: str(0 if at == 1 else at) for at in range(24)}
    score = mean_score(told.verdict["primary"])
    compare(told.beside["patients"], expected(told, groups, score), told.verdict["baseline"])
    kinds = ("gray_dark", "color_bright", "gray_bright")
    assert [(one["name"], one["patients"]) for one in told.beside["subgroups"]] == [
        ("color_bright", 8), ("gray_bright", 8), ("gray_dark", 8),
    ]  # fmt: skip
    for one in told.beside["subgroups"]:
        mine = {at: group for at, group in groups.items() if kinds[at % 3] == one["name"]}
        compare(one, expected(told, mine, score), told.verdict["baseline"])
    assert told.beside["threshold"] == "natural threshold"
    natural = cli("run", file, "--store", tmp_path / "store", "--set", "primary=Jaccard(threshold='natural')", "--name",
                  "natural", here=tmp_path)  # fmt: skip
    assert natural.code == 0, natural.err
    other = json.loads((tmp_path / "store/studies/natural/verdict.json").read_text())
    assert [one["other_threshold"] for one in told.beside["sensitivity"]] == [
        one["decision"] for one in other["comparisons"]
    ]
    assert "At the natural threshold" in told.page and "Within subgroups" in told.page


def test_a_quantity_is_turned_so_that_plus_is_better(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    depths = draw.normal(50, 20, 24).astype(np.float32)
    images = (draw.normal(0, 0.1, (24, 8, 8)) + depths[:, None, None] / 50).astype(np.float32)
    write_tiny(tmp_path, images=images, depths=depths)
    file = write_study(
        tmp_path, losses=["SquaredError()", "AbsoluteError()"], baseline="SquaredError()",
        primary="RootMeanSquareError()",
        data='Arrays("tiny.npz", target="depths", group="patients", id="ids", quantity="depth", unit="mm")', rope=1.0,
    )  # fmt: skip
    told = Told(tmp_path, file)

    def value(record: Any, kept: Any, weight: list[float]) -> float:
        errors = (kept["test"][:, 0].astype(float) - kept["test_labels"].astype(float)) ** 2
        return float(np.sqrt((errors * weight).sum() / sum(weight))) if sum(weight) else float("nan")

    compare(told.beside["patients"], expected(told, PATIENTS, value), told.verdict["baseline"])
    assert told.beside["pace"]["unit"] == "mm" and not told.beside["pace"]["higher_is_better"]


DETECT: dict[str, Any] = {
    "data": "LymphNodePhantom(volumes=6, test_volumes=7, views=2, size=12, negatives=6, lesions=3)",
    "network": "ViewNet(width=2, deeper=2, units=4)",
    "design": {"draws": 2, "inner": 0.3},
    "training": {"optimizer": "SGD(lr=0.05)", "stages": [{"epochs": 2, "batch": 16}], "device": "cpu"},
    "primary": "FrocArea(up_to=4)",
}


def froc_area(logits: Any, truth: Any, times: list[float], up_to: float = 4.0) -> float:
    """Lesion by lesion: the false positives per drawn volume that its best candidate costs."""
    views, facts = defaultdict(list), {}
    for score, (_, candidate, volume, lesion) in zip(logits, truth.astype(int).tolist(), strict=False):
        views[candidate].append(float(score))
        facts[candidate] = volume, lesion
    score = {candidate: fmean(ones) for candidate, ones in views.items()}
    best: dict[int, tuple[float, int]] = {}
    for candidate, (volume, lesion) in facts.items():
        if lesion >= 0:
            best[lesion] = max(best.get(lesion, (-1e9, volume)), (score[candidate], volume))
    if not sum(times[volume] for _, volume in best.values()):
        return float("nan")
    total = weight = 0.0
    for height, volume in best.values():
        false = sum(times[v] for c, (v, lesion) in facts.items() if lesion < 0 and score[c] >= height) / sum(times)
        total += times[volume] * max(0.0, 1 - false / up_to)
        weight += times[volume]
    return total / weight


def test_candidates_by_the_area_under_the_froc_curve(tmp_path: Path) -> None:
    told = Told(tmp_path, write_study(tmp_path, **DETECT))
    found = told.beside["patients"]
    assert found["patients"] == 7
    for one in found["losses"]:
        means = []
        for draw in weights(7).tolist():
            runs = [kept for _, kept in told.runs[one["loss"]].values()]
            each = [froc_area(kept["test"][:, 0], kept["test_labels"], draw) for kept in runs]
            means.append(fmean(x for x in each if x == x))
        value = one["value"]
        assert (value["value"], value["standard_error"]) == pytest.approx(
            (means[0], np.std(means[1:], ddof=1)), rel=1e-5
        )
    pace = told.beside["pace"]
    if pace["clocks"]:
        assert max(one["horizon"] for one in pace["clocks"]["steps"]) <= 2 * max(
            ceil(len(kept["train_cases"]) / 16) for runs in told.runs.values() for _, kept in runs.values()
        )


def test_candidates_within_subgroups_of_scans(tmp_path: Path) -> None:
    scans = [f"scan{at // 3}" for at in range(48)]
    sites = [("north", "south")[at // 3 % 2] for at in range(48)]
    write_tiny(tmp_path, cases=48, scan=np.array(scans), site=np.array(sites))
    data = 'Arrays("tiny.npz", target="labels", volume="scan", id="ids", stratify="site")'
    told = Told(tmp_path, write_study(tmp_path, data=data, primary="FrocArea(up_to=4)"))

    def value(record: Any, kept: Any, weight: list[float]) -> float:
        times = {int(row[2]): w for row, w in zip(kept["test_labels"], weight, strict=True)}
        return froc_area(kept["test"][:, 0], kept["test_labels"], [times[at] for at in range(len(times))])

    compare(told.beside["patients"], expected(told, dict(enumerate(scans)), value), told.verdict["baseline"])
    assert [one["name"] for one in told.beside["subgroups"]] == ["north", "south"]
    for one in told.beside["subgroups"]:
        mine = {at: scan for at, scan in enumerate(scans) if sites[at] == one["name"]}
        assert one["patients"] == 8
        compare(one, expected(told, mine, value), told.verdict["baseline"])


def test_a_lesion_that_no_candidate_hits_is_of_its_scans_patient() -> None:
    table = torch.tensor([[0, 0, 0, -1], [1, 1, 1, 0], [0, 2, 2, -1], [1, -1, 1, 1], [1, -1, 2, 2], [1, -1, 0, 3]])
    rows, groups = _with_missed(table, torch.tensor([1, 2]), torch.tensor([7, 4]), views=3)
    assert rows.tolist() == [1, 2, 3, 4] and groups.tolist() == [7, 4, 7, 4]


def test_a_loss_that_diverges_in_every_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows have no number, and nothing else lacks one."""
    monkeypatch.syspath_prepend(tmp_path)
    module = write_code(tmp_path, "def diverges(logits, target):\n    return (logits * float('inf')).mean()\n")
    write_tiny(tmp_path)
    losses = ["Logistic()", f"{module}:diverges()", "Lorenz()"]
    monkeypatch.setattr("whichloss.study.conduct.look_first", lambda *_: None)  # which would refuse it
    told = Told(tmp_path, write_study(tmp_path, losses=losses, design={"folds": 2, "seeds": 2, "inner": 0.25}))
    (lost,) = [one["loss"] for one in told.verdict["losses"] if one["failed"] == 4]
    for one in told.beside["patients"]["losses"]:
        assert (one["runs"] == 0) == (one["value"] is None) == (one["loss"] == lost)
    (row,) = [one for one in told.beside["sensitivity"] if one["loss"] == lost]
    assert row["without_failures"] == "undecided" and "Failed pairs left out" in told.page


METRIC = """
import torch
from whichloss.metrics import Metric
from whichloss.metrics.metric import MetricCard

class Worst(Metric):
    card = MetricCard(title="Worst", meaning="m", source="s", tasks=("classification",))

    def scores(self, logits, labels, task, at=0.0):
        return torch.where(labels == 1, logits[:, 0], -logits[:, 0]).double()

    def value(self, logits, labels, task, at=0.0):
        if {fragile} and logits.any() and len(labels) > len(logits.unique()):
            raise ValueError("twice the same")
        return self.scores(logits, labels, task).min().item()

    def pooled(self, task):
        return True

    def chance(self, labels, task):
        return 0.0
"""


@pytest.mark.parametrize("fragile", [False, True])
def test_somebodys_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fragile: bool) -> None:
    """Measured anew on each draw; one that cannot bear a case twice does not cost the page."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("whichloss.study.patients.SLOWLY", DRAWS)
    module = write_code(tmp_path, METRIC.format(fragile=fragile))
    write_tiny(tmp_path, cases=48)
    told = Told(tmp_path, write_study(tmp_path, primary=f"{module}:Worst()"))
    found = told.beside["patients"]
    if fragile:
        assert found["losses"] == [] and "ValueError: twice the same" in found["reason"]
        assert "Worst fails on patients drawn again" in told.page
        return

    def lowest(record: Any, kept: Any, weight: list[float]) -> float:
        signs = np.where(kept["test_labels"] == 1, 1.0, -1.0)
        drawn = [x for x, times in zip(kept["test"][:, 0] * signs, weight, strict=True) if times]
        return float(min(drawn)) if drawn else float("nan")

    compare(found, expected(told, PATIENTS, lowest), told.verdict["baseline"])


def test_subgroups_of_data() -> None:
    task = Task(kind="classification", classes=("a", "b"), size=(2, 2))
    images, labels = torch.zeros(4, 1, 2, 2), torch.tensor([0, 1, 0, 1])
    plain = Cases(images=images, labels=labels, ids=tuple("abcd"), task=task)
    assert plain.subgroups == ()
    strata = Cases(images=images, labels=labels, ids=tuple("abcd"), task=task, strata=("x", "y", "x", "y"))
    assert strata.subgroups == ("x", "y", "x", "y")
    named = Cases(images=images, labels=labels, ids=tuple("abcd"), task=task, strata=("x",) * 4,
                  columns={"subgroup": (1, 2, 1, 2)})  # fmt: skip
    assert (
        named.subgroups == ("1", "2", "1", "2")
        and named.digest == Cases(images=images, labels=labels, ids=tuple("abcd"), task=task, strata=("x",) * 4).digest
    )


def test_few_patients_of_a_subgroup_say_nothing(tmp_path: Path) -> None:
    write_tiny(tmp_path, site=np.array(["big"] * 18 + ["small"] * 6))
    data = 'Arrays("tiny.npz", target="labels", group="patients", id="ids", stratify="site")'
    told = Told(tmp_path, write_study(tmp_path, data=data))
    big, small = told.beside["subgroups"]
    assert (big["name"], big["patients"], big["reason"]) == ("big", 9, "")
    assert (small["patients"], small["losses"], small["reason"]) == (3, [], "3 patients are too few to tell")
    assert "too few to say" in told.page
