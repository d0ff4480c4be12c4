"""The kernels compile for GPUs that are not here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("capability", "step", "problems"), [(80, 1, 11), (90, 3, 4)])
def test_every_kernel_compiles_and_fits_into_registers(capability, step, problems, tmp_path):
    """In a process of its own, that does not interpret; and from nothing, so that what is tested is compiled."""
    environment = os.environ | {
        "TRITON_INTERPRET": "0",
        "TRITON_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("compiled.py"), str(capability), str(step)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    built = [line.split() for line in done.stdout.splitlines()]
    assert {name for name, *_ in built} == {"forward", "backward", "forward_by_blocks", "backward_by_blocks"}
    assert len(built) == 2 * problems
    assert {count for *_, count, _ in built} == {"3"}
    assert {stack for *_, stack in built} == {"0"}, done.stdout
