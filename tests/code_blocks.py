"""The blocks of code of the pages under docs/."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if page.name != "losses.md")  # that one is written by a command


@dataclass(frozen=True)
class Block:
    """language: of a fenced block; "" of an indented one."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(DOCS.parent)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    fenced = r"^```(\w*)[^\n]*\n(.*?)^```"
    for found in re.finditer(fenced, text, re.DOTALL | re.MULTILINE):
        yield Block(page, 1 + text[: found.start()].count("\n"), found[1], found[2])
    rest = re.sub(fenced, lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)
    for found in re.finditer(r"(?<=\n\n)(?: {4}[^\n]*\n+)+", rest):
        yield Block(page, 1 + rest[: found.start()].count("\n"), "", dedent(found[0]))


def all_blocks(language: str | None = None) -> list[Block]:
    return [one for page in PAGES for one in blocks(page) if language is None or one.language == language]


def commands(block: Block) -> Iterator[list[str]]:
    """Each call of whichloss in a block, in words, without its comment."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.startswith("whichloss "):
            yield shlex.split(line, comments=True)[1:]
