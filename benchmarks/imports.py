"""How long it takes until something happens: imports and help, in fresh processes, best of several.

python -m benchmarks.imports
"""

import subprocess
import sys
import time

CASES = {
    "python": "pass",
    "import torch": "import torch",
    "import torch, whichloss": "import torch, whichloss",
    "import torch; whichloss.Dice": "import torch, whichloss; whichloss.Dice",
    "import whichloss.stats": "import whichloss.stats",
    "import whichloss.report": "import whichloss.report",
}


def seconds(arguments: list[str], times: int = 7) -> float:
    """Wall time of a Python process, the best of several."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    found = {name: seconds(["-c", code]) for name, code in CASES.items()}
    found["whichloss --help"] = seconds(["-m", "whichloss", "--help"])
    for name, value in found.items():
        print(f"{name:32} {value:6.3f} s")
    print(f"whichloss on top of torch        {found['import torch, whichloss'] - found['import torch']:6.3f} s")


if __name__ == "__main__":
    main()
