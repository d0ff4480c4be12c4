"""Somebody else's code as a value: identified by its path, its arguments and a digest of its source."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from hashlib import sha256
from importlib import import_module
from inspect import getsourcefile, isabstract, isclass, isroutine, signature
from pathlib import Path
from typing import Any

from torch import Tensor

from .card import Card
from .errors import ExpressionError, UserError
from .loss import Loss
from .prepare import Prepared
from .task import CLASSES, QUANTITY, Kind
from .terms import Terms
from .value import Value

Arguments = tuple[tuple[str | None, Any], ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class Named:
    """A path `package.module:name` and arguments. Without a source digest it is only a text, and cannot act."""

    path: str
    arguments: Arguments = ()
    source: str = ""  # digest of the file that defines it; "" where the text came from a store, a table or a page

    def same(self, other: object) -> bool:
        """Equal by text and source: Python calls 1 and True equal, which are spelled differently."""
        return type(self) is type(other) and self._identity() == other._identity()  # type: ignore[attr-defined]

    def hashed(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, str]:
        return self.spell(hide_defaults=False), self.source

    def parts(self) -> Iterator[Value]:
        return (value for _, value in self.arguments if isinstance(value, Value))

    def spell(self, hide_defaults: bool) -> str:
        def one(name: str | None, value: Any) -> str:
            spelled = value.spell(hide_defaults) if isinstance(value, Value) else repr(value)
            return spelled if name is None else f"{name}={spelled}"

        path = self.path.rpartition(":")[2] if hide_defaults else self.path
        return f"{path}({', '.join(one(*argument) for argument in self.arguments)})"

    def target(self) -> Any:
        """The object at the path, imported now."""
        if not self.source:
            raise UserError(
                f"{self.path} is known only by its text here; it is imported where a person writes it, in a study"
                " or on the command line"
            )
        return _import(self.path)

    def call(self, function: Callable[..., Any], **more: Any) -> Any:
        """`function` with the arguments of this value, and `more` where it takes them."""
        takes = signature(function).parameters
        anything = any(one.kind is one.VAR_KEYWORD for one in takes.values())
        more = {name: value for name, value in more.items() if anything or name in takes}
        positional = [value for name, value in self.arguments if name is None]
        named = {name: value for name, value in self.arguments if name is not None}
        return function(*positional, **(named | more))


class Foreign(Named, Loss):
    """A callable `(logits, target)` or an `nn.Module` of somebody else's, as a loss.

    A class is made with the arguments, and so is what a factory returns, a function that needs no two more; any other
    function is called with them, which then have names. Its value is one term,
    so it can be summed and wrapped, and is taken never to be negative; weights and ignored voxels are not known to it,
    and refused.
    """

    listed = False
    card = Card(source="", equation="", smooth=False, convex=False)
    __eq__ = Named.same
    __hash__ = Named.hashed

    @property
    def tasks(self) -> frozenset[Kind]:
        return CLASSES | QUANTITY  # a callable does not say what it is for

    @property
    def lumped(self) -> bool:
        return True

    @classmethod
    def examples(cls) -> list[Loss]:
        return []

    def leaves(self) -> Iterator[Loss]:
        return iter((self,))

    def measure(self, prepared: Prepared) -> Terms:
        batch = prepared.batch
        if batch.weight is not None or batch.ignore_index is not None:
            raise UserError(f"{self.path} is not ours and knows no weight map and no ignore_index")
        value = self.made()(batch.output, batch.target)
        if not isinstance(value, Tensor) or value.ndim:
            came = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise UserError(f"{self.path} must give one number as a tensor, not {came}")
        return Terms(value.reshape(1), value.new_ones(1))

    def made(self) -> Callable[..., Any]:
        """What is called with logits and target: an instance, a function with its other arguments, a factory's gift."""
        made = self.__dict__.get("_made")
        if made is None:
            target = self.target()
            named = {name: value for name, value in self.arguments if name is not None}
            if isclass(target) or _is_factory(target, self.arguments):
                made = self.call(target)
            elif len(named) < len(self.arguments):
                raise UserError(f"{self.path} is called with logits and target; its other arguments need names")
            else:
                made = partial(target, **named)
            self._set("_made", made)
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_made"}


Loss.foreign = Foreign


def unresolved(kind: type[Value], path: str, arguments: Arguments) -> Value:
    """A foreign name in a text that nobody vouches for: a value equal by its text, which cannot act."""
    return _foreign(kind, path)(path=path, arguments=arguments)


def resolve(kind: type[Value], path: str, arguments: Arguments) -> Value:
    """A foreign name that a person wrote: one of our values if it is a class of this kind, else `Foreign`."""
    found = _import(path)
    if isclass(found) and issubclass(found, kind):
        leading = iter([one.name for one in fields(found) if not one.kw_only])
        given = {name or next(leading, "?"): value for name, value in arguments}
        if wrong := set(given) - {one.name for one in fields(found)}:
            raise ExpressionError(f"{path} has no field {sorted(wrong)[0]!r}")
        if isabstract(found) or not found.listed:
            raise ExpressionError(f"{path} is not a {kind.__name__.lower()} that can be written as text")
        try:
            return found(**given)
        except TypeError as error:
            raise ExpressionError(f"{path}: {error}") from None
    if not callable(found):
        raise ExpressionError(f"{path} is {type(found).__name__}, not a class or a function")
    return _foreign(kind, path)(path=path, arguments=arguments, source=source_digest(found))


def _is_factory(function: Any, arguments: Arguments) -> bool:
    """Whether there is no room for logits and target once the arguments are given, so that a loss must be returned."""
    try:
        takes = signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return False
    if any(one.kind is one.VAR_POSITIONAL for one in takes):
        return False
    given = {name for name, _ in arguments}
    free = [one.name for one in takes if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
    return len([name for name in free if name not in given]) <= sum(name is None for name, _ in arguments)


def source_digest(thing: Any) -> str:
    """SHA-256 of the file that defines a class or a function; of its name where there is no file."""
    thing = thing if isclass(thing) or isroutine(thing) else type(thing)
    try:
        file = getsourcefile(thing)
        return sha256(Path(file or "").read_bytes()).hexdigest()
    except (TypeError, OSError):
        return sha256(f"{thing.__module__}:{thing.__qualname__}".encode()).hexdigest()


def _foreign(kind: type[Value], path: str) -> Any:
    foreign = getattr(kind, "foreign", None)
    if foreign is None:
        raise ExpressionError(f"{path}: a {kind.__name__.lower()} of somebody else's cannot be used here")
    return foreign


def _import(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return found
    except Exception as error:  # an optional import may fail in any way (a torchvision that does not fit, ...)
        why = f"{type(error).__name__}: {error}"
        raise ExpressionError(f"cannot import {path}: {why}; is its folder on the Python path?") from error
