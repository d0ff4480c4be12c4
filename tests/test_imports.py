"""What is imported when: nothing heavy until it is used."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import whichloss
from whichloss import registry
from whichloss.core import Loss, catalogue

HEAVY = ["torch", "numpy", "pandas", "scipy", "sklearn", "plotly", "matplotlib", "optuna", "monai"]


def python(*arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def run(code):
    done = python("-c", dedent(code))
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


LOADED = "import sys; print(*[name for name in {heavy} if name in sys.modules])"


def loaded_after(code, heavy=HEAVY):
    return run(f"{code}\n{LOADED.format(heavy=heavy)}")


def test_the_package_alone_loads_nothing_heavy():
    assert loaded_after("import whichloss; whichloss.__version__; whichloss.__doc__") == []


@pytest.mark.parametrize("package", ["stats", "report"])
def test_tables_and_pages_need_no_torch(package):
    assert loaded_after(f"import whichloss.{package}", ["torch"]) == []


@pytest.mark.parametrize("package", ["stats", "report"])
def test_tables_and_pages_need_no_torch_however_they_are_imported(package):
    """`from whichloss import stats` asks the package for an attribute first, which must not go looking for a loss."""
    assert loaded_after(f"from whichloss import {package}", ["torch"]) == []


HELP = """
    import runpy, sys
    sys.argv = ["whichloss", *{arguments}]
    try:
        runpy.run_module("whichloss", run_name="__main__")
    except SystemExit as end:
        print(end.code or 0)
    print("torch" in sys.modules)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["losses", "--help"], []], ids=str)
def test_help_needs_no_torch(arguments):
    pytest.importorskip("typer")
    assert run(HELP.format(arguments=arguments))[-1] == "False"


def test_the_module_runs():
    pytest.importorskip("typer")
    done = python("-m", "whichloss", "--help")
    assert done.returncode == 0
    assert "Which loss function should this network be trained with?" in done.stdout


def test_losses_by_name():
    assert run(
        """
        import whichloss
        print(whichloss.Dice(smooth=2).label)
        print(whichloss.parse("CrossEntropy() + 0.5 * Dice()").label.replace(" ", ""))
        from whichloss import Lorenz, Loss
        print(isinstance(Lorenz(), Loss))
        """
    ) == ["Dice(smooth=2.0)", "CrossEntropy+0.5*Dice", "True"]


def test_packages_are_attributes_from_the_first_time_on():
    assert run("import whichloss; print(whichloss.core.__name__, whichloss.losses.__name__)") == [
        "whichloss.core",
        "whichloss.losses",
    ]


def test_a_name_that_does_not_exist():
    with pytest.raises(AttributeError, match=r"whichloss has no 'Lorentz'; did you mean 'Lorenz'\?"):
        whichloss.Lorentz  # noqa: B018
    with pytest.raises(AttributeError, match="whichloss has no 'MarginLoss'"):
        whichloss.MarginLoss  # noqa: B018
    with pytest.raises(AttributeError):
        whichloss.__wrapped__  # noqa: B018
    with pytest.raises(ImportError):
        from whichloss import NoSuchLoss  # noqa: F401
    assert not hasattr(whichloss, "_anything")


def test_the_names_of_the_package(monkeypatch):
    registry(Loss)
    monkeypatch.setitem(catalogue._known[Loss], "someone.losses:Mine", whichloss.Dice)
    names = dir(whichloss)
    assert names == sorted(names)
    assert {"Dice", "Lorenz", "Loss", "parse", "plain", "registry", "Study", "__version__"} <= set(names)
    assert all(name.isidentifier() for name in names)  # a user's loss is no attribute of ours
    for name in names:
        if name != "Study":  # which needs the extra `study`
            assert getattr(whichloss, name) is not None


def test_type_checkers_see_the_losses_that_there_are():
    """A line under TYPE_CHECKING for each loss: without it editors know nothing of `whichloss.Dice`."""
    tree = ast.parse(Path(whichloss.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    said = {
        alias.name: node.module
        for node in block.body
        for alias in node.names
        if node.module.startswith("whichloss.losses.")
    }
    assert said == {
        name: cls.__module__ for name, cls in registry(Loss).items() if cls.__module__.startswith("whichloss.")
    }
    assert all(alias.asname == alias.name for node in block.body for alias in node.names)  # re-exported
    others = {alias.name for node in block.body for alias in node.names} - set(said)
    assert others == set(whichloss._HOME)


def test_core_works_without_the_rest():
    """A user's own loss needs the core alone."""
    assert loaded_after("import whichloss.core", [f"whichloss.{name}" for name in ("losses", "study", "metrics")]) == []


def test_core_finds_losses_without_being_told_where_they_are():
    assert run(
        """
        from whichloss.core import Loss, parse, registry
        print(parse("Dice() + 0.5 * Hinge()").label.replace(" ", ""), "Lorenz" in registry(Loss))
        """
    ) == ["Dice+0.5*Hinge", "True"]
