"""A study with runs missing for one loss, through a real store: everything that is written says so, and no cell is
compared with another that it does not share fold and seed with."""

import csv
import json
import shutil
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from dom import Dom

from small_studies import cli, write_study, write_tiny

LOSSES = ["Logistic()", "Lorenz()", "Hinge()"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three losses in four folds; then two of Lorenz's runs are gone from the store, and the report is made anew."""
    home = tmp_path_factory.mktemp("interim")
    write_tiny(home, cases=48)
    study = write_study(home, losses=LOSSES, design={"folds": 4, "seeds": 1, "inner": 0.25}, secondary=["Accuracy()"])
    answer = cli("run", study, "--store", home / "store", "--workers", 1, here=home)
    assert answer.code == 0, answer.err
    shutil.copytree(home / "store" / "studies" / "tiny", home / "whole")
    runs = []
    for record in (home / "store" / "runs").glob("*/*/record.json"):
        spec = json.loads(record.read_text())["spec"]
        if spec["loss"].startswith("Lorenz") and spec["fold"] in (1, 3):
            runs.append(record.parent)
    assert len(runs) == 2
    for run in runs:
        shutil.rmtree(run)
    answer = cli("report", study, "--store", home / "store", "--paper", home / "paper", here=home)
    assert answer.code == 0, answer.err
    (home / "said.txt").write_text(answer.out)
    return home


def verdict(home: Path) -> dict[str, Any]:
    return json.loads((home / "store" / "studies" / "tiny" / "verdict.json").read_text())


def test_nothing_is_interim_before(home: Path) -> None:
    whole = json.loads((home / "whole" / "verdict.json").read_text())
    assert not whole["interim"]
    assert "Interim" not in Dom((home / "whole" / "report.html").read_text()).visible


def test_everything_that_is_written_says_so(home: Path) -> None:
    found = verdict(home)
    assert found["interim"]
    assert all(sentence.startswith("(Interim)") for sentence in found["sentences"])
    visible = Dom((home / "store" / "studies" / "tiny" / "report.html").read_text()).visible
    assert "Interim. Not every planned run is finished" in " ".join(visible.split())
    assert "(Interim)" in (home / "said.txt").read_text()
    paper = home / "paper"
    assert "Interim: not every planned run is finished" in (paper / "interim-methods.md").read_text()
    assert "interim: runs are missing" in (paper / "interim-overview.tex").read_text()
    assert "Interim: runs are missing" in (paper / "interim-differences.svg").read_text()


def test_only_pairs_that_share_fold_and_seed_are_compared(home: Path) -> None:
    """Against results.csv, pair by pair."""
    scores: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    with (home / "store" / "studies" / "tiny" / "results.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["metric"] == "RocAuc()" and row["split"] == "test":
                scores[row["loss"].split("(")[0]][row["seed"], row["fold"]] = float(row["value"])
    assert {loss: len(one) for loss, one in scores.items()} == {"Logistic": 4, "Lorenz": 2, "Hinge": 4}
    for one in verdict(home)["comparisons"]:
        own, base = scores[one["label"]], scores["Logistic"]
        shared = sorted(set(own) & set(base))
        assert one["pairs"] == len(shared) == (2 if one["label"] == "Lorenz" else 4)
        assert one["difference"] == pytest.approx(fmean(own[pair] - base[pair] for pair in shared), abs=1e-12)


def test_what_is_uneven_is_marked_on_the_page(home: Path) -> None:
    """Means over different runs stand beside each other in descriptive tables and curves: each says of how many."""
    dom = Dom((home / "store" / "studies" / "tiny" / "report.html").read_text())
    assert "(n = 2)" in dom.texts["other-0"]
    legends = dom.texts["curves"].count("(n = 2)"), dom.texts["curves"].count("(n = 4)")
    assert legends[0] >= 2 and legends[1] == 2 * legends[0]  # learning and ROC curves; one loss of two, two of four
    assert [one["runs"] for one in verdict(home)["losses"]] == [4, 2, 4]
