"""What an installation cannot do, and how to mend it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import whichloss
from small_studies import cli

BROKEN = 'raise RuntimeError("operator torchvision::nms does not exist")\n'


def install(folder: Path, name: str, code: str) -> None:
    """A package as pip leaves it, with this code."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(code)
    about = folder / f"{name}-0.99.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.99.0\n")


@pytest.fixture
def few_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing all of them takes seconds."""
    monkeypatch.setattr("whichloss.cli.doctor.EXTRAS", {"medical": ("nowhere_at_all", "json"), "ray": ("json",)})


@pytest.mark.usefixtures("few_extras")
def test_a_sound_installation(tmp_path: Path) -> None:
    answer = cli("doctor", here=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0].startswith(
        f"whichloss {whichloss.__version__}, Python {sys.version.split()[0]}, torch {torch.__version__}"
    )
    assert "BROKEN" not in answer.out and "WARNING  torchvision" not in answer.out
    assert any(line.startswith("ok ") and "workers" in line for line in lines)
    assert "extra    medical: missing nowhere_at_all: pip install 'whichloss[medical]'" in lines
    assert "extra    ray: ready" in lines


@pytest.mark.usefixtures("few_extras")
def test_a_torchvision_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "torchvision", BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    answer = cli("doctor")
    assert answer.code == 0, "we do not need it"
    assert "WARNING  torchvision is installed and does not import" in answer.out
    assert "pip uninstall torchvision" in answer.out


@pytest.mark.usefixtures("few_extras")
def test_a_torchvision_that_fits_is_not_mentioned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "torchvision", "")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    assert "torchvision" not in cli("doctor").out
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)


@pytest.mark.usefixtures("few_extras")
def test_a_missing_package_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)  # importing it raises ImportError
    answer = cli("doctor")
    assert answer.code == 1
    assert "BROKEN   plotly does not import: pip install 'whichloss[study]'" in answer.out


def test_a_package_that_studies_cannot_do_without(tmp_path: Path) -> None:
    """A fresh process, in which nothing of ours has been imported yet; and the real extras."""
    install(tmp_path, "safetensors", BROKEN)
    install(tmp_path, "torchvision", BROKEN)
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "whichloss", "doctor"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    assert "BROKEN   safetensors" in done.stdout and "WARNING  torchvision" in done.stdout
    for extra in ("medical", "monai", "ray", "slurm", "attribution"):
        assert f"extra    {extra}: " in done.stdout
