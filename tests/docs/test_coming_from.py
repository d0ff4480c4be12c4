"""Each row of docs/coming-from.md: the other library's call and our expression give the same number."""

import re

import pytest
import torch

from code_blocks import DOCS
from whichloss import parse

PAGE = (DOCS / "coming-from.md").read_text(encoding="utf-8")
LOGITS = torch.tensor([[[[2.0, 0.5], [-1.0, -3.0]]], [[[1.0, -2.0], [0.0, -1.5]]]])
MASK = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]], [[[0.0, 1.0], [0.0, 0.0]]]])
THREE = torch.tensor([[[[2.0, -1.0]], [[0.5, 1.0]], [[-1.0, 0.0]]], [[[0.0, 0.3]], [[1.5, -0.5]], [[-0.2, 2.0]]]])
INDEX = torch.tensor([[[0, 2]], [[1, 1]]])


def rows(title: str) -> list[list[str]]:
    part = next(part for part in PAGE.split("\n## ") if part.startswith(title))
    found = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in part.splitlines() if "| `" in line]
    return [[*cells[:-1], cells[-1].strip(" |")] for cells in found]


def code(cell: str) -> str:
    return cell.strip(" |").strip("`")


def ours(text: str, asked: str) -> torch.Tensor:
    loss = parse(text)
    if asked == "classes":
        return loss(THREE, INDEX)
    assert asked == "yes or no"
    return loss(LOGITS, MASK)


def test_the_batch_is_that_of_the_page():
    names: dict[str, torch.Tensor] = {}
    lines = re.findall(r"^>>> ((?:import|from|logits|mask|three|index).*)$", PAGE, re.MULTILINE)
    exec("\n".join(lines), {}, names)
    for ours_, theirs in ((LOGITS, "logits"), (MASK, "mask"), (THREE, "three"), (INDEX, "index")):
        assert torch.equal(ours_, names[theirs])


@pytest.mark.parametrize("row", rows("PyTorch"), ids=lambda row: row[0])
def test_pytorch(row: list[str]):
    call, expression, asked = code(row[0]), code(row[1]), row[2]
    theirs = eval(f"torch.nn.{call}", {"torch": torch})
    value = theirs(THREE, INDEX) if asked == "classes" else theirs(LOGITS, MASK)
    assert float(ours(expression, asked)) == pytest.approx(float(value), rel=1e-6)


@pytest.mark.parametrize("row", rows("MONAI"), ids=lambda row: row[0])
def test_monai(row: list[str]):
    losses = pytest.importorskip("monai.losses", reason="MONAI is not installed")
    call, expression, asked = code(row[0]), code(row[1]), row[2]
    theirs = eval(f"losses.{call}", {"losses": losses})
    value = theirs(THREE, INDEX.unsqueeze(1)) if asked == "classes" else theirs(LOGITS, MASK)
    assert float(ours(expression, asked)) == pytest.approx(float(value), rel=1e-5)


@pytest.mark.parametrize("title", ["segmentation_models.pytorch", "nnU-Net"])
def test_numbers_that_other_libraries_gave(title: str):
    """As they were written down when smp 0.6.0 and nnU-Net 2.8.1 were run on this batch."""
    for _, expression, asked, number in rows(title):
        text = code(expression)
        assert float(ours(text, asked)) == pytest.approx(float(number), abs=1.01e-6), text


def test_every_library_has_rows():
    assert [len(rows(title)) >= 4 for title in ("PyTorch", "MONAI", "segmentation_models", "nnU-Net")] == [True] * 4
