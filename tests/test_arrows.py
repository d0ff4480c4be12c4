"""Arrows between packages: every import in the source is read, and none may point the wrong way."""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "whichloss"

# who may import whom, besides itself; and which of the world beyond the standard library (None: anything)
MAY = {
    "core": set(),
    "losses": {"core"},
    "kernels": {"core"},
    "contract": {"core"},
    "metrics": {"core"},
    "data": {"core"},
    "networks": {"core"},
    "stats": set(),
    "report": set(),
    "compare": {"stats", "report"},
    "study": {"core", "losses", "data", "metrics", "networks", "stats", "report"},
    "studies": set(),
    "init": {"core", "data", "networks", "study"},
    "cli": {
        "core", "losses", "kernels", "contract", "metrics", "data", "networks", "stats", "report", "compare", "study",
        "studies", "init",
    },
    "__main__": {"cli"},
}  # fmt: skip
WORLD = {
    "core": {"torch"},
    "losses": {"torch"},
    "kernels": {"torch", "triton", "scipy"},
    "contract": {"torch"},
    "studies": set(),
}
WITHOUT_TORCH = {"stats", "report", "compare", "studies"}
LOADERS = {"import_module", "__import__", "find_spec", "run_module"}


def imports(code: str, module: str, is_package: bool = False) -> Iterator[tuple[str, int]]:
    """Everything that a module imports, wherever it does so, as absolute names with their lines.

    An f-string counts by how it begins; a name that is only known when the program runs cannot be read.
    """
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
            yield from ((f"{origin}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            if called in LOADERS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                name = first.value
                yield (resolve_name(name, package) if name.startswith(".") else name), node.lineno


def part(name: str) -> str:
    """The package of ours that holds a module: core, losses, ..., or whichloss itself."""
    ours, _, rest = name.partition(".")
    return rest.partition(".")[0] or ours if ours == "whichloss" else ""


def modules() -> Iterator[tuple[str, bool, str]]:
    for file in sorted(SOURCE.rglob("*.py")):
        names = file.relative_to(SOURCE.parent).with_suffix("").parts
        is_package = names[-1] == "__init__"
        yield ".".join(names[:-1] if is_package else names), is_package, file.read_text(encoding="utf-8")


def packages() -> set[str]:
    return {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}


def wrong(code: str, module: str, is_package: bool = False) -> list[str]:
    """The imports of a module that no arrow allows."""
    found = []
    for name, line in imports(code, module, is_package):
        here, there = part(module), part(name)
        if here == "whichloss":  # the root names anything, when asked for it
            continue
        if not there:
            outside = name.partition(".")[0]
            allowed = outside in sys.stdlib_module_names or here not in WORLD or outside in WORLD[here]
            allowed = allowed and not (outside == "torch" and here in WITHOUT_TORCH)
        elif there == "whichloss" or there not in MAY:  # the root, or something that the root holds
            allowed = MAY[here] >= MAY["study"] or name == "whichloss.__version__"
        else:
            allowed = there == here or there in MAY[here]
        if not allowed:
            found.append(f"{module}:{line} imports {name}")
    return found


def test_every_package_has_its_arrows():
    assert packages() - {"__init__"} <= set(MAY)
    assert MAY["cli"] >= packages() - {"__init__", "__main__", "cli"}


@pytest.mark.parametrize("package", sorted(packages() - {"__init__"}))
def test_imports_point_the_right_way(package):
    read = [one for one in modules() if part(one[0]) == package]
    assert read
    assert not [line for module, is_package, code in read for line in wrong(code, module, is_package)]


def test_the_root_imports_nothing_of_ours_until_it_is_asked():
    code = (SOURCE / "__init__.py").read_text(encoding="utf-8")
    first = [node for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom)]
    found = {name.partition(".")[0] for node in first for name, _ in imports(ast.unparse(node), "whichloss", True)}
    assert found <= set(sys.stdlib_module_names)


def graph(read) -> dict[str, set[str]]:
    """Package -> packages that it imports; the root, which only passes names on, is left out."""
    arrows: dict[str, set[str]] = {}
    for module, is_package, code in read:
        there = {part(name) for name, _ in imports(code, module, is_package)}
        arrows.setdefault(part(module), set()).update(there & set(MAY))
    return {here: there - {here} for here, there in arrows.items() if here != "whichloss"}


def test_no_package_imports_itself_by_way_of_another():
    TopologicalSorter(graph(modules())).prepare()


# the checker itself


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("whichloss.core.loss", "import whichloss.losses"),
        ("whichloss.core.loss", "import whichloss.losses.region.dice as dice"),
        ("whichloss.core.loss", "from whichloss import losses"),
        ("whichloss.core.loss", "from whichloss import Dice"),
        ("whichloss.core.loss", "import whichloss"),
        ("whichloss.core.loss", "from whichloss.losses.region import dice"),
        ("whichloss.core.loss", "from ..losses import region"),
        ("whichloss.core.lifts.region", "from ...losses.region.dice import Dice"),
        ("whichloss.core.loss", "from .. import losses"),
        ("whichloss.core.loss", "def late():\n    from ..kernels import fuse"),
        ("whichloss.core.loss", "if TYPE_CHECKING:\n    from whichloss.study import Study"),
        ("whichloss.core.loss", "import_module('whichloss.kernels')"),
        ("whichloss.core.loss", "importlib.import_module('whichloss.kernels.cpu')"),
        ("whichloss.core.loss", "import_module('..kernels', package=__package__)"),
        ("whichloss.core.loss", "__import__('whichloss.kernels')"),
        ("whichloss.core.loss", "importlib.import_module(f'whichloss.kernels.{name}')"),
        ("whichloss.core.loss", "import numpy"),
        ("whichloss.core.loss", "from scipy.special import expit"),
        ("whichloss.losses.region.dice", "from whichloss.metrics import Metric"),
        ("whichloss.losses.region.dice", "import numpy as np"),
        ("whichloss.kernels.cpu", "from whichloss.losses import region"),
        ("whichloss.contract.promise", "from whichloss.losses.region.dice import Dice"),
        ("whichloss.metrics.metric", "from whichloss.data import Cases"),
        ("whichloss.data.cases", "from ..study import Study"),
        ("whichloss.stats.paired", "import torch"),
        ("whichloss.stats.paired", "def late():\n    from torch import nn"),
        ("whichloss.stats.paired", "from whichloss.core import UserError"),
        ("whichloss.report.page", "from ..stats import Verdict"),
        ("whichloss.study.train", "from whichloss.cli import main"),
        ("whichloss.study.train", "from whichloss.contract import check"),
        ("whichloss.study.conduct", "from whichloss.init import look"),
        ("whichloss.init.write", "from whichloss.report import page"),
    ],
)
def test_a_planted_violation_is_found(module, code):
    assert len(wrong(code, module)) == 1


def test_a_planted_violation_in_the_face_of_a_package_is_found():
    assert wrong("from ..losses import region", "whichloss.core", is_package=True)
    assert not wrong("from .card import Card", "whichloss.core", is_package=True)


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("whichloss.core.loss", "import torch.nn.functional as F\nfrom .card import Card\nfrom collections import abc"),
        ("whichloss.core.lifts.region", "from ..question import Batch"),
        ("whichloss.losses.region.dice", "from whichloss.core import Card"),
        ("whichloss.study.machine", "import whichloss\nimport numpy\nfrom whichloss.stats import judge"),
        ("whichloss.cli.losses", "from whichloss import parse\nfrom whichloss.contract import check"),
        ("whichloss.core.loss", "import_module(name)\nimport_module()\nimport_module('json')"),
        ("whichloss", "from whichloss.study.study import Study"),
    ],
)
def test_what_is_allowed_is_not(module, code):
    assert not wrong(code, module)


def test_a_planted_cycle_is_found():
    read = [
        ("whichloss.data.a", False, "import whichloss.metrics.b"),
        ("whichloss.metrics.b", False, "from ..data import a"),
    ]
    with pytest.raises(CycleError):
        TopologicalSorter(graph(read)).prepare()
