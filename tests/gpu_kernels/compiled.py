"""Compiles the kernels for a GPU that need not be here, and launches nothing.

python compiled.py 90 3: for sm_90, every third problem

The interpreter takes what a compiler refuses, such as a variable that changes its type in a loop. Prints, for each
kernel and problem, how many configurations were built, and the bytes of a thread that no register holds in the best.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from whichloss.kernels import triton_kernels, triton_lift

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
BUILT: list[tuple[str, int]] = []

# classes, softmax, indexed, region, likelihood, channels of the weight, ignored, type
PROBLEMS = [
    (2, True, True, True, "sum", 0, None, torch.float32),
    (14, True, True, True, "each", 1, -100, torch.float32),
    (14, True, True, True, "sum", 0, None, torch.bfloat16),
    (105, True, True, True, "each", 0, None, torch.float16),
    (105, True, False, True, "sum", 105, -1, torch.float32),
    (14, True, False, True, "none", 14, None, torch.float64),
    (200, True, True, False, "each", 1, 255, torch.bfloat16),
    (200, True, False, True, "sum", 200, -1, torch.float32),
    (1, False, False, True, "none", 0, None, torch.float32),
    (3, False, False, True, "sum", 1, None, torch.bfloat16),
    (40, False, False, True, "sum", 40, -1, torch.float32),
]


class Utilities:
    def get_device_properties(self, device: int) -> dict[str, int]:
        return {"max_shared_mem": 99 << 10}  # of the smallest of these GPUs

    def load_binary(self, name: str, binary: bytes, shared: int, device: int):
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(binary)
            file.flush()
            used = subprocess.run(
                [TOOLS / "cuobjdump", "-res-usage", file.name], capture_output=True, text=True, check=True
            ).stdout
        stack = re.search(r"STACK:(\d+)", used)
        assert stack, used
        BUILT.append((name, int(stack[1])))
        return 1, 1, 0, 0, 1024


class Driver:
    """Says that there is a GPU, and does not look at what is launched."""

    utils = Utilities()

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def launcher_cls(self, source, metadata):
        return lambda *arguments: None

    def get_benchmarker(self):
        def call(kernel, quantiles):
            kernel()
            return [1.0] * len(quantiles)

        return call


def compile_all(step: int, space: tuple[int, ...] = (16, 16, 16)) -> None:
    """Every second one of a crop, whose axes do not join, with offsets of 64 bits."""
    for number, problem in enumerate(PROBLEMS[::step]):
        classes, softmax, indexed, region, likelihood, channels, ignored, dtype = problem
        triton_lift.FAR = 0 if number % 2 else 1 << 30
        real = torch.float64 if dtype == torch.float64 else torch.float32
        logits = torch.zeros(2, classes, *(side + 1 for side in space), dtype=dtype)[..., 1:, 1:, 1:]
        logits = logits if number % 2 else logits.contiguous()
        target = torch.zeros(2, 1, *space, dtype=torch.int64) if indexed else torch.zeros_like(logits, dtype=real)
        weight = torch.zeros(2, channels, *space, dtype=real) if channels else None
        asked = logits, target, weight, ignored, softmax, region, likelihood
        triton_lift.forward(*asked)
        of_sums, of_each = torch.zeros(2, 6, classes, dtype=real), torch.zeros(2, 1, *space, dtype=real)
        triton_lift.backward(*asked, of_sums, of_each)
        for name in dict.fromkeys(name for name, _ in BUILT):
            stacks = [stack for kernel, stack in BUILT if kernel == name]
            print(name, classes, dtype, len(stacks), min(stacks))
        BUILT.clear()


if __name__ == "__main__":
    driver.set_active(Driver(int(sys.argv[1])))
    triton_kernels.nothing[(1,)](torch.zeros(1))
    BUILT.clear()
    compile_all(int(sys.argv[2]))
