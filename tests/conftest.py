"""For all tests."""

from browsers import browser as browser  # a fixture

collect_ignore = [
    "wrong_losses.py",  # losses that must be rejected; only their own test may load them
    "gpu_kernels",  # need Triton, and a process where it is interpreted: make test-gpu-kernels
]
