"""What stands beside the verdict, as it is read on the page and in a paper."""

import csv
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from stats_tables import grid, plan_of, rows_of
from supplements import NASTY, everything

from whichloss.report import Record, page
from whichloss.report.inks import inks
from whichloss.report.paper import methods, write_paper
from whichloss.report.part import Part, chance
from whichloss.report.supplement import parts
from whichloss.report.words import meaning
from whichloss.stats import Axis, Course, endurance_of, judge, pace_of, supplement_of


def shown(verdict: Mapping[str, Any]) -> dict[str, Part]:
    ink = inks([loss["label"] for loss in verdict["losses"]], verdict["baseline_label"])
    return {part.id: part for part in parts(verdict, ink)}


class Section(HTMLParser):
    """The text of the section, and the tags in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.depth, self.text, self.tags = 0, "", []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "section" and (self.depth or dict(attrs).get("id") == "beside"):
            self.depth += 1
        if self.depth:
            self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "section" and self.depth:
            self.depth -= 1

    def handle_data(self, data: str) -> None:
        if self.depth:
            self.text += data


@pytest.fixture
def full(record: Record) -> Record:
    return replace(record, verdict=everything(), results=(), curves=())


def test_everything_is_on_the_page_and_nothing_is_markup(full: Record) -> None:
    html = page(full)
    section = Section(html)
    titles = ["What would settle it", "Had we chosen otherwise", "With new patients", "Within subgroups",
              "P values and beliefs", "What makes the differences vary", "As the data get harder",
              "How soon each loss learns", "Over all data sets"]  # fmt: skip
    where = [section.text.index(title) for title in titles]
    assert where == sorted(where)
    assert "script" not in section.tags and NASTY in section.text and NASTY not in html
    assert html.index('id="every-loss"') < html.index('id="beside"') < html.index('id="failed-runs"')
    undecided = [c["label"] for c in full.verdict["comparisons"] if c["decision"] == "undecided"]
    if undecided:
        assert 'href="#outlook"' in html
    assert json.loads(re.findall(r'id="verdict">(.*?)</script>', html)[0])["supplement"] == full.verdict["supplement"]


def test_every_number_of_json_is_in_a_table(full: Record) -> None:
    beside, found = full.verdict["supplement"], shown(full.verdict)

    def exact(part: str) -> set[float]:
        cells = [cell for one in found[part].tables for row in one.rows for cell in row]
        return {piece.value for cell in cells for piece in cell.pieces if not isinstance(piece, str)}

    for one in beside["secondaries"]:
        keys = ("t", "df", "p", "p_holm", "better", "equal", "worse", "p_wilcoxon")
        assert {one[key] for key in keys} <= exact("tests")
    for one in beside["patients"]["losses"]:
        for part in filter(None, (one["value"], one["difference"])):
            assert {part[key] for key in ("value", "low", "high")} <= exact("patients")
    for one in beside["stress"][0]["losses"]:
        assert {one[key] for key in ("area", "low", "high", "pairs")} <= exact("stress")
    assert set(beside["ranking"]["mean_ranks"]) <= exact("ranking")
    for one in beside["pace"]["clocks"]["steps"]:
        assert one["median"] in exact("pace")


def test_every_column_says_what_it_holds(full: Record) -> None:
    for part in shown(full.verdict).values():
        assert part.lines or part.listed, part.id
        for one in part.tables:
            assert all(meaning(title, one.notes) for title, _ in one.head), one.head
            assert len({title for title, _ in one.head}) == len(one.head)
            assert {len(row) for row in one.rows} == {len(one.head)}


def test_decisions_that_differ_are_marked_in_words(full: Record) -> None:
    verdict = everything(("A", "B", "C"), rope=0.03)
    rows = verdict["supplement"]["sensitivity"]
    rows[0].update(decision="better", half_rope="better", double_rope="undecided")
    rows[1].update(decision="equal", half_rope="equal", double_rope="equal")
    (one,) = shown(verdict)["sensitivity"].tables
    cells = [["".join(str(piece) for piece in cell.pieces) for cell in row] for row in one.rows]
    assert cells[0][3] == "undecided, differs" and not any("differs" in cell for cell in cells[1])
    assert shown(verdict)["sensitivity"].lines[0].endswith("It would have been another for B.")


def test_too_few_and_reasons_are_sentences(full: Record) -> None:
    found = shown(full.verdict)
    (groups,) = found["subgroups"].tables
    assert [cell.pieces for row in groups.rows for cell in row[2:]] == [("too few to say",)] * 3
    verdict = everything(data_sets=3)
    assert shown(verdict)["ranking"].lines[0].startswith("No ranks: 3 data sets are too few")
    assert shown(verdict)["ranking"].figure is None
    assert "ranking" not in shown(everything(data_sets=1))
    bare = dict(verdict)
    bare["supplement"] = {**verdict["supplement"], "pace": None, "patients": None, "subgroups": [], "stress": []}
    assert {"pace", "patients", "subgroups", "stress"}.isdisjoint(shown(bare))


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ({"A": {(0, 0): 0.7}, "B": {(0, 0): 0.8}}, "B: rests on one pair, from which no spread can be told"),
        ({"A": dict.fromkeys(grid(2, 3), 0.7), "B": dict.fromkeys(grid(2, 3), 0.7)}, "is decided"),
        ({"A": dict.fromkeys(grid(2, 3), 0.7), "B": {}}, "B: no run of it shares fold and seed with one of A yet"),
        (
            {"A": {pair: 0.7 + 0.01 * sum(pair) for pair in grid(3, 3)},
             "B": {pair: None if pair == (0, 0) else 0.9 + 0.01 * sum(pair) * pair[0] for pair in grid(3, 3)}},
            "B: undecided because of failed runs",
        ),
    ],
)  # fmt: skip
def test_what_would_settle_it_where_no_seed_would(record: Record, scores: Any, says: str) -> None:
    rows, plan = rows_of(scores), plan_of()
    verdict = replace(judge(rows, plan), supplement=supplement_of(rows, plan)).to_json()
    (line,) = shown(verdict)["outlook"].listed
    assert says in line
    assert says.replace("'", "&#39;") in page(replace(record, verdict=verdict, results=(), curves=()))


def test_an_unfinished_study_says_so() -> None:
    verdict = everything(pairs=20)
    assert verdict["interim"] and shown(verdict)["outlook"].lines[0].startswith("Runs are still missing")


def test_lower_is_better_is_said_where_signs_are_turned() -> None:
    verdict = everything(("A", "B", "C"), higher_is_better=False)
    heads = {title for part in shown(verdict).values() for one in part.tables for title, _ in one.head}
    assert "Difference (plus is better)" in heads and "Difference" not in heads
    assert "lower is better" in shown(verdict)["subgroups"].lines[0]


def test_no_spread_and_no_stress() -> None:
    same = {loss: dict.fromkeys(grid(2, 3), 0.7) for loss in "AB"}
    rows, plan = rows_of(same), plan_of()
    broken = [endurance_of(rows, plan, Axis("noise", "", {0.0: "", 0.2: "n"}))]
    beside = replace(supplement_of(rows, plan), stress=tuple(broken))
    found = shown(replace(judge(rows, plan), supplement=beside).to_json())
    assert found["tests"].lines[1] == "No t and p where differences have no spread at all: B."
    assert found["stress"].lines == ("Under noise: not every level has been run yet: 0.2.",)
    assert "stress-0" not in {one.id for part in found.values() for one in part.tables}


def test_one_pair_is_no_test_and_one_run_no_interval() -> None:
    rows, plan = rows_of({"A": {(0, 0): 0.7}, "B": {(0, 0): 0.8}}), plan_of()
    courses = [Course(loss, (0.5, 0.8), (4.0, 8.0), (1.0, 2.0)) for loss in "AB"]
    beside = supplement_of(rows, plan, pace=pace_of(courses, plan, "ROC AUC", "", True))
    found = shown(replace(judge(rows, plan), supplement=beside).to_json())
    assert found["tests"].tables == () and "two independent pieces" in found["tests"].lines[0]
    assert found["tests"].methods == found["variation"].methods == found["outlook"].methods == ""
    (table,) = found["pace"].tables
    assert not [piece for row in table.rows for cell in row for piece in cell.pieces if "[" in str(piece)]


def test_the_rule_is_as_long_as_the_critical_difference(full: Record) -> None:
    figure, ranking = shown(full.verdict)["ranking"].figure, full.verdict["supplement"]["ranking"]
    assert figure is not None and "Critical" in figure.title
    rule = next(one for one in figure.layout["shapes"] if one["line"]["width"] == 2)
    assert rule["x1"] - rule["x0"] == pytest.approx(ranking["critical_difference"])
    assert [trace["x"] for trace in figure.data] == [[mean] for mean in ranking["mean_ranks"]]
    assert not [note for note in figure.layout["annotations"] if "<script" in note["text"]]
    bars = [one for one in figure.layout["shapes"] if one["line"]["width"] == 5]
    assert len(bars) == sum(len(group) > 1 for group in ranking["groups"])


def test_for_a_paper(full: Record, tmp_path: Path) -> None:
    write_paper(full, tmp_path)
    for name in ("sensitivity", "new-patients", "subgroups", "secondary", "variation", "stress-0", "pace", "ranks"):
        assert all((tmp_path / f"{name}.{ending}").stat().st_size for ending in ("csv", "md", "tex")), name
    assert (tmp_path / "critical-difference.svg").exists() and (tmp_path / "critical-difference.pdf").exists()
    with (tmp_path / "secondary.csv").open() as file:
        rows = {row["Loss"]: row for row in csv.DictReader(file)}
    for one in full.verdict["supplement"]["secondaries"]:
        assert float(rows[one["label"]]["p (Holm)"]) == one["p_holm"]


def test_methods_tell_only_what_is_reported(full: Record, with_verdict: Callable[..., Record]) -> None:
    told = methods(full)
    for word in ("Holm", "bootstrap", "analysis of variance", "Kaplan", "Friedman", "Subgroups", "label noise"):
        assert word.lower() in told.lower(), word
    bare = {**full.verdict["supplement"], "pace": None, "patients": None, "subgroups": [], "stress": [],
            "ranking": None, "variation": []}  # fmt: skip
    short = methods(replace(full, verdict={**full.verdict, "supplement": bare}))
    for word in ("bootstrap", "Kaplan", "Friedman", "subgroups", "label noise", "analysis of variance"):
        assert word not in short, word
    assert "Holm" in short and "Holm" not in methods(with_verdict())


@pytest.mark.parametrize(
    ("p", "text"), [(0.0321, "0.032"), (1e-9, "< 0.001"), (0.99999, "> 0.999"), (0.0, "0.000"), (1.0, "1.000")]
)
def test_chances_are_not_rounded_to_certainty(p: float, text: str) -> None:
    assert chance(p).text == text and chance(p).value == p
