"""A yes/no question asked as one of two classes: two outputs, and one score again."""

import csv
from pathlib import Path

import pytest
import torch

from small_studies import cli, write_study, write_tiny
from whichloss import parse
from whichloss.core import Task
from whichloss.study.readout import readout

YES_NO = Task(kind="classification", classes=("benign", "malignant"), size=(8, 8))
THREE = Task(kind="classification", classes=("a", "b", "c"), size=(8, 8))


@pytest.mark.parametrize("text", ["CrossEntropy", "Lorenz", "Dice"])
def test_exclusive_classes_need_an_output_each(text: str) -> None:
    assert [parse(f"{text}({said})").outputs(YES_NO) for said in ("", 'classes="exclusive"')] == [1, 2]
    assert [parse(f"{text}({said})").outputs(THREE) for said in ("", 'classes="exclusive"')] == [3, 3]


@pytest.mark.parametrize("formula", ["Logistic", "Hinge", "SmoothHinge", "Lorenz", "Tangent"])
def test_the_two_readings_of_paper_000(formula: str) -> None:
    """Equations (3) and (4) see y (u1 - u2); with u1 + u2 = 0, as in (5), y u1, which is half of it."""
    torch.manual_seed(0)
    outputs, labels = 2 * torch.randn(50, 2, dtype=torch.float64), torch.arange(50) % 2
    target, score = YES_NO.target(labels, outputs), outputs[:, 1:] - outputs[:, :1]
    one = parse(f"{formula}()")
    yes = YES_NO.target(labels, score)
    for lift, margin in (("top_rival", score), ("each_rival", score), ("sum_to_zero", score / 2)):
        two = parse(f'{formula}(lift="{lift}", classes="exclusive")')
        torch.testing.assert_close(two(outputs, target), one(margin, yes))


def test_the_score_is_the_difference() -> None:
    read = readout(parse('Lorenz(classes="exclusive")'), YES_NO, lambda: torch.empty(0), torch.empty(0))
    assert read(torch.tensor([[1.0, 3.0], [2.0, -1.0]])).tolist() == [[2.0], [-3.0]]


def test_a_study_of_both(tmp_path: Path) -> None:
    write_tiny(tmp_path, cases=40)
    losses = [
        "Lorenz()",
        'Lorenz(lift="top_rival", classes="exclusive")',
        'Lorenz(lift="sum_to_zero", classes="exclusive")',
    ]
    file = write_study(tmp_path, losses=losses, baseline="Lorenz()")
    answer = cli("run", file, "--store", tmp_path / "store", here=tmp_path)
    assert answer.code == 0, answer.err
    with (tmp_path / "store" / "studies" / "tiny" / "results.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == "test"]
    assert len({row["loss"] for row in rows}) == 3
    assert all(0 <= float(row["value"]) <= 1 for row in rows)
