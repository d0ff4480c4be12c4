"""Expressions: the text of a value, and the way back. `parse(repr(value)) == value`.

    expression  [w *] Name(field=literal, field=Name(...))  joined by  +

Reading evaluates nothing and is bounded in length and depth. A name of somebody else's, `package.module:Name(a=1)`,
is imported only where a person wrote the text (`imports=True`); from a store, a table or a page it becomes a value
without meaning that is equal by its text.
"""

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

from . import catalogue
from .errors import ExpressionError, UserError
from .fields import SPEC
from .value import DEEPEST, Value

LONGEST = 20_000  # characters

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:\+|-\s*)?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
  | (?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
  | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?::[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)?)
  | (?P<mark>[()\[\],=+*])
  )""",
    re.VERBOSE | re.ASCII,
)
_WORDS = {"None": None, "null": None, "True": True, "true": True, "False": False, "false": False}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_PLAIN_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}

Kind = TypeVar("Kind", bound=Value)


def parse(text: str, kind: type[Kind] | None = None, *, imports: bool = False) -> Kind:
    """The value that a text spells: a loss, unless another kind is asked for.

    Raises ExpressionError, and nothing else, for anything that is not an expression.
    """
    if kind is None:
        from .loss import Loss  # the usual case; loss.py itself is built on values

        return parse(text, Loss, imports=imports)  # type: ignore[return-value]
    if not isinstance(text, str):
        raise ExpressionError(f"an expression is a text such as 'Dice(smooth=1.0)', not {text!r}")
    try:
        return _Reader(text, imports).whole(kind)
    except ExpressionError:
        raise
    except UserError as error:
        raise ExpressionError(str(error)) from error


class _Reader:
    def __init__(self, text: str, imports: bool) -> None:
        if len(text) > LONGEST:
            raise ExpressionError(f"an expression of {len(text)} characters is too long; {LONGEST} are read")
        self.text, self.imports = text, imports
        self.tokens = _scan(text)
        self.at = 0

    def whole(self, kind: type) -> Any:
        value = self.sum(kind, 0)
        if self.at < len(self.tokens):
            raise self.wrong("a '+' or the end")
        return value

    # the grammar, one method a rule

    def sum(self, kind: type, depth: int) -> Any:
        total = self.term(kind, depth)
        while self.take("+"):
            total = self.combine(kind, lambda a, b: a + b, total, self.term(kind, depth))
        return total

    def term(self, kind: type, depth: int) -> Any:
        sort, token = self.peek()
        if sort != "number":
            return self.atom(kind, depth)
        self.at += 1
        self.expect("*")
        return self.combine(kind, lambda w, value: w * value, _number(token), self.atom(kind, depth))

    def atom(self, kind: type, depth: int) -> Any:
        if depth >= DEEPEST:
            raise ExpressionError(f"more than {DEEPEST} values within each other in {self.shown()}")
        if self.take("("):
            value = self.sum(kind, depth + 1)
            self.expect(")")
            return value
        sort, name = self.peek()
        if sort != "name":
            raise self.wrong("a name such as 'Dice'")
        self.at += 1
        return self.call(kind, name, depth)

    def call(self, kind: type, name: str, depth: int) -> Any:
        cls = catalogue.find(kind, name)
        if cls is None and ":" in name:
            return self.foreign(kind, name, depth)
        if cls is None or not cls.listed:
            word = kind.__name__.lower()
            raise ExpressionError(f"no {word} is called {name!r}{catalogue.suggestion(kind, name)}")
        known = {one.name: one for one in fields(cls)}
        given: dict[str, Any] = {}
        leading = [one.name for one in fields(cls) if not one.kw_only]
        for field_name in self.arguments():
            if field_name is None and leading[len(given) : len(given) + 1]:
                field_name = leading[len(given)]
            if field_name is None:
                raise ExpressionError(f"{name} takes its fields by name: {_call(name, known)}")
            if field_name not in known:
                raise ExpressionError(f"{name} has no field {field_name!r}: {_call(name, known)}")
            if field_name in given:
                raise ExpressionError(f"{name} is given {field_name!r} twice")
            spec = known[field_name].metadata.get(SPEC)
            given[field_name] = self.argument(spec.kind() if spec and spec.kind else None, depth)
        if required := [one for one in known if one not in given and not _has_default(known[one])]:
            raise ExpressionError(f"{name} needs {', '.join(required)}: {_call(name, known)}")
        return cls(**given)

    def foreign(self, kind: type, name: str, depth: int) -> Any:
        """A name of somebody else's: imported if a person wrote it, else kept as text."""
        from .foreign import resolve, unresolved

        arguments: list[tuple[str | None, Any]] = []
        for field_name in self.arguments():
            if field_name is not None and field_name in dict(arguments):
                raise ExpressionError(f"{name} is given {field_name!r} twice")
            arguments.append((field_name, self.argument(kind, depth)))
        make = resolve if self.imports else unresolved
        return make(kind, name, tuple(arguments))

    def arguments(self) -> Any:
        """Go through `(a=..., b=...)`, giving each name (None where there is none) before its value is read."""
        if not self.take("("):
            return
        while not self.take(")"):
            sort, token = self.peek()
            named = sort == "name" and self.tokens[self.at + 1 : self.at + 2] == [("mark", "=")]
            self.at += 2 if named else 0
            yield token if named else None
            if not self.take(","):
                self.expect(")")
                return

    def argument(self, kind: type | None, depth: int) -> Any:
        if self.starts_value():
            if kind is None:
                raise self.wrong("a number, a 'text', True, False, None or a list of these")
            return self.sum(kind, depth + 1)
        return self.literal(depth)

    def starts_value(self) -> bool:
        """Whether a name or a weight comes next, perhaps after brackets: `((0.5 * Dice()))`, but not `((0.5, 1))`."""
        at = self.at
        while self.tokens[at : at + 1] == [("mark", "(")]:
            at += 1
        sort, token = self.tokens[at] if at < len(self.tokens) else ("end", "")
        if sort == "number":
            return self.tokens[at + 1 : at + 2] == [("mark", "*")]
        return sort == "name" and token not in _WORDS

    def literal(self, depth: int) -> Any:
        if depth >= DEEPEST:
            raise ExpressionError(f"more than {DEEPEST} lists within each other in {self.shown()}")
        sort, token = self.peek()
        self.at += 1
        if sort == "number":
            return _number(token)
        if sort == "text":
            return _unquote(token)
        if sort == "name" and token in _WORDS:
            return _WORDS[token]
        if sort == "mark" and token in "([":
            entries, end = [], ")" if token == "(" else "]"
            while not self.take(end):
                entries.append(self.literal(depth + 1))
                if not self.take(","):
                    self.expect(end)
                    break
            return tuple(entries)
        self.at -= 1
        raise self.wrong("a number, a 'text', True, False, None or a list of these")

    # the tokens

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "the end")

    def take(self, mark: str) -> bool:
        found = self.peek() == ("mark", mark)
        self.at += found
        return found

    def expect(self, mark: str) -> None:
        if not self.take(mark):
            raise self.wrong(repr(mark))

    def wrong(self, wanted: str) -> ExpressionError:
        return ExpressionError(f"expected {wanted} before {self.peek()[1]!r} in {self.shown()}")

    def shown(self) -> str:
        return repr(self.text if len(self.text) <= 120 else self.text[:117] + "...")

    def combine(self, kind: type, operate: Any, left: Any, right: Any) -> Any:
        try:
            return operate(left, right)
        except TypeError:
            raise ExpressionError(f"a {kind.__name__.lower()} has no sums or weights: {self.shown()}") from None


def _scan(text: str) -> Sequence[tuple[str, str]]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(f"cannot read {text[at : at + 20].strip()!r} in an expression")
        sort = match.lastgroup or ""
        # after a value, a sign is an operator: "A()+2*B()" is a sum, though +2 looks like a number
        if sort == "number" and match[sort][0] == "+":
            tokens += [("mark", "+")] if tokens and tokens[-1][1] not in ("(", "[", ",", "=") else []
            tokens.append((sort, match[sort][1:]))
        elif sort == "number":
            tokens.append((sort, "".join(match[sort].split())))  # a minus may stand apart
        else:
            tokens.append((sort, match[sort]))
        at = match.end()
    return tokens


def _number(token: str) -> int | float:
    if token.lstrip("+-").isdigit():
        if len(token) > 300:  # Python refuses endless integers with an error of its own
            raise ExpressionError(f"the number {token[:20]}... is too long")
        return int(token)
    return float(token)


def _unquote(token: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code is not None:
            if int(code, 16) > 0x10FFFF:
                raise ExpressionError(f"{match[0]} in {token} is no character")
            return chr(int(code, 16))
        if match[4] not in _PLAIN_ESCAPES:
            raise ExpressionError(f"{match[0]} in {token} means nothing; write \\\\ for a backslash")
        return _PLAIN_ESCAPES[match[4]]

    return _ESCAPE.sub(plain, token[1:-1])


def _has_default(one: Any) -> bool:
    from dataclasses import MISSING

    return one.default is not MISSING


def _call(name: str, known: Any) -> str:
    return f"{name}({', '.join(one if field.kw_only else f'<{one}>' for one, field in known.items())})"
