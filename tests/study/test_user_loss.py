"""A loss of one's own, in a file of one's own, is a loss like any other."""

import json
import os
from pathlib import Path

import pytest

from whichloss.contract import PROMISES
from whichloss.core import Loss, parse
from whichloss.study.conduct import conduct
from whichloss.study.read import read_study

SOFT = (Path(__file__).parents[2] / "examples" / "mylosses" / "soft.py").read_text()

STUDY = """
question: Is my loss any good?
losses: [Logistic(), ownlosses.soft:Soft(), "ownlosses.soft:Soft(temperature=0.1) + 0.1 * Hinge()", ownlosses.plain:bce]
baseline: Logistic()
data: Nodules(cases=60, size=26)
network: SmallConvNet(width=4, depth=2)
design: {folds: 2}
training: {optimizer: Adam(lr=0.005), stages: [{epochs: 2, batch: 16}]}
primary: RocAuc()
rope: 0.02
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    package = folder / "ownlosses"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "soft.py").write_text(SOFT)
    (package / "plain.py").write_text(
        "from torch.nn.functional import binary_cross_entropy_with_logits as score\n\n\n"
        "def bce(logits, target):\n    return score(logits, target)\n"
    )
    (folder / "mine.yaml").write_text(STUDY)
    return folder


@pytest.fixture(autouse=True)
def on_the_path(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(home))


def test_it_is_short():
    assert len([line for line in SOFT.splitlines() if line.strip()]) <= 40


@pytest.mark.parametrize("promise", PROMISES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("text", ["ownlosses.soft:Soft()", "ownlosses.soft:Soft(temperature=0.1)"])
def test_it_keeps_the_promises_of_our_losses(promise, text: str):
    promise(parse(text, Loss, imports=True))


def test_it_runs_in_a_study(home: Path, tmp_path: Path):
    done = conduct(read_study(home / "mine.yaml"), tmp_path)
    assert done.failed == 0
    verdict = json.loads((done.report.parent / "verdict.json").read_text())
    labels = [one["label"] for one in verdict["losses"]]
    assert labels == ["Logistic", "Soft", "Soft(temperature=0.1) + 0.1 * Hinge", "bce()"]
    assert verdict["losses"][1]["loss"] == (
        "ownlosses.soft:Soft(temperature=0.5, lift='one_versus_rest', per_class='mean', scores='logits',"
        " targets='signed', classes='auto')"
    )
    # the same formula under another name: binary cross-entropy is the logistic loss
    assert verdict["losses"][3]["mean"] == pytest.approx(verdict["losses"][0]["mean"], abs=1e-3)


def test_text_from_a_table_does_not_import_it(home: Path):
    import subprocess
    import sys

    code = (
        "from whichloss.losses import Loss\nfrom whichloss.core import parse\nimport sys\n"
        "a = parse('ownlosses.soft:Soft(temperature=2)'); assert 'ownlosses' not in sys.modules\n"
        "assert a == parse('ownlosses.soft:Soft( temperature = 2 )') and a != parse('ownlosses.soft:Soft()')\n"
        "assert repr(a) == 'ownlosses.soft:Soft(temperature=2)'"
    )
    path = os.pathsep.join([str(home), *sys.path])
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": path})
