"""A study through submitit: the same tables to the last byte, though a job is taken away and queued again."""

import os
import signal
import sys
from pathlib import Path

import pytest

from clusters import finish, nobody_works_on, records, start, tables, until, write
from small_studies import cli, write_study, write_tiny


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("study"))


def test_a_job_that_is_taken_away_changes_no_byte(study: Path, tmp_path: Path) -> None:
    code, said = finish(start(study, tmp_path / "here", "--workers", "2"))
    assert code == 1, said
    command = start(study, tmp_path / "slurm", "--on", "slurm:local", "--workers", "2", "--slurm", "time=120")
    code, said = finish(command)
    assert code == 1, said
    assert "2 at a time" in said
    assert tables(tmp_path / "slurm") == tables(tmp_path / "here")
    found = records(tmp_path / "slurm")
    assert sorted(one["outcome"] for one in found) == ["died"] * 2 + ["finished"] * 2
    assert sorted(one["continued"] for one in found if one["outcome"] == "finished") == [0, 1]
    until(lambda: nobody_works_on(tmp_path / "slurm"))
    left = {one.suffix for one in (tmp_path / "slurm" / "studies" / "tiny" / "slurm").iterdir()}
    assert left == {".out", ".err"}, "its logs are kept, and nothing else"


def test_an_interrupt_cancels_the_jobs(study: Path, tmp_path: Path) -> None:
    caught, doomed = study.with_name("caught"), study.with_name("doomed")
    doomed.write_text("all")
    command = start(study, tmp_path, "--on", "slurm:local", "--workers", "1")
    until(caught.exists, command)
    os.kill(command.pid, signal.SIGINT)  # the command alone, so that it must tell the job
    code, said = finish(command)
    doomed.unlink(), caught.unlink()
    assert code == 130, said
    assert "resumes" in said and "whichloss/cli" not in said, "a traceback of ours"
    until(lambda: nobody_works_on(tmp_path))
    assert not records(tmp_path)


def test_without_submitit_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    write_tiny(tmp_path)
    answer = cli("run", write_study(tmp_path), "--on", "slurm", here=tmp_path)
    assert answer.code == 2
    assert "pip install 'whichloss[slurm]'" in answer.err
