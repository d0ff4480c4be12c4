"""Read a study file: YAML, checked key by key, with one clear message for each mistake."""

import re
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from whichloss.core import UserError

from .study import Study

_MARKS = ",[]{}:?#&*!|>%@`"  # YAML would read these as its own
_SHIELDED = {ord(mark): chr(0xE000 + at) for at, mark in enumerate(_MARKS)}
_BARE = {0xE000 + at: mark for at, mark in enumerate(_MARKS)}


def read_study(source: str | Path, changes: list[str] | None = None, name: str | None = None) -> Study:
    """The study in a file, or a shipped one by name; `changes` are texts `key=value`, as in training.optimizer=SGD().

    A changed study gets a name of its own: `name`, or the old one and a short hash of the changes.
    """
    path = find_study(source)
    content = load_yaml(_text_of(path), str(path))
    if not isinstance(content, dict):
        raise UserError(f"{path}: a study is a list of keys and values, such as 'question: ...'")
    content.setdefault("name", path.stem)
    keys = [change.partition("=")[0] for change in changes or []]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise UserError(f"--set {twice}: given twice; say once what it should be")
    for change in changes or []:
        _apply(content, change)
    if name is not None:
        content["name"] = name
    elif changes:
        from hashlib import sha256

        content["name"] = f"{content['name']}-{sha256(chr(10).join(sorted(changes)).encode()).hexdigest()[:6]}"
    return make_study(content, str(path))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text") from None


def find_study(source: str | Path) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    shipped = {
        Path(str(entry)).stem: Path(str(entry))
        for entry in files("whichloss.studies").iterdir()
        if entry.name.endswith(".yaml")
    }
    if str(source) in shipped:
        return shipped[str(source)]
    near = get_close_matches(str(source), shipped, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; shipped studies: {', '.join(sorted(shipped))}"
    raise UserError(f"{source}: no such study file{hint}")


def make_study(content: dict[str, Any], where: str) -> Study:
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise UserError("\n".join(_message(one, where) for one in error.errors())) from None


def load_yaml(text: str, where: str) -> Any:
    """YAML in which expressions keep their commas, also inside [...] and {...}, and no key stands twice."""
    if odd := next((mark for mark in text if ord(mark) in _BARE), None):
        raise UserError(f"{where}: holds the private-use character U+{ord(odd):04X}, which means nothing")
    try:
        return yaml.load(_shield(text), Loader=_Loader)
    except RecursionError:
        raise UserError(f"{where}: lists within lists too deep to be a study") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        if mark is None:
            raise UserError(f"{where}: not YAML: {error}") from None
        line = text.splitlines()[mark.line] if mark.line < len(text.splitlines()) else ""
        problem = (getattr(error, "problem", None) or "cannot be read").translate(_BARE)
        raise UserError(
            f"{where}, line {mark.line + 1}: {problem}\n    {line}\n    {' ' * mark.column}^\n"
            "  a study file is YAML: 'key: value', lists in [...] or with '- ', texts with ': ' in quotes"
        ) from None


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice and takes the shields off."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise yaml.MarkedYAMLError(problem="a key must be a word", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    return loader.construct_scalar(node).translate(_BARE)


_Loader.add_constructor("tag:yaml.org,2002:str", _text)


def _shield(text: str) -> str:
    """Hide what YAML would read as its own inside the parentheses of `Name(...)`, one character for one."""
    return "\n".join(_shield_line(line) for line in text.split("\n"))


def _shield_line(line: str) -> str:
    out, at = "", 0
    while at < len(line):
        end = _closing(line, at) if line[at] == "(" and re.search(r"\w$", line[:at]) else at
        out += line[at : end + 1].translate(_SHIELDED) if end > at else line[at]
        at = end + 1
    return out


def _closing(line: str, start: int) -> int:
    """Where the parenthesis that opens at `start` closes, texts in quotes passed over; `start` if not on this line."""
    at, depth, quote = start, 0, ""
    while at < len(line):
        mark = line[at]
        if quote:
            at += mark == "\\"  # whatever follows is meant as it stands
            quote = "" if mark == quote else quote
        elif mark in "'\"":
            quote = mark
        elif mark in "()":
            depth += 1 if mark == "(" else -1
            if not depth:
                return at
        at += 1
    return start


def _apply(content: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise UserError(f"--set {change}: say key=value, such as --set training.optimizer='SGD(lr=0.1)'")
    *path, last = key.split(".")
    place: Any = content
    for step in path:
        place = place.setdefault(step, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            raise UserError(f"--set {change}: {step} holds no keys")
    place[last] = load_yaml(value, f"--set {key}")


def _message(error: Any, where: str) -> str:
    steps = [str(step) for step in error["loc"]]
    key = ".".join(steps) or "the study"
    if error["type"] == "extra_forbidden":
        known = _keys_at(error["loc"])
        near = get_close_matches(steps[-1], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"{where}: {key}: unknown key; {hint}"
    if error["type"] == "missing":
        return f"{where}: {key}: missing; a study needs this key"
    if error["type"] == "invalid_key":
        return f"{where}: {key}: a key must be a word; write it in quotes if it is meant as one"
    text = error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float) and not text.startswith("no ") else ""
    hint = ""
    if isinstance(given, str) and given.count("(") != given.count(")"):
        hint = "\n  an expression over several lines needs quotes around it"
    return f"{where}: {key}: {text}{shown}{hint}"


def _keys_at(steps: tuple[Any, ...]) -> list[str]:
    model: Any = Study
    for step in steps[:-1]:
        field = model.model_fields.get(step) if isinstance(step, str) and isinstance(model, type) else None
        if field is not None:
            inside = [one for one in _types(field.annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
            model = inside[0] if inside else model
    return sorted(model.model_fields)


def _types(annotation: Any) -> list[Any]:
    inner = [one for part in getattr(annotation, "__args__", ()) for one in _types(part)]
    return [annotation, *inner]
