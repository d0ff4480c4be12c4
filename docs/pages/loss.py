"""The page of one loss."""

import inspect
import re
from collections.abc import Sequence

from whichloss.core import Loss, registry

from .drawing import drawing
from .example import example, expression, printed
from .facts import FAMILIES, meanings, properties
from .sources import sources
from .uses import uses


def ours() -> list[type[Loss]]:
    """Every listed loss of the library, family by family."""
    order = list(FAMILIES)
    found = [
        cls for cls in registry(Loss).values() if cls.__module__.startswith("whichloss.losses.") and cls.examples()
    ]
    return sorted(found, key=lambda cls: (order.index(cls.__module__.split(".")[2]), cls.__name__))


def address(cls: type[Loss]) -> str:
    """losses/smooth_hinge.md, as its source is called."""
    return f"losses/{cls.__module__.rpartition('.')[2]}.md"


def loss_page(cls: type[Loss]) -> str:
    loss, *others = [one for one in cls.examples() if isinstance(one, Loss)]
    use, avoid = uses(loss)
    lines = [f"# {cls.__name__}", "", prose(cls), "", _section("When to use it"), use, "", f"**When not.** {avoid}", ""]
    if loss.axis is not None:
        lines += [_section("Curve"), drawing(loss), "", f"`{expression(loss)}`, over the {loss.axis.name}.", ""]
    code = example(loss)
    lines += [_section("Example"), "```python", code, "```", "", '```text title="prints"', printed(code), "```", ""]
    if others:
        lines += ["Other settings that matter: " + ", ".join(f"`{expression(one)}`" for one in others) + ".", ""]
    lines += [_section("Properties"), "Measured when this page was written; the range is proved.", ""]
    lines += table(("property", "value"), properties(loss))
    lines += [
        _section("Fields"),
        *table(("field", "default", "meaning"), [(f"`{a}`", b, c) for a, b, c in meanings(cls)]),
    ]
    lines += _relations(loss)
    lines += _source(loss)
    return "\n".join(lines) + "\n"


def families_page() -> str:
    """Every loss by what its formula sees, with its first sentence and when to use it."""
    lines = ["# Losses by family", "", "Measured properties of all are in [one table](../losses.md).", ""]
    for family, (title, sees) in FAMILIES.items():
        rows = []
        for cls in (one for one in ours() if one.__module__.split(".")[2] == family):
            loss = next(one for one in cls.examples() if isinstance(one, Loss))
            first = prose(cls).split("\n\n")[0].replace("\n", " ")
            rows.append((f"[`{cls.__name__}`]({address(cls).partition('/')[2]})", first, uses(loss)[0]))
        if rows:
            lines += [f"## {title}\n", sees, "", *table(("loss", "what it is", "when to use it"), rows)]
    return "\n".join(lines) + "\n"


def prose(cls: type) -> str:
    """The docstring as Markdown: formulas in paragraphs of their own, and no asterisk taken for emphasis."""

    def alone(found: re.Match[str]) -> str:
        return f"\n\n$${' '.join(found[1].split())}$$\n\n"

    text = re.sub(r" *\$\$(.+?)\$\$\s*", alone, inspect.getdoc(cls) or "", flags=re.DOTALL)
    parts = re.split(r"(\$\$.+?\$\$|\$[^$]+\$|`[^`]+`|(?m:^ {4}.*$))", text)
    return "".join(part if at % 2 else part.replace("*", r"\*") for at, part in enumerate(parts)).strip()


def _relations(loss: Loss) -> list[str]:
    card, lines = loss.card, []
    if card.equals:
        lines += [_section("The same as"), "Tested on every input:", ""]
        lines += [f"- `{left}` is `{right}`" for left, right in card.equals] + [""]
    if card.aliases or card.peers:
        lines += [_section("Other names")]
        if card.aliases:
            lines += [f"Also called {', '.join(card.aliases)}.", ""]
        if card.peers:
            lines += [
                "In other libraries (names only: conventions differ, and the same name may give another number):",
                "",
            ]
            lines += [f"- {library}: `{name}`" for library, name in card.peers.items()] + [""]
    return lines


def _source(loss: Loss) -> list[str]:
    card, known = loss.card, sources()
    lines = [_section("Source"), f"{known[card.source].text}", ""]
    place = card.equation
    said = f"Equation {place}." if re.match(r"^\(.+\)$", place) else f"There: {place}."
    lines += [f"{said} [All references](../references.md#{card.source})", ""]
    if card.note:
        lines += ['!!! note "What the source has wrong or leaves open"', f"    {_literal(card.note)}", ""]
    return lines


def _literal(text: str) -> str:
    return text.replace("*", r"\*").replace("_", r"\_")


def _section(title: str) -> str:
    return f"## {title}\n"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [" | ".join(cell.replace("|", r"\|") for cell in row) for row in rows]
    return [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(f"| {row} |" for row in cells), ""]
