"""over="ranks": the batch of all processes is one region, and training in parallel is training in one process."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch.distributed as dist

SCRIPT = Path(__file__).with_name("one_rank.py")
LOSSES = [
    "Dice(over='ranks')",
    "Tversky(over='ranks', smooth=0.0, empty='skip')",
    "AdaptiveLog(Jaccard(over='ranks', background=False))",
    "GeneralizedDice(over='ranks', weighting='simple')",
    "SensitivitySpecificity(over='ranks', weight=0.3)",
    "MCC(over='ranks')",
    "NoiseRobustDice(over='ranks')",
    "GeneralizedWassersteinDice(over='ranks', weighting='volume')",
    "ModifiedFocalTversky(over='ranks')",
    "FocalPower(Dice(over='ranks', class_weight=(1.0, 3.0)), exponent=0.5)",
]

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="this torch has no distributed package")


def in_processes(ranks, store):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    workers = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), str(ranks), str(store), *LOSSES],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
    found = []
    try:
        for worker in workers:
            out, error = worker.communicate(timeout=120)
            assert worker.returncode == 0, error
            found.append(json.loads(out))
    finally:
        for worker in workers:
            worker.kill()
    return found


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("one_rank", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def in_one_process(script):
    return [script.gradients(loss, slice(None)) for loss in LOSSES]


@pytest.mark.parametrize("ranks", [1, 2, 3], ids=["one process", "unequal shards", "an empty shard too"])
def test_averaged_gradients_are_those_of_one_process(ranks, tmp_path, in_one_process):
    for rank in in_processes(ranks, tmp_path / "store"):
        for (value, gradient), (expected, whole), loss in zip(rank, in_one_process, LOSSES, strict=True):
            assert value == pytest.approx(expected, abs=1e-12), loss
            assert gradient == pytest.approx(whole.tolist(), abs=1e-12), loss


def test_gradients_are_not_so_without_it(script, in_one_process):
    """The test could see a difference: the mean of the gradients of two halves is not the gradient of the whole."""
    halves = [script.gradients("Dice(over='batch')", shard)[1] for shard in script.SHARDS[2]]
    assert (sum(halves) / 2 - in_one_process[0][1]).abs().max() > 1e-3
