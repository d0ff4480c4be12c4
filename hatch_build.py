"""Compile the kernels when a wheel is built, or the project is installed from a checkout.

Without a compiler, or where compiling fails, the wheel is one of plain torch: losses give the same numbers, later.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HOME = Path(__file__).parent / "src" / "whichloss" / "kernels"
FLAGS = ("-O3", "-std=c11", "-shared", "-fPIC", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math",
         "-ffp-contract=fast")  # fmt: skip
LEVELS = {
    "v2": ("-march=x86-64-v2",),
    "v3": ("-march=x86-64-v3",),
    "v4": ("-march=x86-64-v4", "-mprefer-vector-width=512"),
}
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
ENDINGS = {"linux": "so", "darwin": "dylib", "win32": "dll"}


class Kernels(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        return [] if compiler() else ["ziglang"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        made = build(HOME / "compiled")
        build_data["artifacts"] += [str(one.relative_to(Path(__file__).parent)) for one in made]
        build_data["pure_python"] = not made
        if made:
            build_data["tag"] = f"py3-none-{platform_tag()}"


def compiler() -> list[str] | None:
    """A C compiler on the path, or the one of ziglang."""
    if found := os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang"):
        return found.split()
    try:
        import ziglang
    except ImportError:
        return None
    del ziglang
    return [sys.executable, "-m", "ziglang", "cc"]


def build(folder: Path) -> list[Path]:
    """The kernels of this machine, one for each level of its family; none where they cannot be made."""
    machine, words = MACHINES.get(platform.machine().lower()), compiler()
    if words is None or machine is None or sys.platform not in ENDINGS:
        return []
    folder.mkdir(exist_ok=True)
    made = []
    for level, flags in (LEVELS if machine == "x86_64" else {"": ()}).items():
        file = folder / f"lift-{sys.platform}-{machine}{level and '-'}{level}.{ENDINGS[sys.platform]}"
        done = subprocess.run([*words, *FLAGS, *flags, str(HOME / "lift.c"), "-o", str(file)], capture_output=True)
        if done.returncode:
            print(done.stderr.decode(errors="replace"), file=sys.stderr)
            continue
        made.append(file)
    return made


def platform_tag() -> str:
    from sysconfig import get_platform

    return get_platform().replace("-", "_").replace(".", "_")
