"""The verdict, its sentences and the page's table, recomputed from results.csv alone by code that shares nothing."""

import csv
import json
import math
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import t as student

from whichloss.study.conduct import conduct
from whichloss.study.read import read_study

LABELS = {"Logistic": "Logistic", "SmoothHinge": "SmoothHinge", "Lorenz": "Lorenz", "Tangent": "Tangent"}
SMALL = [
    "data=Nodules(cases=120, size=26)",
    "network=SmallConvNet(width=4, depth=2)",
    "design={folds: 3, seeds: 3}",
    "training={optimizer: Adam(lr=0.005), stages: [{epochs: 12, batch: 16}]}",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module", params=["Logistic()", "Tangent()"])
def done(request: pytest.FixtureRequest, store: Path) -> tuple[Path, str]:
    """The demo with three seeds, and again from the same runs with another baseline."""
    study = read_study("demo", [*SMALL, f"baseline={request.param}"], name="demo-small")
    conducted = conduct(study, store)
    assert conducted.failed == 0
    return conducted.report.parent, request.param[:-2]


def recompute(folder: Path, baseline: str, rope: float) -> dict[str, Any]:
    """Steps 1 to 6 of the procedure in plain loops."""
    scores: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    sizes = []
    with (folder / "results.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["metric"] == "RocAuc()" and row["split"] == "test":
                scores[row["loss"].split("(")[0]][row["seed"], row["fold"]] = float(row["value"])
                sizes.append((int(row["n_train"]), int(row["n_test"])))
    assert {len(one) for one in scores.values()} == {9}
    overlap = (sum(test for _, test in sizes) / len(sizes)) / (sum(train for train, _ in sizes) / len(sizes))

    def paired(first: str, second: str) -> tuple[float, float]:
        differences = [scores[first][pair] - scores[second][pair] for pair in sorted(scores[first])]
        mean = sum(differences) / 9
        variance = sum((d - mean) ** 2 for d in differences) / 8
        return mean, math.sqrt(variance * (1 / 9 + overlap))

    others = [loss for loss in LABELS if loss != baseline]
    found: dict[str, Any] = {"means": {}, "comparisons": {}, "best": []}
    for loss in LABELS:
        values = list(scores[loss].values())
        mean = sum(values) / 9
        found["means"][loss] = (mean, math.sqrt(sum((value - mean) ** 2 for value in values) / 8))
    for loss in others:
        mean, error = paired(loss, baseline)
        reach = student.ppf(1 - 0.05 / (2 * len(others)), 8) * error
        low, high = mean - reach, mean + reach
        decisions = []
        for size in (rope, rope / 2, 2 * rope):
            inside = -size <= low and high <= size
            decisions.append("equal" if inside else "better" if low > 0 else "worse" if high < 0 else "undecided")
        found["comparisons"][loss] = (mean, error, low, high, *decisions)
    for loss in LABELS:
        beaten = False
        for rival in LABELS:
            if rival != loss:
                mean, error = paired(rival, loss)
                beaten |= mean - student.ppf(1 - 0.05 / (len(LABELS) - 1), 8) * error > 0
        if not beaten:
            found["best"].append(loss)
    return found


def sentences(found: dict[str, Any], baseline: str, rope: float) -> list[str]:
    """What must be said, put together from the words of the design."""

    def number(value: float) -> str:
        text = f"{value:+.3f}"
        return text[1:] if float(text) == 0 else text

    def listed(words: list[str]) -> str:
        return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]

    groups: dict[str, list[str]] = {"better": [], "equal": [], "worse": [], "undecided": []}
    for loss, (mean, _, low, high, decision, *_) in found["comparisons"].items():
        groups[decision].append(f"{loss} {number(mean)} ({number(low)} to {number(high)})")
    key = "(plus is better; simultaneous 95 % intervals in brackets)"
    parts = []
    for decision, words in (("better", "better"), ("equal", f"equal to within {rope:.3f}"), ("worse", "worse")):
        if groups[decision]:
            parts.append(f"{listed(groups[decision])} {'was' if len(groups[decision]) == 1 else 'were'} {words}")
    if parts:
        if groups["undecided"]:
            parts.append(f"nothing was shown for {listed(groups['undecided'])}")
        first = f"Compared with {baseline} on ROC AUC {key}: {'; '.join(parts)}."
    else:
        first = f"Nothing was shown against {baseline} on ROC AUC {key}: {listed(groups['undecided'])}."
    out = [loss for loss in LABELS if loss not in found["best"]]
    alone = " alone" if len(found["best"]) == 1 else ""
    rest = f"worse than the best: {', '.join(out)}" if out else "none was shown to be worse than the best"
    return [first, f"Cannot be told from the best: {', '.join(found['best'])}{alone}; {rest}."]


class Cells(HTMLParser):
    """The rows of one table: its texts, and the exact number behind each rounded one."""

    def __init__(self, table: str) -> None:
        super().__init__()
        self.table, self.inside = table, False
        self.rows: list[dict[str, list[Any]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "table":
            self.inside = given.get("id") == self.table
        elif tag == "tr" and self.inside:
            self.rows.append({"numbers": [], "texts": []})
        elif tag == "data" and self.inside:
            self.rows[-1]["numbers"].append(float(given["value"] or "nan"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside and self.rows and data.strip():
            self.rows[-1]["texts"].append(data.strip())


def test_the_verdict_and_its_sentences(done: tuple[Path, str]):
    folder, baseline = done
    verdict = json.loads((folder / "verdict.json").read_text())
    found = recompute(folder, baseline, verdict["rope"])
    assert verdict["rope"] == 0.02
    assert verdict["baseline"].startswith(baseline)
    assert verdict["sentences"] == sentences(found, baseline, 0.02)
    assert [one.split("(")[0] for one in verdict["best_set"]] == found["best"]
    assert not verdict["interim"]
    for one in verdict["losses"]:
        assert (one["mean"], one["sd"]) == pytest.approx(found["means"][one["label"]], rel=1e-9)
        assert (one["runs"], one["failed"]) == (9, 0)
        assert one["in_best_set"] == (one["label"] in found["best"])
    assert len(verdict["comparisons"]) == 3
    for one in verdict["comparisons"]:
        mean, error, low, high, decision, half, double = found["comparisons"][one["label"]]
        numbers = (one["difference"], one["standard_error"], one["low"], one["high"])
        assert numbers == pytest.approx((mean, error, low, high), rel=1e-9)
        assert (one["decision"], one["decision_half_rope"], one["decision_double_rope"]) == (decision, half, double)
        assert (one["pairs"], one["df"]) == (9, 8)


def test_the_table_of_the_page(done: tuple[Path, str]):
    folder, baseline = done
    found = recompute(folder, baseline, 0.02)
    html = (folder / "report.html").read_text()
    table = Cells("overview")
    table.feed(html)
    rows = {row["texts"][0]: row for row in table.rows[1:]}
    assert set(rows) == set(LABELS)
    for loss, row in rows.items():
        mean, sd = found["means"][loss]
        expected = [mean, sd, 9, 0]
        if loss != baseline:
            difference, _, low, high, decision, half, double = found["comparisons"][loss]
            expected += [difference, low, high]
            words = " ".join(row["texts"])
            assert words.count(decision) >= (decision == half) + (decision == double) + 1
        assert row["numbers"] == pytest.approx(expected, rel=1e-9)
        assert row["texts"][-1] == ("yes" if loss in found["best"] else "no")
    for sentence in sentences(found, baseline, 0.02):
        assert sentence.split(":")[0] in html


def test_the_page_needs_no_network(done: tuple[Path, str]):
    html = (done[0] / "report.html").read_text()
    assert "default-src 'none'" in html
    body = html.split('<script id="plotly">')[0]
    for word in ('src="http', "src='http", "@import", "url(http", '<link rel="stylesheet"'):
        assert word not in body
    assert len(html) < 8 * 2**20
