"""On the GPU where there is one; else on the CPU, by Triton's interpreter, which has to be asked for before the import.

So they run in a process of their own (`make test-gpu-kernels`): nothing else may see Triton interpreted.
"""

import os

import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="session")
def device() -> str:
    return DEVICE
