"""For all tests."""

from importlib.util import find_spec

from browsers import browser as browser  # a fixture

collect_ignore = [
    "wrong_losses.py",  # losses that must be rejected; only their own test may load them
    "gpu_kernels",  # need Triton, and a process where it is interpreted: make test-gpu-kernels
]
if find_spec("whichloss.kernels") is None:  # whichloss is whole without them, only slower
    collect_ignore += ["kernels", "packaging", "core/test_distance_cache.py", "losses/test_benchmarks.py"]  # about them
