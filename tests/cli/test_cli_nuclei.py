"""The shipped study of nuclei, from its name to the table in the documentation, on images of the same form.

Everything that is written is worked out again from the rows of results.csv, by code that shares nothing with ours.
"""

import csv
import json
import re
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.stats import t

from small_studies import SMALL_NUCLEI, cli, write_nuclei

LABELS = [
    "Dice(over='batch', smooth=0.5)",
    "Jaccard(over='batch')",
    "Tversky(over='batch')",
    "Focal(alpha=0.25)",
    "0.25 * CrossEntropy + 0.5 * Dice(over='batch', smooth=0.5)",
    "AdaptiveLog(Dice(over='batch', smooth=0.5))",
]
METRICS = ["Jaccard", "Dice", "Recall", "Specificity"]


@dataclass
class Made:
    folder: Path
    out: str
    rows: list[dict[str, str]]
    verdict: dict[str, Any]
    text: str

    def values(self, loss: str, metric: str) -> dict[tuple[str, str], float]:
        """By seed and fold."""
        return {
            (row["seed"], row["fold"]): float(row["value"])
            for row in self.rows
            if (row["loss"], row["metric"], row["split"]) == (loss, metric, "test")
        }

    @property
    def primary(self) -> str:
        return self.verdict["primary"]

    @property
    def losses(self) -> list[str]:
        return [one["loss"] for one in self.verdict["losses"]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The one study that is run with worker processes here."""
    folder = tmp_path_factory.mktemp("nuclei")
    data = folder / "data"
    data.mkdir()
    write_nuclei(data)
    changes = [word for change in SMALL_NUCLEI for word in ("--set", change)]
    arguments = ["nuclei", "--data-root", data, "--store", folder / "store", "--name", "small", *changes]
    ran = cli("run", *arguments, here=folder)
    assert ran.code == 0, ran.err
    page = folder / "docs" / "nuclei.md"
    reported = cli("report", *arguments, "--markdown", page, here=folder)
    assert (reported.code, reported.out, reported.err) == (0, ran.out, "")
    home = folder / "store" / "studies" / "small"
    with (home / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return Made(folder, ran.out, rows, json.loads((home / "verdict.json").read_text()), page.read_text())


def tables(text: str) -> list[list[dict[str, str]]]:
    """The tables of a page of Markdown."""
    found: list[list[dict[str, str]]] = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, rule, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        assert all(set(cell) == {"-"} for cell in rule) and len(rule) == len(head)
        found.append([dict(zip(head, line, strict=True)) for line in lines])
    return found


def test_every_run_and_metric_is_a_row(made: Made) -> None:
    assert len(made.rows) == 6 * 2 * 2 * len(METRICS) * 2  # losses, folds, thresholds, metrics; measured and chance
    assert [one["label"] for one in made.verdict["losses"]] == LABELS
    assert {row["metric"].partition("(")[0] for row in made.rows} == set(METRICS)
    assert {row["study"] for row in made.rows} == {"small"}
    assert all(int(row["n_train"]) + int(row["n_test"]) == 23 for row in made.rows), "two of 24 are one group"
    assert made.rows == sorted(
        made.rows, key=lambda row: (row["metric"], row["loss"], row["seed"], row["fold"], row["split"])
    )


def test_the_page_repeats_question_sentences_and_warnings(made: Made) -> None:
    lines = [line.strip() for line in made.text.splitlines()]
    assert lines[0] == "# small"
    assert f"**{made.verdict['question']}**" in lines
    assert "adaptive logarithmic loss" in made.verdict["question"]
    for sentence in made.verdict["sentences"]:
        assert sentence in lines and sentence in made.out
    for warning in made.verdict["warnings"]:
        assert f"*{warning}*" in lines


def test_means_and_spreads_are_those_of_the_results(made: Made) -> None:
    table = tables(made.text)[0]
    assert [row["loss"] for row in table] == [f"`{label}`" for label in LABELS]
    for row, loss in zip(table, made.losses, strict=True):
        values = list(made.values(loss, made.primary).values())
        assert len(values) == 2
        assert float(row["mean"]) == pytest.approx(fmean(values), abs=5.1e-5)
        assert float(row["sd"]) == pytest.approx(stdev(values), abs=5.1e-5)
        assert row["failed"] == "0"
    assert "over 2 runs a loss" in made.text and "rope 0.01" in made.text


def test_differences_intervals_and_decisions_follow_from_the_results(made: Made) -> None:
    """Nadeau and Bengio, with Bonferroni over the five comparisons."""
    baseline = made.values(made.verdict["baseline"], made.primary)
    ratio = fmean(int(row["n_test"]) for row in made.rows) / fmean(int(row["n_train"]) for row in made.rows)
    table = dict(zip(made.losses, tables(made.text)[0], strict=True))
    assert table[made.verdict["baseline"]]["decision"] == "baseline"
    assert table[made.verdict["baseline"]]["difference"] == ""
    for loss in made.losses[1:]:
        differences = [value - baseline[pair] for pair, value in made.values(loss, made.primary).items()]
        mean, pairs = fmean(differences), len(differences)
        error = sqrt(stdev(differences) ** 2 * (1 / pairs + ratio))
        reach = float(t.ppf(1 - 0.05 / 5 / 2, pairs - 1)) * error
        low, high = mean - reach, mean + reach
        rope = 0.01
        decision = (
            "equal" if -rope <= low and high <= rope else "better" if low > 0 else "worse" if high < 0 else "undecided"
        )
        shown = table[loss]
        assert float(shown["difference"]) == pytest.approx(mean, abs=5.1e-5)
        assert [float(end) for end in shown["interval"].split(" to ")] == pytest.approx([low, high], abs=5.1e-5)
        assert shown["decision"] == decision
    best = set(made.verdict["best_set"])
    column = "cannot be told from the best"
    assert {loss for loss in made.losses if table[loss][column] == "yes"} == best
    assert {table[loss][column] for loss in made.losses} <= {"yes", "no"}


def test_the_second_table_holds_the_means_of_the_other_metrics(made: Made) -> None:
    table = tables(made.text)[1]
    names = {row["metric"] for row in made.rows} - {made.primary}
    head, *columns = table[0]
    assert head == "loss" and len(columns) == len(names) == 7
    for loss, row in zip(made.losses, table, strict=True):
        expected = sorted(fmean(made.values(loss, name).values()) for name in names)
        assert sorted(float(row[column]) for column in columns) == pytest.approx(expected, abs=5.1e-5)
    titles = {"Dice": "Dice(", "Recall (sensitivity)": "Recall(", "Specificity": "Specificity("}
    for column in columns:
        title, natural, _ = column.partition(" at the natural threshold")
        (name,) = [
            name
            for name in {*names, made.primary}
            if name.startswith(titles.get(title, "Jaccard(")) and ("'natural'" in name) == bool(natural)
        ]
        for loss, row in zip(made.losses, table, strict=True):
            assert float(row[column]) == pytest.approx(fmean(made.values(loss, name).values()), abs=5.1e-5)


def test_the_page_says_what_was_done_on_what(made: Made) -> None:
    for words in (
        "(24 cases)",
        "dsb2018_128.npz",
        "UNet(width=2, depth=2, dropout=0.0)",
        "Adam(lr=0.003)",
        "cosine",
        "1 epochs of batch 8",
        "s a run",
    ):
        assert words in made.text


def test_a_value_is_that_of_the_outputs_that_were_kept(made: Made) -> None:
    """Jaccard at the natural threshold from logits and labels in the store: the mean over images."""
    natural = next(row["metric"] for row in made.rows if re.search(r"^Jaccard.*'natural'", row["metric"]))
    for row in (row for row in made.rows if (row["metric"], row["split"]) == (natural, "test")):
        outputs = load_file(made.folder / "store" / "runs" / row["run"][:2] / row["run"] / "outputs.safetensors")
        said, truth = outputs["test"][:, 0] > 0, outputs["test_labels"] == 1
        both, either = (said & truth).sum((1, 2)), (said | truth).sum((1, 2))
        assert float(row["value"]) == pytest.approx(np.where(either == 0, 1, both / np.maximum(either, 1)).mean())
        stored = np.load(made.folder / "data" / "dsb2018_128.npz")
        assert np.array_equal(truth, stored["masks"][outputs["test_cases"]] == 1)


def test_near_duplicates_are_never_on_two_sides(made: Made) -> None:
    groups = np.load(made.folder / "data" / "dsb2018_128.npz")["dup_group"]
    for row in made.rows:
        outputs = load_file(made.folder / "store" / "runs" / row["run"][:2] / row["run"] / "outputs.safetensors")
        tested, chosen = set(groups[outputs["test_cases"]]), set(groups[outputs["inner_cases"]])
        assert not tested & chosen and len(tested) == int(row["n_test"])


def test_each_run_has_a_record_of_its_own_machine_and_start(made: Made) -> None:
    records = [json.loads(path.read_text()) for path in (made.folder / "store" / "runs").rglob("record.json")]
    assert len(records) == 12
    streams = {(one["spec"]["fold"], json.dumps(one["streams"])) for one in records}
    assert len(streams) == 2, "all losses of a fold begin alike"
    assert len({json.dumps(one["beside"], sort_keys=True) for one in records}) == 1
    assert all(one["seconds"] > 0 and len(one["curve"]) == 1 for one in records)
