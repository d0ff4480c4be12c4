"""Every class of every kind (loss, data set, network, metric), known by name from the moment it is defined.

Core reaches nothing above it. What lies above says here how a name is looked for (`fill`), so that reading one
expression imports one file, and only a list walks the folder.
"""

import sys
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from inspect import isabstract
from pkgutil import walk_packages
from re import split, sub

_known: dict[type, dict[str, type]] = {}
_homes: dict[type, "Home"] = {}


class Home:
    """A folder with one class a file: `SmoothHinge` stands in `smooth_hinge.py`, at any depth."""

    def __init__(self, package: str, path: list[str]) -> None:
        self.package, self.path = package, path

    def _modules(self) -> Iterator[str]:
        return (found.name for found in walk_packages(self.path, self.package + ".") if not found.ispkg)

    def find(self, name: str) -> None:
        file = sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        for module in self._modules():
            if module.rpartition(".")[2] == file:
                import_module(module)

    def walk(self) -> None:
        for module in self._modules():
            import_module(module)


def fill(kind: type, package: str, path: list[str]) -> None:
    """Say where classes of this kind live. The hook by which `losses`, `data`, ... are found from below."""
    _homes[kind] = Home(package, path)


def _home(kind: type) -> Home | None:
    """Where classes of this kind live. The package above us is asked, once, to load whoever says so."""
    if kind not in _homes:
        load = getattr(sys.modules[__name__.partition(".")[0]], "_load", None)
        if load is not None:
            load()
    return _homes.get(kind)


def spelled(cls: type) -> str:
    """The name of a class in expressions: short for our own, `package.module:Name` for everybody else's."""
    return cls.__name__ if cls.__module__.startswith("whichloss.") else f"{cls.__module__}:{cls.__qualname__}"


def add(kind: type, cls: type) -> None:
    name = spelled(cls)
    old = _known.setdefault(kind, {}).get(name)
    if old is not None and old.__module__ != cls.__module__:
        raise NameError(f"two classes are called {name}: in {old.__module__} and in {cls.__module__}")
    _known[kind][name] = cls


def find(kind: type, name: str) -> type | None:
    """The final class of this name, importing its file if need be."""
    if name not in _known.get(kind, {}) and (home := _home(kind)) is not None:
        home.find(name)
    cls = _known.get(kind, {}).get(name)
    return None if cls is None or isabstract(cls) else cls


def registry(kind: type) -> dict[str, type]:
    """All final classes of a kind by name, sorted; our own and those a user has defined or imported."""
    if (home := _home(kind)) is not None:
        home.walk()
    return {name: cls for name, cls in sorted(_known.get(kind, {}).items()) if not isabstract(cls) and cls.listed}


def suggestion(kind: type, name: str) -> str:
    """`; did you mean 'Lorenz'?`, what it is called here, or nothing."""
    known = registry(kind)
    for ours, cls in known.items():
        for alias in getattr(getattr(cls, "card", None), "aliases", ()):
            called = split(", | and ", alias.partition(":")[0].partition(" (")[0])
            if _bare(name) in map(_bare, called):
                return f"; here it is {ours!r} ({alias})"
    lower = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), lower, n=1)
    return f"; did you mean {lower[near[0]]!r}?" if near else ""


def _bare(name: str) -> str:
    """Without case, spaces and dashes, and the word loss in the end."""
    return sub("[^a-z0-9]", "", name.lower()).removesuffix("loss")
