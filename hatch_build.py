"""Compile the kernels when a wheel is built, or the project is installed from a checkout.

By the C compiler that there is ($CC, else cc, gcc or clang), else by zig's, which comes from PyPI. Without one, or
where it fails or does not end, losses run as plain torch: the same numbers, later. `CC=false pip install .` asks for
that. WHICHLOSS_WHEEL=linux-aarch64 (or another of TARGETS) makes a wheel for that system, by zig; see `make wheels`.
"""

import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

ROOT = Path(__file__).parent
HOME = ROOT / "src" / "whichloss" / "kernels"
ZIG = "ziglang==0.17.1"  # as in constraints.txt
PATIENCE = 300.0  # seconds for a compiler

FLAGS = ("-std=c11", "-shared", "-fPIC", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast")
# gcc -O3 takes up to five times as long, for code of the same speed; Apple's linker strips by itself
FAST = ("-O2", "-ftree-vectorize", "-fvect-cost-model", *(() if sys.platform == "darwin" else ("-s",)))
LEVELS = {  # of x86-64: what torch looks for before it calls a CPU AVX512 or AVX2, and nothing for any other
    "v4": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mf16c", "-mprefer-vector-width=512"),
    "v3": ("-mavx2", "-mfma", "-mf16c"),
    "v2": (),
}
TARGETS = {  # how files end, zig's name, the wheel's
    "linux-x86_64": ("so", "x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
    "linux-aarch64": ("so", "aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64.manylinux2014_aarch64"),
    "darwin-aarch64": ("dylib", "aarch64-macos.11.0", "macosx_11_0_arm64"),
    "darwin-x86_64": ("dylib", "x86_64-macos.11.0", "macosx_11_0_x86_64"),
    "win32-x86_64": ("dll", "x86_64-windows-gnu", "win_amd64"),
    "win32-aarch64": ("dll", "aarch64-windows-gnu", "win_arm64"),
}
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


class Kernels(BuildHookInterface):
    """A checkout installed in place gets what this CPU runs fastest, a wheel all levels of its system."""

    def dependencies(self) -> list[str]:
        asked = os.environ.get("WHICHLOSS_WHEEL")
        return [ZIG] if asked or (here() in TARGETS and not local()) else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        asked, in_place = os.environ.get("WHICHLOSS_WHEEL"), version == "editable"
        if asked and asked not in TARGETS:
            raise ValueError(f"WHICHLOSS_WHEEL={asked}: no such system; there are {', '.join(TARGETS)}")
        target = asked or here()
        words = (None if asked else local()) or zig(target)
        levels, made = levels_of(target), []
        if asked and target == "win32-x86_64":
            levels.remove("v2")  # each brings the runtime that is part of a C library elsewhere; a wheel is under 1 MB
        if words and target in TARGETS:
            if in_place and len(levels) > 1:
                levels = level_here(words) or levels
            try:
                made = build(HOME / "compiled" if in_place else ROOT / "build" / "kernels", target, words, levels)
            except OSError as error:
                note(str(error))
        if asked and len(made) < len(levels):
            raise RuntimeError(f"the kernels for {target} were not compiled: pip install {ZIG}, and see above")
        if not made:
            note("no compiled kernels: losses will run as plain torch")
        if made and not in_place:
            build_data["force_include"] |= {str(file): f"whichloss/kernels/compiled/{file.name}" for file in made}
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{TARGETS[target][2] if asked else tag_here()}"


def here() -> str:
    return f"{sys.platform}-{MACHINES.get(platform.machine().lower())}"


def tag_here() -> str:
    """For systems like this one: what its compiler needs of the C library, older ones may not have."""
    return next(tag for tag in platform_tags() if not tag.startswith(("manylinux", "musllinux")))


def levels_of(target: str) -> list[str]:
    return list(LEVELS) if target.endswith("x86_64") else [""]


# compilers, as the words that call them


def local() -> list[str] | None:
    """That of $CC, whatever it is; else one that can make a library."""
    if given := os.environ.get("CC"):
        return [*shlex.split(given, posix=os.name == "posix"), *FAST]
    for name in ("cc", "gcc", "clang"):
        if (found := shutil.which(name)) and _links([found]):
            return [found, *FAST]
    return None


def _links(words: Sequence[str]) -> bool:
    """A compiler may be there without headers (gcc alone, in containers), or only ask to be installed (macOS)."""
    with TemporaryDirectory() as folder:
        command = [*words, "-shared", "-fPIC", "-x", "c", "-", "-o", str(Path(folder) / "lift")]
        try:
            program = "#include <stdint.h>\n#include <string.h>\nint32_t lift;\n"
            return not subprocess.run(command, input=program, text=True, capture_output=True, timeout=30).returncode
        except (OSError, subprocess.TimeoutExpired):
            return False


def zig(target: str) -> list[str] | None:
    """That of the package ziglang, for any of the systems."""
    found = find_spec("ziglang")
    if target not in TARGETS or found is None or found.origin is None:
        return None
    words = [sys.executable, "-m", "ziglang", "cc", "-target", TARGETS[target][1], "-O3", "-fno-unroll-loops", "-s"]
    if target.startswith("win32"):  # no C library: it takes minutes to make, and nothing calls it
        headers = Path(found.origin).parent / "lib" / "libc" / "include" / "any-windows-any"
        words += ["-nostdlib", "-rtlib=compiler-rt", "-Wl,--no-entry", "-isystem", str(headers)]
    return words


def level_here(words: Sequence[str]) -> list[str]:
    """The level that torch will call this CPU; none where the compiler cannot say."""
    plain = words[: words.index("-target")] if "-target" in words else words
    command = [*plain, "-march=native", "-dM", "-E", "-x", "c", "-"]
    try:
        said = subprocess.run(command, input="", text=True, capture_output=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    has = set(re.findall(r"#define __(\w+)__ 1", said))
    for level, flags in LEVELS.items() if has else ():
        if {flag[2:].upper().replace(".", "_") for flag in flags if "=" not in flag} <= has:
            return [level]
    return []


# compiling


def sources() -> list[Path]:
    return [HOME / "lift.c", *sorted(HOME.glob("*.inc"))]


def build(folder: Path, target: str, words: Sequence[str], levels: Sequence[str]) -> list[Path]:
    """The kernels of a system, side by side; what was made of the same source by the same words stays.

    Beside each lies a text: the digest of its source, by which an outdated one is known, and how it was compiled.
    """
    source = hashlib.sha256(b"".join(file.read_bytes() for file in sources())).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    for said in folder.glob("lift-*.txt"):
        if said.read_text().split("\n")[0] != source:
            said.with_suffix("").unlink(missing_ok=True)
            said.unlink()
    files, ahead = [], {}
    for level in levels:
        file = folder / f"lift-{target}{level and '-'}{level}.{TARGETS[target][0]}"
        named = (f"-Wl,-install_name,@rpath/{file.name}",) if target.startswith("darwin") else ()  # else by its path
        command = [*words, *FLAGS, *LEVELS.get(level, ()), *named, str(HOME / "lift.c"), "-o"]
        files.append(file)
        if not (file.is_file() and _said(file).is_file() and _said(file).read_text() == _how(source, command)):
            file.unlink(missing_ok=True)  # whatever happens next
            ahead[file] = command
    if ahead:
        with TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as aside:
            for file in _compile(ahead, Path(aside)):
                _said(file).write_text(_how(source, ahead[file]))
                os.replace(Path(aside) / file.name, file)
    return [file for file in files if file.is_file()]


def _said(file: Path) -> Path:
    return file.with_name(f"{file.name}.txt")


def _how(source: str, command: Sequence[str]) -> str:
    words = command[1:] if command[0] == sys.executable else command  # which Python calls zig is no matter
    return f"{source}\n{shlex.join(words)}\n"


def _compile(ahead: dict[Path, list[str]], aside: Path) -> list[Path]:
    """All at once, into a folder; those that came out."""
    cache = {name: str(aside / "cache") for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
    running, made, end = {}, [], time.monotonic() + PATIENCE
    try:
        for file, command in ahead.items():
            with (aside / f"{file.name}.log").open("wb") as log:
                running[file] = subprocess.Popen(
                    [*command, str(aside / file.name)],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | cache,
                    start_new_session=os.name == "posix",
                )  # fmt: skip
        for file, process in running.items():
            try:
                code = process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                note(f"{file.name} was not ready after {PATIENCE:.0f} s")
                continue
            if code == 0 and (aside / file.name).is_file():
                made.append(file)
            else:
                said = (aside / f"{file.name}.log").read_text(errors="replace")
                note(f"{shlex.join([*ahead[file], file.name])} failed\n{said}")
    finally:
        for process in running.values():
            _end(process)
    return made


def _end(process: subprocess.Popen[bytes]) -> None:
    """With what it started: a driver leaves its compiler running."""
    if process.poll() is None:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()


def note(what: str) -> None:
    print(f"whichloss: {what}", file=sys.stderr)
