"""Help answers at once, and says what there is."""

import re
import subprocess
import sys

import pytest

from small_studies import cli

VERBS = {
    "losses": ["NAME", "--json"],
    "check": ["LOSS", "--like", "--range", "--strict", "--json", "--html"],
    "run": ["STUDY", "--store", "--data-root", "--set", "--name", "--workers", "--retries", "--limit",
            "--memory", "--plan", "--allow-mixed",
            "--require-winner"],
    "report": ["STUDY", "--store", "--data-root", "--set", "--name", "--allow-mixed", "--markdown", "--paper",
               "--predictions"],
    "compare": ["TABLE...", "--baseline", "--metric", "--rope", "--n-train", "--cases", "--annotations", "--out"],
    "init": ["PATH", "--out", "--data-root", "--json"],
    "doctor": [],
}  # fmt: skip


def test_help_names_every_verb() -> None:
    answer = cli("--help")
    assert (answer.code, answer.err) == (0, "")
    assert "which loss function" in answer.out.lower()
    shown = re.findall(r"^  (\w+) ", answer.out[answer.out.index("Commands") :], re.MULTILINE)
    assert set(VERBS) <= set(shown)
    for verb in shown:
        assert cli(verb, "--help").code == 0


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_names_its_options(verb: str) -> None:
    answer = cli(verb, "--help")
    assert (answer.code, answer.err) == (0, "")
    for option in VERBS[verb]:
        assert option.lower() in answer.out.lower()


def test_a_call_without_words_shows_help() -> None:
    answer = cli()
    assert "Commands" in answer.out + answer.err and "Traceback" not in answer.err


def test_help_comes_without_torch() -> None:
    code = (
        "import sys; sys.argv = ['whichloss', 'run', '--help']\n"
        "from whichloss.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"


def test_python_runs_the_package() -> None:
    done = subprocess.run([sys.executable, "-m", "whichloss", "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "python -m whichloss" in done.stdout and all(verb in done.stdout for verb in VERBS)
    wrong = subprocess.run([sys.executable, "-m", "whichloss", "losses", "Dise"], capture_output=True, text=True)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.splitlines() == ["whichloss: no loss is called 'Dise'; did you mean 'Dice'?"]
