"""Losses that are none better, really trained: a small, seeded part of benchmarks/aa.py; and how it counts."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import aa

STUDIES = 5


def test_a_verdict_on_real_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten comparisons without a difference, of which 5 % may err; and five with a large one."""
    monkeypatch.setattr(aa, "EPOCHS", 6)
    monkeypatch.setitem(aa.ARMS, "slow", aa.Arm(rate=aa.RATE / 1000))
    studies = [aa.study(number, seeds=1) for number in range(STUDIES)]
    said = {
        arm: [aa.judged(one, arm, "fixed", 1, 0.0).comparison for one in studies] for arm in ("sham", "other", "slow")
    }
    alarms = [one for arm in ("sham", "other") for one in said[arm] if one.decision in ("better", "worse")]
    assert len(alarms) <= 2
    assert all(one.difference != 0 for one in said["sham"] + said["other"]), "runs have a chance of their own"
    assert sum(one.difference for one in said["slow"]) / STUDIES < -0.25
    decisions = [one.decision for one in said["slow"]]
    assert decisions.count("worse") >= 1 and "better" not in decisions


def test_a_sham_shares_who_is_tested_and_nothing_else() -> None:
    first, _ = aa.images(3)
    design = aa.Design.model_validate({"folds": aa.FOLDS, "seeds": 1})
    training = aa.Training.model_validate({"stages": [{"epochs": 1, "batch": 8}]})
    facts: dict[str, Any] = {
        "loss": aa.Logistic(), "data": aa.patients(0), "digest": "", "network": aa.NETWORK, "design": design,
        "fold": 1, "seed": 6, "training": training,
    }  # fmt: skip
    run, sham = aa.Run(**facts), aa.Sham(**facts)
    assert run.split(first) == sham.split(first)
    for name in ("weights", "order", "noise", "share"):
        assert run.stream(name) != sham.stream(name)


def test_two_images_of_a_patient_have_the_class_in_common_and_nothing_else() -> None:
    first, second = aa.images(5)
    assert torch.equal(first.labels, second.labels) and 0 < first.labels.sum() < aa.PATIENTS
    for y in (0, 1):
        radius = [np.array(one.columns["radius"])[one.labels.numpy() == y] for one in (first, second)]
        assert abs(np.corrcoef(radius[0], radius[1])[0, 1]) < 0.4
    flat = torch.cat([first.images, second.images]).flatten(1)
    assert len(torch.unique(flat, dim=0)) == 2 * aa.PATIENTS
    assert not torch.equal(first.images, aa.images(6)[0].images), "another study has other patients"


# a file of studies


def made_up(number: int, shift: float = 0.0) -> dict[str, Any]:
    chance = np.random.default_rng(number)
    arms = {"first": 0.0, "sham": 0.0, "other": 0.0, "slow": -0.4}
    found = {name: (0.9 + shift * (name == "other") + at + 0.02 * chance.normal(size=(2, 5))).tolist()
             for name, at in arms.items()}  # fmt: skip
    return {"study": number, "scores": found, "n_test": [[16] * 5] * 2}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Which studies were trained; here they are made up."""
    numbers: list[int] = []
    study: Callable[[int], dict[str, Any]] = lambda number: numbers.append(number) or made_up(number)  # noqa: E731
    monkeypatch.setattr(aa, "study", study)
    monkeypatch.setattr(aa, "draw", lambda number, test: {"draw": number, "difference": -0.4 + 0.01 * number})
    monkeypatch.setattr(aa, "TRUTH", 12)
    return numbers


def test_it_goes_on_where_it_was_cut_off(asked: list[int], tmp_path: Path) -> None:
    file = tmp_path / "aa.jsonl"
    aa.compute(file, 3, 2)
    text = file.read_text()
    file.write_text(text[:-40])  # the last line is not whole
    asked.clear()
    aa.compute(file, 5, 2)
    assert asked == [2, 3, 4]
    studies, draws = aa.read(file)
    assert {number: one["scores"] for number, one in studies.items()} == {
        number: made_up(number)["scores"] for number in range(5)
    }
    assert draws == {0: -0.4, 1: -0.39}


@pytest.mark.usefixtures("asked")
def test_studies_of_other_settings_are_not_mixed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aa.compute(tmp_path / "aa.jsonl", 1, 1)
    monkeypatch.setattr(aa, "SETTINGS", ["others"])
    with pytest.raises(SystemExit, match=r"other settings.*name another file"):
        aa.read(tmp_path / "aa.jsonl")


def test_shares_and_their_intervals_are_counted_right() -> None:
    studies = {number: made_up(number, shift=0.03 * (number % 3)) for number in range(12)}
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in aa.lines(studies, -0.4)]
    rows = {(row[0], row[1], row[2]): row[3:] for row in table[2:]}
    for arm, truth in (("sham", 0.0), ("other", 0.0), ("slow", -0.4)):
        for design, seeds in (("refold, 5 x 2", 2), ("fixed, 5 x 1", 1)):
            better = worse = held = naive = 0
            for one in studies.values():
                d = (np.array(one["scores"][arm]) - np.array(one["scores"]["first"]))[:seeds].ravel()
                half = stats.t.ppf(0.975, len(d) - 1) * np.sqrt(d.var(ddof=1) * (1 / len(d) + 16 / 64))
                better, worse = better + (d.mean() - half > 0), worse + (d.mean() + half < 0)
                held += abs(d.mean() - truth) <= half
                naive += abs(d.mean()) > stats.t.ppf(0.975, len(d) - 1) * np.sqrt(d.var(ddof=1) / len(d))
            expected = [str(12), str(better), str(worse), "0", *map(told, (better + worse, held, naive))]
            assert rows[arm, design, "0"] == expected
    assert int(rows["other", "refold, 5 x 2", "0"][1]) > 0 and int(rows["slow", "fixed, 5 x 1", "0"][2]) > 0


def told(count: int) -> str:
    low, high = proportion_confint(count, 12, method="beta")
    low, high = np.nan_to_num(low, nan=0.0), np.nan_to_num(high, nan=1.0)
    return f"{100 * count / 12:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def test_the_page_says_how_to_make_it_again(asked: list[int], tmp_path: Path) -> None:
    aa.compute(tmp_path / "aa.jsonl", 4, 3)
    text = "\n".join(aa.page(*aa.read(tmp_path / "aa.jsonl")))
    assert asked == [0, 1, 2, 3] and "4 studies of fresh patients, 160 trained networks" in text
    assert "True difference of slow: -0.3900 (standard error 0.0058)" in text and torch.__version__ in text
    assert "python -m benchmarks.aa --studies 4 --draws 3" in text and all(one.what in text for one in aa.ARMS.values())
    assert json.loads((tmp_path / "aa.jsonl").read_text().splitlines()[0])["settings"] == aa.SETTINGS
