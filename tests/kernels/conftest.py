"""For the tests of kernels."""

import pytest
import torch

from whichloss.core import prepare
from whichloss.kernels import fuse

collect_ignore = ["every_form.py"]  # a program that a test runs
WAYS = ["compiled", "torch in blocks"]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Every batch goes through the compiled kernel, or through blocks of torch, whatever its size. Gives the way."""
    if request.param == "compiled" and not fuse.COMPILED:
        pytest.skip("no compiled kernels: no C compiler when this was installed")
    monkeypatch.setattr(fuse, "COMPILED", request.param == "compiled")
    monkeypatch.setattr(fuse, "MODE", "auto")
    monkeypatch.setattr(fuse, "LEAST", 0)
    monkeypatch.setattr(fuse, "FEWEST", 1)
    return request.param


@pytest.fixture
def lifts_made(monkeypatch):
    """What was asked of the kernels, and how much of it they lifts_made: two lists of lifts, which grow."""
    asked, given = [], []

    def counting(batch, needs):
        results = fuse.fused(batch, needs)
        asked.extend(needs)
        given.extend(need for need, result in zip(needs, results, strict=True) if result is not None)
        return results

    monkeypatch.setattr(prepare, "_fused", counting)
    return asked, given


@pytest.fixture(autouse=True)
def _as_many_threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
