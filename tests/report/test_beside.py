"""Two studies side by side: both verdicts, one table, nothing decided between them."""

import re
from pathlib import Path

import pytest

from small_studies import cli, write_study, write_tiny
from whichloss.report.numerals import DASH


@pytest.fixture
def page(tmp_path: Path) -> str:
    write_tiny(tmp_path)
    plain = write_study(tmp_path, "plain", protocol="as_published")
    tuned = write_study(
        tmp_path, "tuned", losses=["Logistic()", "Lorenz()", "Hinge()"],
        tune={"trials": 2, "over": {"training.lr": "loguniform(1e-3, 1e-1)"}},
    )  # fmt: skip
    for study in (plain, tuned):
        assert cli("run", study, "--store", tmp_path / "store", "--workers", 1, here=tmp_path).code == 0
    answer = cli("report", plain, tuned, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 0, answer.err
    path = tmp_path / "store" / "studies" / "plain+tuned.html"
    assert f"side by side: {path}" in answer.out
    return path.read_text()


def test_each_study_has_its_verdict_and_its_columns(page: str):
    assert page.count('class="sentences"') == 2
    assert "plain: ROC AUC" in page and "tuned: ROC AUC" in page
    body = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert body is not None
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL)
    assert len(rows) == 3
    hinge = next(row for row in rows if "Hinge" in row)
    assert len(re.findall("<t[hd]", hinge)) == 9
    assert re.findall(r"<td[^>]*>\s*(.*?)\s*</td>", hinge)[:4] == [DASH] * 4, "the plain study has no hinge"


def test_nothing_is_fetched(page: str):
    assert not re.search(r"(src|href)=\"(?!#|data:)", page)


def test_options_of_one_study_are_refused_for_several(tmp_path: Path):
    answer = cli("report", "demo", "nuclei", "--set", "rope=0.1", "--store", tmp_path, here=tmp_path)
    assert answer.code == 2
    assert "one study" in answer.err
