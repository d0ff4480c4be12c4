"""What the pages show works as shown: Python runs, studies are studies, commands are commands."""

import doctest
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer.main

from code_blocks import DOCS, Block, all_blocks, blocks, commands
from small_studies import cli
from whichloss import parse
from whichloss.cli.main import app
from whichloss.core import Loss
from whichloss.study.read import load_yaml, make_study

README = DOCS.parent / "README.md"
EXAMPLES = DOCS.parent / "examples"
CHOOSE = (DOCS / "choose.md").read_text(encoding="utf-8")
FIRST_STUDY = next(one for one in all_blocks("yaml") if one.page.name == "first-study.md")
QUICK = {"losses", "doctor"}
KEYS = {"question", "losses", "baseline", "data", "network", "primary"}


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


PYTHON = sorted({one.page for one in all_blocks("python")})


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("page", PYTHON, ids=lambda page: page.name)
def test_the_python_of_a_page_runs_and_prints_what_stands_there(page: Path):
    """Its blocks belong together."""
    shown = [one.text for one in all_blocks("python") if one.page == page]
    names: dict[str, Any] = {}
    for at, text in enumerate(shown):
        if ">>>" not in text:
            exec(compile(text, f"{page.name}, block {at}", "exec"), names)
            continue
        test = doctest.DocTestParser().get_doctest(text, names, f"{page.name}, block {at}", str(page), 0)
        assert test.examples
        runner = doctest.DocTestRunner(verbose=False)
        said: list[str] = []
        runner.run(test, out=said.append, clear_globs=False)
        names |= test.globs
        assert runner.failures == 0, "".join(said)


def test_a_wrong_number_on_a_page_would_be_seen():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", "", 0)
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=lambda text: None)
    assert runner.failures == 1


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("block", all_blocks("yaml"), ids=str)
def test_a_study_of_a_page_is_a_study(block: Block):
    """A block of some keys is a study together with the first of its page, or with that of the first study."""
    keys = load_yaml(block.text, str(block))
    first = next(one for one in all_blocks("yaml") if one.page == block.page)
    base = load_yaml(first.text, str(first))
    if not set(base) >= KEYS:
        base = load_yaml(FIRST_STUDY.text, str(FIRST_STUDY))
    if "tune" in keys:
        base["losses"] = [*base["losses"], "Tversky(fp=0.3, fn=0.7)"]
    study = make_study(base | keys | {"name": "page"}, str(block))
    assert study.losses and study.question


SHOWN = [*all_blocks(), *blocks(README)]
CALLS = [pytest.param(words, id=f"{one}-{words[0]}") for one in SHOWN for words in commands(one)]


def test_pages_have_commands():
    assert len(CALLS) > 40


@pytest.mark.parametrize("words", CALLS)
def test_a_command_of_a_page_is_one(words: list[str]):
    """The real parser takes it: the verb, its options and their values."""
    verb, *rest = words
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    command.make_context(f"whichloss {verb}", rest)


@pytest.mark.parametrize("words", [["run", "--polt"], ["run", "a.yaml", "--workers", "none"], ["losses", "--plot"]])
def test_a_wrong_command_is_not(words: list[str]):
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    with pytest.raises(Exception, match=r"[Oo]ption|valid") as error:
        command.make_context("whichloss", words[1:])
    assert "UsageError" in {cls.__name__ for cls in type(error.value).__mro__}


def test_what_pages_tell_to_make_can_be_made():
    told = {word for one in SHOWN for word in re.findall(r"^make ([a-z]+)", one.text, re.MULTILINE)}
    targets = re.findall(r"^([a-z]+):", (DOCS.parent / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert told and told <= set(targets)
    assert {"docs", "results"} <= set(targets)


def test_quick_commands_of_the_pages_run(tmp_path: Path):
    quick = [call.values[0] for call in CALLS if call.values[0][0] in QUICK]
    assert quick
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)  # some write a picture
    for words in quick:
        answer = cli(*words, here=tmp_path)
        assert answer.code == 0, (words, answer.err)


# choose


def situations() -> list[tuple[str, list[str], dict[str, Any]]]:
    """Title, candidates and the lines of the study of each."""
    found = []
    for part in CHOOSE.split("\n## ")[1:]:
        candidates = [match.replace("\n", " ") for match in re.findall(r"^- `([^`]+)`:", part, re.MULTILINE)]
        [study] = re.findall(r"```yaml\n(.*?)```", part, re.DOTALL)
        found.append((part.splitlines()[0], candidates, load_yaml(study, part.splitlines()[0])))
    return found


@pytest.mark.parametrize(
    ("title", "candidates", "study"), situations(), ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_situation_compares_its_candidates(title: str, candidates: list[str], study: dict[str, Any]):
    assert len(candidates) >= 2
    losses = [parse(text) for text in candidates]
    assert all(isinstance(loss, Loss) for loss in losses)
    assert {repr(parse(text)) for text in study["losses"]} == {repr(loss) for loss in losses}
    assert repr(parse(study["baseline"])) == repr(losses[0])


def test_every_candidate_has_a_reason_with_a_source():
    listed = re.findall(r"^- `[^`]+`: (.*?)(?=\n- |\n\n)", CHOOSE, re.DOTALL | re.MULTILINE)
    assert len(listed) > 30
    assert [reason for reason in listed if not re.search(r"\[@\w+\]\.$", reason)] == []


def test_no_candidate_is_praised():
    assert re.findall(r"\bis (?:the )?best\b", CHOOSE.replace("No loss is best by itself", "")) == []
