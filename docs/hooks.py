"""What mkdocs asks while it builds the site: which pages are computed, and how formulas and sources are shown."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from pages.commands import commands_page
from pages.facts import FAMILIES
from pages.formulas import with_mathml
from pages.loss import address, families_page, loss_page, ours
from pages.sources import cited, references_page

HOME = Path(__file__).parents[1]


def on_config(config: Any) -> Any:
    """Losses and results are in the navigation by being there; a page that it does not place is a guide."""
    parts: dict[str, Any] = {name: pages for entry in config.nav for name, pages in entry.items()}
    docs = Path(config.docs_dir)
    results = sorted(page.stem for page in (docs / "results").glob("*.md") if page.stem != "README")
    parts["Results"] += [{name: f"results/{name}.md"} for name in results]
    parts["Guides"] += sorted(page.name for page in docs.glob("*.md") if f"'{page.name}'" not in str(config.nav))
    for family, (title, _) in FAMILIES.items():
        pages = [{cls.__name__: address(cls)} for cls in ours() if cls.__module__.split(".")[2] == family]
        if pages:
            parts["Losses"].append({title: pages})
    return config


def on_files(files: Files, config: Any) -> Files:
    written = {address(cls): loss_page(cls) for cls in ours()}
    written |= {
        "losses/index.md": families_page(), "command-line.md": commands_page(), "references.md": references_page(),
    }  # fmt: skip
    for name, text in written.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    where = page.file.src_uri
    if where == "losses.md":
        places = {cls.__name__: address(cls) for cls in ours()}
        markdown = re.sub(
            r"^\| `((\w+)[^`|]*)`",
            lambda row: f"| [`{row[1]}`]({places[row[2]]})" if row[2] in places else row[0],
            markdown,
            flags=re.MULTILINE,
        )
    return cited(without_source(with_examples(markdown)), up="../" * where.count("/"))


def with_examples(markdown: str) -> str:
    """A line that is nothing but a link to a file of examples/ shows the file."""

    def shown(found: re.Match[str]) -> str:
        text = (HOME / found[1]).read_text(encoding="utf-8")
        return f'```python title="{found[1]}"\n{text}```'

    return re.sub(r"^\[[^]]+\]\(\.\./(examples/[^)]+\.py)\)$", shown, markdown, flags=re.MULTILINE)


def without_source(markdown: str) -> str:
    """A link to the source, which the site does not hold, becomes its path; one that leads nowhere is told of."""

    def path(found: re.Match[str]) -> str:
        return f"{found[1]} (`{found[2]}`)" if (HOME / found[2]).exists() else found[0]

    return re.sub(r"\[([^]]+)\]\((?:\.\./)+((?:src|tests|examples|benchmarks)/[^)#]*)\)", path, markdown)


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    return with_mathml(with_links(html, page.file.src_uri))


def with_links(html: str, where: str) -> str:
    """Losses in expressions lead to their pages: in `Dice() + CrossEntropy()`, where it stands in a sentence."""
    pages = {cls.__name__: address(cls) for cls in ours() if address(cls) != where}
    up = "../" * where.count("/")

    def link(name: re.Match[str]) -> str:
        page = pages.get(name[0], "").replace(".md", ".html")
        return f'<a href="{up}{page}">{name[0]}</a>' if page else name[0]

    return re.sub(
        r'(?<!">)<code>([^<]*\([^<]*)</code>',
        lambda code: f"<code>{re.sub(r'[A-Z][A-Za-z0-9]+', link, code[1])}</code>",
        html,
    )
