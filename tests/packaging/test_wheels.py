"""What is installed: wheels with the kernels compiled, and what happens where nothing compiles them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from zipfile import ZipFile

import psutil
import pytest

from whichloss.kernels import library

pytest.importorskip("hatchling", reason="wheels are built by hatchling: pip install '.[dev]'")

ROOT = Path(__file__).parents[2]
BUILT = ("pyproject.toml", "hatch_build.py", "constraints.txt", "README.md", "LICENSE", ".gitignore")
KERNELS = "whichloss/kernels"
LIMIT = 1_000_000  # bytes of a wheel that is released


def hooks():
    spec = spec_from_file_location("hooks", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = hooks()
posix = pytest.mark.skipif(os.name != "posix", reason="the compilers of these tests are shell scripts")
compiles = pytest.mark.skipif(
    HOOKS.local() is None or HOOKS.here() not in HOOKS.TARGETS, reason="no C compiler: apt-get install gcc libc6-dev"
)
crosses = pytest.mark.skipif(
    find_spec("ziglang") is None, reason="ziglang, which compiles for other systems: pip install '.[wheels]'"
)


def copied(folder):
    """A checkout of nothing but what is built."""
    folder.mkdir(parents=True)
    for name in BUILT:
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "compiled"))
    return folder


@pytest.fixture
def checkout(tmp_path):
    return copied(tmp_path / "checkout")


def environment(**more):
    return {name: value for name, value in os.environ.items() if name not in ("CC", "WHICHLOSS_WHEEL")} | more


def backend(checkout, function, *arguments, **more):
    """A function of the build backend, as pip calls it: the process and what the function returned."""
    program = "import sys; from hatchling import build; print(getattr(build, sys.argv[1])(*sys.argv[2:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, function, *map(str, arguments)],
        cwd=checkout, env=environment(**more), capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    return done, (done.stdout.splitlines() or [""])[-1]


def built(checkout, function="build_wheel", **more):
    folder = checkout.parent / "dist"
    folder.mkdir(exist_ok=True)
    done, name = backend(checkout, function, folder, **more)
    assert done.returncode == 0, done.stderr
    return folder / name, done.stderr


def compiled(names):
    return sorted(Path(name).name for name in names if name.startswith(f"{KERNELS}/compiled/"))


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def counting(folder):
    """A compiler that writes down what it is asked for, and makes a file of it."""
    return script(folder / "counting", f'echo "$@" >> {folder}/asked\nfor last; do :; done; echo made > "$last"')


def asked(folder):
    file = folder / "asked"
    return [line for line in file.read_text().splitlines() if "lift.c" in line] if file.exists() else []


LOSS = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from torch.profiler import profile
import whichloss
from whichloss.kernels.library import library

assert whichloss.__file__.startswith(sys.argv[1])
torch.manual_seed(0)
logits = torch.randn(2, 5, 24, 24, 24, requires_grad=True)
target = torch.randint(5, (2, 24, 24, 24))
with profile() as seen:
    value = whichloss.parse("CrossEntropy()")(logits, target)
    value.backward()
whole = logits.detach().double().requires_grad_()
truth = torch.nn.functional.cross_entropy(whole, target)
truth.backward()
assert abs(value.item() - truth.item()) < 1e-6, (value, truth)
torch.testing.assert_close(logits.grad.double(), whole.grad, rtol=1e-4, atol=1e-9)
print(library() and library()._name)
print(any(one.key.startswith("Streamed") for one in seen.key_averages()))
"""


def used(folder):
    """The kernels that a loss of an installed whichloss was computed with, and whether it was."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOSS, str(folder)], env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-2:]


# by the compiler of this machine


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return built(copied(tmp_path_factory.mktemp("built") / "checkout"))[0]


@compiles
def test_a_wheel_holds_the_kernels_of_its_system(wheel):
    assert re.fullmatch(r"whichloss-[\d.]+-py3-none-(linux|macosx|win)\w*\.whl", wheel.name)
    with ZipFile(wheel) as file:
        names = file.namelist()
        licence = [file.read(name) for name in names if name.endswith(".dist-info/licenses/LICENSE")]
        (about,) = (file.read(name).decode() for name in names if name.endswith(".dist-info/WHEEL"))
    assert set(library.names()) <= set(compiled(names))  # whatever CPU of this family
    assert len(compiled(names)) == len(HOOKS.levels_of(HOOKS.here()))  # and nothing else
    assert licence == [(ROOT / "LICENSE").read_bytes()]
    assert "Root-Is-Purelib: false" in about
    # the text of which they are made, so that records of runs name the same code as in a checkout
    assert {Path(name).name for name in names if name.endswith((".c", ".inc"))} == {"lift.c", "tiles.inc"}


@compiles
def test_an_installed_wheel_computes_with_them(wheel, tmp_path):
    pytest.importorskip("pip", reason="installing needs pip")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index",
         "--target", str(tmp_path / "site"), str(wheel)],
        env=environment(), check=True, timeout=300,
    )  # fmt: skip
    folder = tmp_path / "site" / KERNELS / "compiled"
    assert used(tmp_path / "site") == [str(folder / library.names()[0]), "True"]


@compiles
def test_a_checkout_gets_what_this_cpu_runs_fastest(checkout):
    wheel, _ = built(checkout, "build_editable")
    assert wheel.name.endswith("-py3-none-any.whl")
    folder = checkout / "src" / KERNELS / "compiled"
    made = {file.name for file in folder.iterdir() if file.suffix != ".txt"}
    assert library.names()[0] in made
    if HOOKS.level_here(HOOKS.local()):  # what the compiler calls this CPU and what torch calls it agree
        assert made == {library.names()[0]}
    assert used(checkout / "src") == [str(folder / library.names()[0]), "True"]


# what is not compiled again


@posix
@pytest.mark.parametrize("function", ["build_editable", "build_wheel"])
def test_an_unchanged_source_is_compiled_once(checkout, function, tmp_path):
    if HOOKS.here() not in HOOKS.TARGETS:
        pytest.skip("there are no kernels for this machine")
    compiler = counting(tmp_path)
    for _ in range(3):
        built(checkout, function, CC=str(compiler))
    once = len(asked(tmp_path))
    assert once == len(set(asked(tmp_path))) == len(HOOKS.levels_of(HOOKS.here()))  # all: it says nothing of this CPU
    with (checkout / "src" / KERNELS / "lift.c").open("a") as file:
        file.write("/* another */\n")
    built(checkout, function, CC=str(compiler))
    assert len(asked(tmp_path)) == 2 * once
    built(checkout, function, CC=f"{compiler} -DOTHER")
    assert len(asked(tmp_path)) == 3 * once


@posix
def test_kernels_of_another_source_do_not_stay(checkout, tmp_path):
    """Their job is laid out differently: they would write anywhere."""
    if HOOKS.here() not in HOOKS.TARGETS:
        pytest.skip("there are no kernels for this machine")
    folder = checkout / "src" / KERNELS / "compiled"
    built(checkout, "build_editable", CC=str(counting(tmp_path)))
    assert compiled(f"{KERNELS}/compiled/{file.name}" for file in folder.iterdir())
    with (checkout / "src" / KERNELS / "tiles.inc").open("a") as file:
        file.write("/* another */\n")
    built(checkout, "build_editable", CC="false")
    assert not list(folder.iterdir())


# where nothing compiles


@posix
@pytest.mark.parametrize("compiler", ["false", "/no/such/compiler", "sh -c 'echo bad >&2; exit 1'"])
def test_a_broken_compiler_gives_a_wheel_of_plain_torch(checkout, compiler, tmp_path):
    wheel, said = built(checkout, CC=compiler)
    assert "losses will run as plain torch" in said
    assert "Traceback" not in said
    assert wheel.name.endswith("-py3-none-any.whl")
    with ZipFile(wheel) as file:
        assert not compiled(file.namelist())
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in file.namelist())
        if compiler == "false":
            file.extractall(tmp_path / "site")
            assert used(tmp_path / "site") == ["None", "False"]


@posix
def test_what_a_failing_compiler_says_is_passed_on(checkout):
    if HOOKS.here() not in HOOKS.TARGETS:
        pytest.skip("there are no kernels for this machine")
    _, said = built(checkout, CC="sh -c 'echo lift.c:7: no such thing >&2; exit 1'")
    assert "lift.c:7: no such thing" in said


@posix
def test_a_compiler_that_hangs_is_ended_with_what_it_started(tmp_path, monkeypatch, capsys):
    hanging = script(tmp_path / "hanging", f"sleep 600 &\necho $! > {tmp_path}/child\nwait")
    monkeypatch.setattr(HOOKS, "PATIENCE", 2.0)
    assert HOOKS.build(tmp_path / "compiled", "linux-aarch64", [str(hanging)], [""]) == []
    assert "lift-linux-aarch64.so was not ready after 2 s" in capsys.readouterr().err
    assert not list((tmp_path / "compiled").iterdir())
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("what the compiler started is still running")


@posix
def test_a_folder_that_cannot_be_written_to_is_no_reason_to_fail(checkout):
    (checkout / "build").write_text("a file where the folder of the kernels would be")
    wheel, said = built(checkout, CC="true")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "losses will run as plain torch" in said


@posix
def test_the_folder_of_the_kernels_is_not_needed(checkout):
    shutil.rmtree(checkout / "src" / KERNELS)
    for function in ("build_wheel", "build_editable"):
        wheel, said = built(checkout, function, CC="true")
        assert wheel.name.endswith("-py3-none-any.whl")
        assert "losses will run as plain torch" in said
    assert not (checkout / "src" / KERNELS).exists()


# which compiler


def needed(checkout, function="get_requires_for_build_wheel", **more):
    done, said = backend(checkout, function, **more)
    assert done.returncode == 0, done.stderr
    return said


@posix
def test_zig_is_fetched_only_where_there_is_no_compiler(checkout, tmp_path):
    if HOOKS.here() not in HOOKS.TARGETS:
        pytest.skip("there are no kernels for this machine")
    (tmp_path / "bin").mkdir()
    path = str(tmp_path / "bin")
    assert HOOKS.ZIG in needed(checkout, PATH=path)
    assert HOOKS.ZIG in needed(checkout, "get_requires_for_build_editable", PATH=path)
    assert needed(checkout, "get_requires_for_build_sdist", PATH=path) == "[]"
    assert needed(checkout, PATH=path, CC="false") == "[]"  # who names one wants that one
    script(tmp_path / "bin" / "cc", "exit 1")  # there, and good for nothing
    assert HOOKS.ZIG in needed(checkout, PATH=path)
    script(tmp_path / "bin" / "gcc", "exit 0")
    assert needed(checkout, PATH=path) == "[]"


def test_zig_is_the_version_that_was_tested():
    assert HOOKS.ZIG in (ROOT / "constraints.txt").read_text().splitlines()


# the source


@posix
def test_the_source_can_be_compiled_from_its_archive(checkout, tmp_path):
    compiler = counting(tmp_path)
    built(checkout, "build_editable", CC=str(compiler))  # what was compiled in place is no part of it
    archive, _ = built(checkout, "build_sdist", CC=str(compiler))
    with tarfile.open(archive) as file:
        names = [name.partition("/")[2] for name in file.getnames()]
        file.extractall(tmp_path / "unpacked", filter="data")
    assert {"hatch_build.py", "LICENSE", f"src/{KERNELS}/lift.c", f"src/{KERNELS}/tiles.inc"} <= set(names)
    assert not [name for name in names if "/compiled/" in name]
    (folder,) = (tmp_path / "unpacked").iterdir()
    wheel, _ = built(folder, CC=str(compiler))
    with ZipFile(wheel) as file:
        assert len(compiled(file.namelist())) == (HOOKS.here() in HOOKS.TARGETS) * len(HOOKS.levels_of(HOOKS.here()))


# by zig, for others

KINDS = {  # how files of a system and a machine begin
    "linux-x86_64": (b"\x7fELF\x02\x01", 18, b"\x3e\x00"),
    "linux-aarch64": (b"\x7fELF\x02\x01", 18, b"\xb7\x00"),
    "darwin-aarch64": (b"\xcf\xfa\xed\xfe", 4, b"\x0c\x00\x00\x01"),
    "win32-x86_64": (b"MZ", None, b"PE\0\0\x64\x86"),
}


@crosses
@pytest.mark.parametrize("system", KINDS)
def test_wheels_for_other_systems_come_from_this_one(checkout, system, tmp_path):
    wheel, _ = built(checkout, WHICHLOSS_WHEEL=system)
    assert wheel.name.endswith(f"-py3-none-{HOOKS.TARGETS[system][2]}.whl")
    assert wheel.stat().st_size < LIMIT
    with ZipFile(wheel) as file:
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in file.namelist())
        files = {Path(name).name: file.read(name) for name in file.namelist() if "/compiled/" in name}
        file.extractall(tmp_path / "site")
    levels = {"linux-x86_64": ["-v2", "-v3", "-v4"], "win32-x86_64": ["-v3", "-v4"]}.get(system, [""])
    ending = {"linux": "so", "darwin": "dylib", "win32": "dll"}[system.split("-")[0]]
    assert sorted(files) == [f"lift-{system}{level}.{ending}" for level in levels]
    magic, at, machine = KINDS[system]
    for binary in files.values():
        assert binary.startswith(magic)
        assert machine in binary if at is None else binary[at : at + len(machine)] == machine
        assert b"lift_forward_f32\0" in binary and b"lift_backward_f64\0" in binary
        assert str(checkout).encode() not in binary  # nothing of the machine that built it
        assert str(Path.home()).encode() + b"/" not in binary
        assert all(tuple(map(int, one)) <= (2, 17) for one in re.findall(rb"GLIBC_(\d+)\.(\d+)", binary))
    if system == HOOKS.here():
        name = str(tmp_path / "site" / KERNELS / "compiled" / library.names()[0])
        assert used(tmp_path / "site") == [name, "True"]


def test_a_wheel_for_another_system_is_never_one_without_kernels(checkout, tmp_path):
    (tmp_path / "ziglang").mkdir()
    (tmp_path / "ziglang" / "__init__.py").touch()
    (tmp_path / "ziglang" / "__main__.py").write_text("import sys; sys.exit('zig is broken')")
    done, _ = backend(checkout, "build_wheel", tmp_path, WHICHLOSS_WHEEL="linux-aarch64", PYTHONPATH=str(tmp_path))
    assert done.returncode
    assert "zig is broken" in done.stderr
    assert f"the kernels for linux-aarch64 were not compiled: pip install {HOOKS.ZIG}" in done.stderr
    assert not list(tmp_path.glob("*.whl"))


def test_a_system_that_there_is_not(checkout, tmp_path):
    done, _ = backend(checkout, "build_wheel", tmp_path, WHICHLOSS_WHEEL="amiga-m68k")
    assert done.returncode
    assert "WHICHLOSS_WHEEL=amiga-m68k: no such system; there are linux-x86_64, linux-aarch64" in done.stderr
