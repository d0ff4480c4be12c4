"""The verdict is that of a study, the page is its page, and nothing of it needs torch."""

import hashlib
import json
import os
import shlex
import subprocess
import sys

import pytest

from small_studies import cli, execute_here, write_study, write_tiny
from whichloss.compare import Asked, compare_tables
from whichloss.compare.direction import higher_is_better
from whichloss.core import registry
from whichloss.metrics import Metric


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study that was run: two seeds of two folds, three losses."""
    monkeypatch.setattr("whichloss.study.conduct.execute", execute_here)
    write_tiny(tmp_path)
    file = write_study(
        tmp_path,
        losses=["Logistic()", "Lorenz()", "SmoothHinge(half_width=0.2)"],
        design={"folds": 2, "seeds": 2, "inner": 0.25},
    )
    answer = cli("run", file, "--store", tmp_path / "store", "--data-root", tmp_path)
    assert answer.code == 0, answer.err
    return tmp_path / "store" / "studies" / "tiny"


def test_the_same_comparisons_as_those_of_the_study_to_the_last_bit(study, tmp_path):
    words = [
        "--metric",
        "RocAuc",
        "--baseline",
        "Logistic",
        "--rope",
        "0.02",
        "--folds-redrawn",
        "--out",
        tmp_path / "c",
    ]
    answer = cli("compare", study / "results.csv", *words)
    assert answer.code == 0, answer.err
    mine, theirs = (json.loads((one / "verdict.json").read_text()) for one in (tmp_path / "c", study))
    for one in theirs["comparisons"]:
        (same,) = (other for other in mine["comparisons"] if other["loss"] == one["loss"])
        assert {**same, "label": ""} == {**one, "label": ""}
    for key in ("design", "cell", "rope", "baseline", "higher_is_better", "interim"):
        assert mine[key] == theirs[key]
    assert sorted(mine["best_set"]) == sorted(theirs["best_set"])
    assert {one["loss"]: one["mean"] for one in mine["losses"]} == {
        one["loss"]: one["mean"] for one in theirs["losses"]
    }
    page = (tmp_path / "c" / "report.html").read_text()
    assert "whichloss.parse(" in page  # the losses are ours


def test_a_comparison_of_what_it_wrote_itself(study, tmp_path):
    words = ["--metric=RocAuc", "--baseline=Logistic", "--rope=0.02", "--folds-redrawn"]
    for table, out in ((study / "results.csv", "one"), (tmp_path / "one" / "results.csv", "two")):
        assert cli("compare", table, *words, "--out", tmp_path / out).code == 0
    assert (tmp_path / "one/results.csv").read_bytes() == (tmp_path / "two/results.csv").read_bytes()
    assert (tmp_path / "one/verdict.json").read_bytes() == (tmp_path / "two/verdict.json").read_bytes()


def test_failed_runs_score_chance_and_are_shown(tmp_path):
    lines = ["loss,fold,split,auc,n_train,n_test"]
    for fold in range(4):
        lines += [f"{loss},{fold},chance,0.5,80,20" for loss in ("ce", "dice")]
        lines += [f"ce,{fold},test,{0.8 + 0.01 * fold},80,20", f"dice,{fold},test,{0.9 if fold else ''},80,20"]
    (tmp_path / "s.csv").write_text("\n".join(lines) + "\n")
    answer = cli("compare", "s.csv", "--baseline=ce", "--rope=0.01", here=tmp_path)
    assert answer.code == 1  # a run failed
    assert "Failed runs, scored as chance: dice 1 of 4." in answer.out
    assert "the table has no value" in (tmp_path / "whichloss-compare/report.html").read_text()


def test_nothing_loads_torch(tidy, nnunet, mist, luna16, tmp_path):
    """Not even a list of candidates: its FROC curve is computed without."""
    tidy()
    nnunet()
    code = (
        "import sys, shlex\n"
        "from whichloss.cli.main import main\n"
        "sys.argv = ['whichloss', *shlex.split(sys.argv[1])]\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, *sorted({'torch', 'pandas', 'sklearn'} & set(sys.modules)))"
    )
    rest = ["--n-train=rest"]
    for words in (
        ["scores.csv", "--metric=dice"],
        ["ce=ce/fold_*/validation/summary.json", "dice=dice/fold_*/validation/summary.json", *rest],
        shlex.split(
            "ce=ce.csv dice=dice.csv --annotations=annotations.csv --cases=scans.csv --metric=CPM --n-train=rest"
        ),
    ):
        line = shlex.join(["compare", *words, "--baseline=ce", "--rope=0.01"])
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        done = subprocess.run(
            [sys.executable, "-c", code, line], capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert done.stdout.splitlines()[-1] == "0", done.stdout + done.stderr


def test_the_page_names_files_and_does_not_name_python(tidy, tmp_path):
    path = tidy()
    assert cli("compare", "scores.csv", "--baseline=ce", "--rope=0.01", here=tmp_path).code == 0
    page = (tmp_path / "whichloss-compare/report.html").read_text()
    body = page[: page.index('id="plotly"')]
    assert hashlib.sha256(path.read_bytes()).hexdigest() in body
    assert "whichloss compare scores.csv \\\n    --baseline ce \\\n    --rope 0.01\n" in body
    assert "PyTorch" not in body and "import whichloss" not in body


def test_names_cannot_write_html(tidy, tmp_path):
    evil = "<script>alert(1)</script>"
    tidy(names=("ce", evil))
    answer = cli(
        "compare", "scores.csv", "--baseline=ce", "--rope=0.01", "--name", evil, "--question", evil, here=tmp_path
    )
    assert answer.code == 0
    page = (tmp_path / "whichloss-compare/report.html").read_text()
    assert evil not in page and "&lt;script&gt;alert(1)" in page


def test_from_python(tidy):
    compared = compare_tables(Asked(tables=(str(tidy()),), baseline="ce", rope=0.01))
    assert compared.verdict.best_set == ("dice",)
    assert compared.failed == 0 and len(compared.rows) == 10


def test_directions_by_name_are_those_of_the_metrics():
    """Where a name says anything it must not be the opposite; a comparison by a wrong direction is worse than none."""
    for cls in registry(Metric).values():
        if cls.__module__.startswith("whichloss."):
            for metric in cls.examples():
                assert higher_is_better(repr(metric)) is metric.card.higher_is_better


def test_the_command_on_the_page_asks_the_same(tidy, tmp_path):
    tidy(names=("ce", "Tversky(fp=0.3, fn=0.7)"), header="loss,fold,x y,n_train,n_test")
    text = (tmp_path / "scores.csv").read_text().replace("Tversky(fp=0.3, fn=0.7)", '"Tversky(fp=0.3, fn=0.7)"')
    (tmp_path / "scores.csv").write_text(text)
    asked = Asked(
        tables=(str(tmp_path / "scores.csv"),), baseline="ce", rope=0.01, higher_is_better=False, design="fixed"
    )
    compared = compare_tables(asked)
    words = shlex.split(compared.record.study_text.replace("\\\n", " "))
    answer = cli(*words[1:], "--out", tmp_path / "again")
    assert answer.code == 0, answer.err
    assert json.loads((tmp_path / "again/verdict.json").read_text()) == compared.verdict.to_json()
