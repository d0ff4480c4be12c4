"""Beside the verdict on scores that were computed elsewhere: what the tables can tell, counted again."""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from scipy import stats

from small_studies import cli

FOLDS, CASES, DRAWS = 4, 6, 2000


def score(loss: str, fold: int, case: int) -> float:
    """Two cases of a patient; hard cases are hard for both losses."""
    hard = np.random.default_rng([fold, case // 2]).normal(0.7, 0.1)
    own = np.random.default_rng([fold, case, len(loss)]).normal(0, 0.03)
    return float(hard + own + (0.02 if loss == "dice" else 0))


def write(folder: Path, metric: str = "dice", sign: int = 1) -> None:
    lines = [f"loss,fold,case,patient,{metric}"]
    lines += [f"{loss},{fold},c{fold}{case},p{fold}{case // 2},{sign * score(loss, fold, case)!r}"
              for loss in ("ce", "dice") for fold in range(FOLDS) for case in range(CASES)]  # fmt: skip
    (folder / "s.csv").write_text("\n".join(lines) + "\n")


def beside(folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    answer = cli("compare", "s.csv", "--baseline=ce", "--rope=0.01", "--n-train=rest", *options, here=folder)
    assert answer.code == 0, answer.err
    out = folder / "whichloss-compare"
    return json.loads((out / "verdict.json").read_text())["supplement"], (out / "report.html").read_text()


@pytest.mark.parametrize("sign", [1, -1])
def test_cases_are_drawn_by_patient(tmp_path: Path, sign: int) -> None:
    write(tmp_path, "dice" if sign > 0 else "hd95", sign)
    found, page = beside(tmp_path)
    patients = [(fold, pair) for fold in range(FOLDS) for pair in range(CASES // 2)]
    drawn = np.random.default_rng(0).multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=DRAWS)
    means = {}
    for loss in ("ce", "dice"):
        sums = np.array([score(loss, fold, 2 * pair) + score(loss, fold, 2 * pair + 1) for fold, pair in patients])
        means[loss] = sums.sum() / 24, (drawn @ sums) / 24
    difference = means["dice"][1] - means["ce"][1]
    ce, dice = found["patients"]["losses"]
    assert found["patients"]["patients"] == 12 and ce["difference"] is None and ce["runs"] == FOLDS
    assert ce["value"]["value"] == pytest.approx(sign * means["ce"][0])
    assert dice["difference"]["value"] == pytest.approx(means["dice"][0] - means["ce"][0])
    assert dice["difference"]["standard_error"] == pytest.approx(difference.std(ddof=1))
    ends = np.quantile(difference, [0.025, 0.975])
    assert (dice["difference"]["low"], dice["difference"]["high"]) == pytest.approx(tuple(ends))
    titles = ("With new patients", "P values and beliefs", "What would settle it", "What makes the differences vary")
    assert all(title in page for title in titles)


def test_tests_are_those_of_scipy(tmp_path: Path) -> None:
    write(tmp_path)
    found, _ = beside(tmp_path)
    d = [fmean(score("dice", fold, case) - score("ce", fold, case) for case in range(CASES)) for fold in range(FOLDS)]
    t = fmean(d) / np.sqrt(np.var(d, ddof=1) * (1 / FOLDS + 1 / (FOLDS - 1)))
    (one,) = found["secondaries"]
    p = 2 * stats.t.sf(abs(t), FOLDS - 1)
    assert one["t"] == pytest.approx(t) and one["p"] == one["p_holm"] == pytest.approx(p)
    assert one["p_wilcoxon"] == pytest.approx(stats.wilcoxon(d).pvalue)


def test_scores_of_whole_folds_say_nothing_of_patients(tmp_path: Path) -> None:
    lines = ["loss,fold,dice,n_train,n_test"]
    lines += [f"{loss},{fold},{0.7 + 0.01 * fold},80,20" for loss in ("ce", "dice") for fold in range(FOLDS)]
    (tmp_path / "s.csv").write_text("\n".join(lines) + "\n")
    answer = cli("compare", "s.csv", "--baseline=ce", "--rope=0.01", here=tmp_path)
    assert answer.code == 0, answer.err
    found = json.loads((tmp_path / "whichloss-compare" / "verdict.json").read_text())["supplement"]
    assert found["patients"] is None and found["secondaries"][0]["p_wilcoxon"] == 1.0
    assert "With new patients" not in (tmp_path / "whichloss-compare" / "report.html").read_text()


def test_a_label_of_nnunet_is_a_score_of_cases(nnunet: Any, tmp_path: Path) -> None:
    nnunet()
    words = ["ce=ce/fold_*/validation/summary.json", "dice=dice/fold_*/validation/summary.json", "--n-train=rest",
             "--baseline=ce", "--rope=0.01"]  # fmt: skip
    assert cli("compare", *words, here=tmp_path).code == 0
    found = json.loads((tmp_path / "whichloss-compare" / "verdict.json").read_text())["supplement"]
    assert found["patients"]["patients"] == 20 and found["patients"]["losses"][1]["runs"] == 4


def test_one_patient_is_too_few(tmp_path: Path) -> None:
    lines = ["loss,fold,case,patient,dice,n_train"]
    lines += [f"{loss},0,{case},p,{0.7 + 0.1 * case},9" for loss in ("ce", "dice") for case in range(3)]
    (tmp_path / "s.csv").write_text("\n".join(lines) + "\n")
    answer = cli("compare", "s.csv", "--baseline=ce", "--rope=0.01", here=tmp_path)
    assert answer.code == 0, answer.err
    page = (tmp_path / "whichloss-compare" / "report.html").read_text()
    assert "Nothing can be said: 1 patient is too few to tell." in page
