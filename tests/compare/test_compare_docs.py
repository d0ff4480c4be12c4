"""What docs/compare.md shows works as shown, and says what the command says."""

import re
import shlex
from pathlib import Path

import pytest

from small_studies import cli

PAGE = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.fixture
def folder(nnunet, mist, luna16, tmp_path):
    """The files that the page names: tables as they stand there, and made-up ones of other programs."""
    nnunet()
    for name, text in re.findall(r"`(\w+\.csv)`\n\n```csv\n(.*?)```", PAGE, re.DOTALL):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split()[2])
def test_every_command_of_the_page_runs(folder, command):
    program, *words = shlex.split(command)
    assert program == "whichloss"
    answer = cli(*words, here=folder)
    assert answer.code == 0, answer.err
    assert {one.name for one in (folder / "whichloss-compare").iterdir()} == {
        "results.csv",
        "verdict.json",
        "report.html",
    }


def test_the_page_names_every_form():
    assert len(COMMANDS) == 5


def test_every_option_of_the_page_is_one(folder):
    shown = cli("compare", "--help").out
    told = set(re.findall(r"--[a-z][a-z-]+", PAGE))
    assert told and not [option for option in told if option not in shown]
