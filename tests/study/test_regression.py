"""A quantity through a whole study: learned in its own spread, scored in its own unit, and less error is better."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from statistics import fmean, median
from typing import Any

import numpy as np
import pytest
import torch

from small_studies import TINY, cli, execute_here, tiny_study, write_study, write_tiny
from whichloss.core import Task, UserError
from whichloss.data import Cases
from whichloss.study.conduct import look_first, prepare
from whichloss.study.runs import Run
from whichloss.study.scale import Scale
from whichloss.study.train import Diverged, Trained, train

CPU = torch.device("cpu")
MAE, RMSE = "MeanAbsoluteError()", "RootMeanSquareError()"
GOOD, BAD = "SquaredError()", "0.0001 * AbsoluteError()"  # which at this rate has hardly begun
LEARN = {"optimizer": "SGD(lr=0.1, momentum=0.5)", "stages": [{"epochs": 12, "batch": 4}], "device": "cpu"}
CHANGES: dict[str, Any] = {
    "losses": [BAD, GOOD],
    "baseline": BAD,
    "data": 'Arrays("tiny.npz", target="depths", group="patients", id="ids", quantity="depth", unit="mm")',
    "design": {"folds": 2, "seeds": 2, "inner": 0.25},
    "network": "SmallConvNet(width=4, depth=1, features=8, normalize=False)",
    "training": LEARN,
    "primary": MAE,
    "secondary": [RMSE],
    "rope": 0.5,
}
DEPTHS = np.linspace(-20.0, 180.0, 24).astype(np.float32)  # some below 0: nothing is ignored there


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_depths(folder: Path, depths: np.ndarray = DEPTHS) -> Path:
    """The deeper, the brighter."""
    noise = np.random.default_rng(0).normal(0, 0.1, (24, 8, 8))
    images = noise + np.linspace(-1.0, 1.0, 24)[:, None, None]
    write_tiny(folder, images=images.astype(np.float32), depths=depths)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    return write_depths(tmp_path)


def run(folder: Path, **changes: Any) -> Path:
    """The folder of a study that has been run."""
    answer = cli("run", write_study(folder, **CHANGES | changes), here=folder)
    assert answer.code in (0, 1), answer.err
    return folder / "whichloss-runs/studies/tiny"


def table(study: Path) -> list[dict[str, str]]:
    with (study / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def values(study: Path, metric: str = MAE, split: str = "test") -> dict[str, dict[tuple[str, str], float]]:
    """loss -> (seed, fold) -> value."""
    found: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    for row in table(study):
        if (row["metric"], row["split"]) == (metric, split) and row["value"]:
            found["bad" if "0.0001" in row["loss"] else "good"][row["seed"], row["fold"]] = float(row["value"])
    return found


# the verdict


def test_less_error_is_better_in_verdict_table_and_words(folder: Path) -> None:
    study = run(folder)
    verdict = json.loads((study / "verdict.json").read_text())
    found = values(study)
    gains = [found["bad"][pair] - found["good"][pair] for pair in found["good"]]
    assert len(gains) == 4 and min(gains) > 5
    [comparison] = verdict["comparisons"]
    assert comparison["difference"] == pytest.approx(fmean(gains))
    assert comparison["decision"] == "better"
    assert [one["in_best_set"] for one in verdict["losses"]] == [False, True]
    means = [one["mean"] for one in verdict["losses"]]
    assert means == pytest.approx([fmean(found[loss].values()) for loss in ("bad", "good")])
    assert (verdict["unit"], verdict["higher_is_better"], verdict["rope"]) == ("mm", False, 0.5)
    first, second = verdict["sentences"]
    assert "on Mean absolute error (mm; plus is better, that is lower; " in first
    assert f": SquaredError {fmean(gains):+.2f} (" in first and first.endswith(") was better.")
    assert second.startswith("Cannot be told from the best: SquaredError alone; worse than the best: 0.0001 *")


def test_every_value_has_its_unit_and_chance_is_the_best_constant(folder: Path) -> None:
    study = run(folder)
    assert {row["unit"] for row in table(study)} == {"mm"}
    prepared = prepare(tiny_study(**CHANGES), folder / "again", [folder])
    cases = prepared.data[prepared.study.data[0]]
    for one in prepared.runs:
        truth = cases.labels[list(one.split(cases).fold.test)].tolist()
        best = {
            MAE: fmean(abs(y - median(truth)) for y in truth),
            RMSE: fmean((y - fmean(truth)) ** 2 for y in truth) ** 0.5,
        }
        for metric, chance in best.items():
            assert values(study, metric, "chance")["good"][str(one.seed), str(one.fold)] == pytest.approx(chance)
            assert values(study, metric)["good"][str(one.seed), str(one.fold)] < chance


def test_the_page_says_which_way_is_better_and_what_was_learned(folder: Path) -> None:
    html = (run(folder) / "report.html").read_text()
    for part in (
        "Mean absolute error, lower is better",
        "Difference (plus is better)",
        "Mean (mm)",
        "difference in Mean absolute error (mm), sign turned",
        "Lower Mean absolute error is better, so the sign is turned.",
        "Root mean square error, lower is better (mm)",
        "Mean absolute error on the inner split (mm)",
        "±0.5 mm",
        "depth in mm; learned in standard deviations from the mean of the cases fitted to",
        "learning curves alone: a quantity has no threshold",
        "value = loss(network(images), target)  # output (N, 1), in the same unit",
        "# target (N, 1): standard deviations from the mean of the training cases",
    ):
        assert part in html, part
    assert "ROC" not in html.split('<script id="plotly">')[0]


def test_the_report_as_markdown_does_too(folder: Path) -> None:
    run(folder)
    cli("report", folder / "tiny.yaml", "--markdown", folder / "tiny.md", here=folder)
    text = (folder / "tiny.md").read_text()
    assert "Mean absolute error in mm (lower is better) over 4 runs a loss" in text
    assert "(plus is better) with simultaneous 95% interval; rope 0.5 mm." in text
    assert "| Root mean square error (mm), lower is better |" in text


def test_a_study_that_goes_on_gives_the_same_table(folder: Path) -> None:
    study = run(folder)
    before = (study / "results.csv").read_bytes()
    kept = sorted((folder / "whichloss-runs/runs").glob("??/*"))
    for lost in kept[::3]:
        rmtree(lost)
    assert (run(folder) / "results.csv").read_bytes() == before


def test_a_metric_that_is_asked_for_later_is_scored_from_what_was_kept(folder: Path) -> None:
    whole = run(folder)
    expected = values(whole, RMSE)
    rmtree(folder / "whichloss-runs")
    run(folder, secondary=[])
    times = {path: path.stat().st_mtime_ns for path in folder.glob("whichloss-runs/runs/??/*/record.json")}
    assert values(run(folder), RMSE) == expected
    assert all(path.stat().st_mtime_ns == time for path, time in times.items()) and len(times) == 8


def test_a_failed_run_is_given_the_error_of_the_best_constant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing value would be no error at all, and 0 the best there is."""

    def fails(run: Run, *rest: Any) -> Trained:
        if run.loss.label == "SquaredError":
            raise Diverged("the loss is inf in epoch 1")
        return train(run, *rest)

    monkeypatch.setattr("whichloss.study.worker.train", fails)
    study = run(folder)
    assert {row["value"] for row in table(study) if "Squared" in row["loss"] and row["split"] == "test"} == {""}
    chance = values(study, split="chance")["good"]
    verdict = json.loads((study / "verdict.json").read_text())
    assert verdict["losses"][1]["failed"] == 4
    assert verdict["losses"][1]["mean"] == pytest.approx(fmean(chance.values()))
    gains = [values(study)["bad"][pair] - chance[pair] for pair in chance]
    assert verdict["comparisons"][0]["difference"] == pytest.approx(fmean(gains))


def test_the_plan_is_measured(folder: Path) -> None:
    answer = cli("run", write_study(folder, **CHANGES), "--plan", here=folder)
    assert answer.code == 0 and "= 8 runs, 0 finished" in answer.out


# the unit in which it is learned


def trained(folder: Path, depths: np.ndarray = DEPTHS, **changes: Any) -> tuple[Run, Cases, Trained]:
    write_depths(folder, depths)
    prepared = prepare(tiny_study(**CHANGES | {"losses": [GOOD], "baseline": GOOD} | changes), folder / "s", [folder])
    run, [cases] = prepared.runs[0], prepared.data.values()
    return run, cases, train(run, cases, run.split(cases), CPU)


def test_a_plain_loop_on_standardised_targets_gives_the_same_predictions(tmp_path: Path) -> None:
    run, cases, ours = trained(tmp_path)
    split = run.split(cases)
    images, depths = cases.images[list(split.fit)], DEPTHS[list(split.fit)]
    mean, sd = float(depths.mean(dtype=np.float64)), float(depths.std(dtype=np.float64))
    torch.manual_seed(run.stream("weights"))
    network = run.network.build(cases.task, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.5)
    order = torch.Generator().manual_seed(run.stream("order"))
    target = torch.from_numpy((depths - mean) / sd)
    for _ in range(12):
        for chosen in torch.randperm(len(images), generator=order).split(4):
            optimizer.zero_grad()
            (network(images[chosen])[:, 0] - target[chosen]).square().mean().backward()
            optimizer.step()
    with torch.no_grad():
        expected = network.eval()(cases.images[list(split.fold.test)]) * sd + mean
    torch.testing.assert_close(ours.test, expected, rtol=1e-3, atol=0.05)
    last = np.abs(ours.inner[:, 0].numpy() - DEPTHS[list(split.inner)]).mean()
    assert ours.curve[-1]["inner"] == pytest.approx(last, rel=1e-6)  # watched in the unit of the data
    assert ours.curve[-1]["loss"] < 1


@pytest.mark.parametrize("loss", [GOOD, "AbsoluteError()"])
def test_another_unit_gives_the_same_network(tmp_path: Path, loss: str) -> None:
    """Millimetres or thousandths of an inch from somewhere else: predictions move along, errors change their unit."""
    given = {"losses": [loss], "baseline": loss, "training": LEARN | {"stages": [{"epochs": 2, "batch": 4}]}}
    _, _, millimetres = trained(tmp_path, **given)
    _, _, others = trained(tmp_path, 32 * DEPTHS + 512, **given)
    torch.testing.assert_close(others.test, 32 * millimetres.test + 512, rtol=1e-3, atol=1.0)
    assert others.curve[-1]["inner"] == pytest.approx(32 * millimetres.curve[-1]["inner"], rel=1e-3)


def test_a_constant_quantity_does_no_harm(tmp_path: Path) -> None:
    for constant in (0.1, -7.0, 1e6):
        _, _, done = trained(tmp_path, np.full(24, constant, np.float32))
        assert done.test.isfinite().all()
        assert (done.test - constant).abs().max() < 1 + 1e-6 * abs(constant)


def test_the_scale_is_that_of_the_labels_it_is_given() -> None:
    task = Task(kind="regression", quantity="depth", size=(8, 8))
    scale = Scale.of(torch.tensor([2.0, 4.0, 6.0, 8.0]), task)
    assert (scale.mean, scale.sd) == (5.0, pytest.approx(5**0.5))
    labels = torch.tensor([5.0, 100.0])
    torch.testing.assert_close(scale.measured(scale.learned(labels)), labels)
    assert Scale.of(torch.tensor([0.1, 0.1, 0.1]), task).sd == 1.0


def test_labels_that_are_classes_stay_as_they_are() -> None:
    labels = torch.tensor([0, 1, 1])
    scale = Scale.of(labels, Task(kind="classification", classes=("no", "yes"), size=(8, 8)))
    assert scale == Scale() and scale.learned(labels) is labels and scale.measured(labels) is labels


# what does not suit


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"losses": ["Dice()"], "baseline": "Dice()"},
         "Dice is for classification, detection and segmentation, and the data ask for regression"),
        ({"losses": ["AbsoluteError() + Logistic()"], "baseline": "AbsoluteError() + Logistic()"},
         "its parts ask for different targets, and the data ask for regression"),
        ({"data": TINY["data"], "primary": "RocAuc()", "secondary": []},
         "is for regression, and the data ask for classification"),
        ({"data": TINY["data"]}, "Mean absolute error is not offered for classification: .* use Accuracy"),
        ({"primary": "RocAuc()"}, r"ROC AUC is not offered for regression: .* use MeanAbsoluteError\(\)"),
        ({"network": "UNet(width=2, depth=2)"}, "UNet is for segmentation, and the data ask for regression"),
    ],
)  # fmt: skip
def test_what_does_not_suit_is_said_before_the_first_run(folder: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        look_first(prepare(tiny_study(**CHANGES | changes), folder / "store", [folder]))


def test_sums_of_regression_losses_and_yes_no_residuals_pass(folder: Path) -> None:
    losses = ["AbsoluteError() + 0.5 * SquaredError()", "SquaredError()"]
    look_first(prepare(tiny_study(**CHANGES | {"losses": losses, "baseline": losses[0]}), folder / "a", [folder]))
    losses = ["SquaredError(of='probability')", "Logistic()"]
    look_first(prepare(tiny_study(losses=losses, baseline=losses[0]), folder / "b", [folder]))
